//! What the system says: processor time, memory, descriptors, and who else is busy.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::time::Instant;

/// Unit of processor time in `/proc`: USER_HZ is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and the machine at one moment.
pub struct Sample {
    at: Instant,
    /// Processor seconds, user and system.
    cpu: f64,
    /// The same of its media threads.
    media_cpu: f64,
    own_cpu: f64,
    machine_busy: f64,
    switches: u64,
    pub rss_kb: f64,
    pub fds: usize,
}

/// What was used between two samples, in cores (1.0 is all of one).
pub struct Usage {
    pub seconds: f64,
    pub daemon: f64,
    pub media_threads: f64,
    pub generator: f64,
    pub others: f64,
    pub switches_per_second: f64,
}

impl Sample {
    pub fn take(pid: u32) -> Result<Self> {
        let process = format!("/proc/{pid}");
        let status = read(&format!("{process}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let (mut media_cpu, mut switches) = (0.0, 0);
        for task in std::fs::read_dir(format!("{process}/task"))?.flatten() {
            let task = task.path().display().to_string();
            // A thread may end while it is looked at.
            let (Ok(stat), Ok(status)) =
                (read(&format!("{task}/stat")), read(&format!("{task}/status")))
            else {
                continue;
            };
            if stat.contains("(media-") {
                media_cpu += cpu(&stat)?;
            }
            switches += status
                .lines()
                .filter_map(|line| line.split_once("ctxt_switches:"))
                .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(Self {
            at: Instant::now(),
            cpu: cpu(&read(&format!("{process}/stat"))?)?,
            media_cpu,
            own_cpu: cpu(&read("/proc/self/stat")?)?,
            machine_busy: machine_busy()?,
            switches,
            rss_kb: rss.context("no VmRSS")?,
            fds: std::fs::read_dir(format!("{process}/fd"))?.count(),
        })
    }

    pub fn since(&self, before: &Self) -> Usage {
        let seconds = (self.at - before.at).as_secs_f64();
        let (daemon, own) = (self.cpu - before.cpu, self.own_cpu - before.own_cpu);
        let busy = self.machine_busy - before.machine_busy;
        Usage {
            seconds,
            daemon: daemon / seconds,
            media_threads: (self.media_cpu - before.media_cpu) / seconds,
            generator: own / seconds,
            others: ((busy - daemon - own) / seconds).max(0.0),
            switches_per_second: (self.switches - before.switches) as f64 / seconds,
        }
    }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// Processor seconds of a `stat` file. The name in it may have spaces; fields count from its end.
fn cpu(stat: &str) -> Result<f64> {
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [user, system] = [11, 12].map(|at| fields.get(at).and_then(|field| field.parse().ok()));
    let (user, system): (f64, f64) = (user.context("no utime")?, system.context("no stime")?);
    Ok((user + system) / TICKS_PER_SECOND)
}

/// Seconds that all processors were busy, with what was stolen from them.
fn machine_busy() -> Result<f64> {
    let stat = read("/proc/stat")?;
    let fields = stat.lines().next().context("no cpu line")?.split_whitespace().skip(1).take(8);
    let fields: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok((fields.iter().sum::<f64>() - idle) / TICKS_PER_SECOND)
}

/// Makes room for descriptors, as far as the system lets us; the gateway inherits it.
pub fn raise_descriptors(calls: usize) -> Result<()> {
    // The generator has two a call. The gateway has three, and some while a call begins.
    let wanted = calls as u64 * 5 + 200;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if let Some(most) = limit.maximum.filter(|most| *most < wanted) {
        bail!(
            "{calls} calls need {wanted} open files, and this user may have {most}: `ulimit -Hn`"
        );
    }
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}
