//! Histograms of what happens thousands of times a second.
//!
//! The exporter keeps every value of a histogram until somebody folds it into buckets; of what
//! every packet does, a second of it is megabytes. Such values come here, counted by whoever saw
//! them, and go into their buckets at once. Owns those buckets and their text at `/metrics`.

use super::metrics::Metric;
use std::collections::BTreeMap;
use std::fmt::Write as _;
#[cfg(not(test))]
use std::sync::{Mutex, PoisonError};

/// The counts of one combination of label values.
#[derive(Debug, Default)]
struct Counts {
    /// Of each bucket alone; what is above the last is in `count` only.
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

/// Counts by name and label values. As many as the catalogue's labels have values.
type Folded = BTreeMap<&'static str, (Metric, BTreeMap<Vec<String>, Counts>)>;

/// Tests that run side by side each have their own.
#[cfg(test)]
fn with<T>(work: impl FnOnce(&mut Folded) -> T) -> T {
    thread_local! {
        static FOLDED: std::cell::RefCell<Folded> = const { std::cell::RefCell::new(Folded::new()) };
    }
    FOLDED.with_borrow_mut(work)
}

#[cfg(not(test))]
fn with<T>(work: impl FnOnce(&mut Folded) -> T) -> T {
    static FOLDED: Mutex<Folded> = Mutex::new(Folded::new());
    work(&mut FOLDED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Adds a value that came `count` times; `values` are those of the labels.
#[expect(clippy::cast_precision_loss, reason = "a sum of measurements")]
pub(super) fn add(metric: &Metric, value: f64, count: usize, values: &[&str]) {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    with(|folded| {
        let (metric, rows) = folded.entry(metric.name).or_insert((*metric, BTreeMap::new()));
        let counts = rows.entry(values).or_default();
        counts.buckets.resize(metric.buckets.len(), 0);
        let bucket = metric.buckets.partition_point(|bound| *bound < value);
        let many = count as u64;
        if let Some(bucket) = counts.buckets.get_mut(bucket) {
            *bucket += many;
        }
        counts.count += many;
        counts.sum += value * many as f64;
    });
}

/// What was added, in the exposition format of Prometheus.
pub(super) fn render() -> String {
    let mut out = String::new();
    with(|folded| {
        for (metric, rows) in folded.values() {
            let name = metric.name;
            // Writing to a string cannot fail.
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} histogram", metric.help.trim());
            for (values, counts) in rows {
                render_row(&mut out, metric, values, counts);
            }
            out.push('\n');
        }
    });
    out
}

fn render_row(out: &mut String, metric: &Metric, values: &[String], counts: &Counts) {
    let name = metric.name;
    let pairs: Vec<String> = metric
        .labels
        .iter()
        .zip(values)
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let (labels, mut upto) = (pairs.join(","), 0);
    let before = if labels.is_empty() { String::new() } else { format!("{labels},") };
    for (bound, count) in metric.buckets.iter().zip(&counts.buckets) {
        upto += count;
        let _ = writeln!(out, "{name}_bucket{{{before}le=\"{bound}\"}} {upto}");
    }
    let (count, sum) = (counts.count, counts.sum);
    let _ = writeln!(out, "{name}_bucket{{{before}le=\"+Inf\"}} {count}");
    let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
    let _ = writeln!(out, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}");
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{STAGE, TICK_LATE};
    use super::*;

    #[test]
    fn values_are_added_to_their_bucket_and_those_above() {
        add(&STAGE, 0.015, 4, &["order"]);
        add(&STAGE, 0.02, 1, &["order"]);
        add(&STAGE, 900.0, 2, &["write"]);
        add(&TICK_LATE, 0.000_7, 3, &[]);
        let text = render();
        for line in [
            "# TYPE bellwire_stage_seconds histogram",
            "bellwire_stage_seconds_bucket{stage=\"order\",le=\"0.01\"} 0",
            "bellwire_stage_seconds_bucket{stage=\"order\",le=\"0.02\"} 5",
            "bellwire_stage_seconds_bucket{stage=\"order\",le=\"+Inf\"} 5",
            "bellwire_stage_seconds_sum{stage=\"order\"} 0.08",
            "bellwire_stage_seconds_bucket{stage=\"write\",le=\"60\"} 0",
            "bellwire_stage_seconds_count{stage=\"write\"} 2",
            "bellwire_media_tick_late_seconds_bucket{le=\"0.001\"} 3",
            "bellwire_media_tick_late_seconds_count 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nnot in\n{text}");
        }
    }
}
