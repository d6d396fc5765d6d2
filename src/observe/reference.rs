//! Renders the catalogue of metrics and log lines, `docs/metrics.md`.
//!
//! Owns how it looks. Writes no file: `bellwire gen` does.

use super::event::EVENTS;
use super::metrics::{ALL, MetricKind};
use std::fmt::Write;

const INTRO: &str = "\
# Metrics and log lines

`GET /metrics` on `api.admin_listen` serves the metrics in the exposition format of Prometheus.
Log lines go to standard error: one JSON object each (text on a terminal). A phone number shows its
beginning and its last two digits; digits, texts and audio are never logged.

Generated from the declarations in `src/observe` by `make gen`.
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    page.push_str("\n## Metrics\n\n| metric | kind | labels | what |\n|---|---|---|---|\n");
    for metric in ALL {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let (labels, help) = (metric.labels.join(", "), metric.help.trim());
        let _ = writeln!(page, "| `{}` | {kind} | {labels} | {help} |", metric.name);
    }
    page.push_str("\n## Log lines\n\n| message | level | when | fields | metrics |\n");
    page.push_str("|---|---|---|---|---|\n");
    for event in EVENTS {
        let fields = event.fields.join(", ");
        let metrics: Vec<String> = event.metrics.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {fields} | {} |",
            event.message,
            event.level,
            event.doc.trim(),
            metrics.join(", ")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_and_event_is_on_the_page_in_one_row() {
        let page = page();
        for metric in ALL {
            assert!(page.contains(&format!("| `{}` |", metric.name)), "{}", metric.name);
        }
        for event in EVENTS {
            assert!(page.contains(&format!("| {} |", event.message)), "{}", event.message);
            assert!(!event.doc.contains(['|', '\n']), "{}", event.message);
        }
    }
}
