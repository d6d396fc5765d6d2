//! Runs SIPp (package sip-tester) as the carrier.

use super::rig::{SOON, free_udp_port};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running SIPp; killed when dropped.
pub struct Sipp {
    child: Child,
    dir: TempDir,
    pub port: u16,
}

/// What SIPp is to do.
pub struct Run<'a> {
    /// File in `tests/daemon/sipp`, or of those for operators in `tests/sipp`.
    pub scenario: &'a str,
    /// Calls in all.
    pub calls: u32,
    /// Calls a second, for a caller.
    pub rate: u32,
    /// Whom to call, for a caller.
    pub remote: Option<String>,
    /// Further arguments.
    pub more: &'a [&'a str],
}

impl Sipp {
    pub fn start(run: &Run<'_>) -> Self {
        Self::spawn(run, "tests/daemon/sipp", "127.0.0.1", free_udp_port())
    }

    /// Runs one of the scenarios for operators at an address of its own.
    pub fn ready_made(run: &Run<'_>, address: &str, port: u16) -> Self {
        Self::spawn(run, "tests/sipp", address, port)
    }

    fn spawn(run: &Run<'_>, directory: &str, address: &str, port: u16) -> Self {
        let dir = TempDir::new().unwrap();
        let media = free_udp_port();
        let scenario = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory).join(run.scenario);
        let calls = run.calls.to_string();
        let mut command = Command::new("sipp");
        command
            .current_dir(dir.path())
            .arg("-sf")
            .arg(scenario)
            .args(["-i", address, "-mi", address])
            .args(["-p", &port.to_string(), "-mp", &media.to_string()])
            .args(["-m", &calls, "-l", &calls, "-r", &run.rate.to_string()])
            .args(["-nostdin", "-trace_err", "-timeout", "120s", "-timeout_error"])
            .args(run.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(remote) = &run.remote {
            command.arg(remote);
        }
        let child = command.spawn().expect("sipp is not installed; run `make setup`");
        let mut sipp = Self { child, dir, port };
        if run.remote.is_none() && !run.more.contains(&"-t") {
            sipp.wait_until_bound();
        }
        sipp
    }

    /// A callee that is not there yet refuses by ICMP, which ends a call at once.
    fn wait_until_bound(&mut self) {
        let wanted = format!(":{:04X} ", self.port);
        let until = Instant::now() + SOON;
        loop {
            let bound = std::fs::read_to_string("/proc/net/udp").unwrap();
            // The first address of a line is the local one.
            if bound.lines().any(|line| {
                line.trim().split_once(": ").is_some_and(|(_, rest)| {
                    rest.split_once(' ')
                        .is_some_and(|(local, _)| format!("{local} ").ends_with(&wanted))
                })
            }) {
                return;
            }
            let over = self.child.try_wait().unwrap();
            assert!(over.is_none() && Instant::now() < until, "SIPp: {}", self.errors());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits for its end and demands that every call went by its scenario.
    pub fn finish(mut self) {
        let until = Instant::now() + SOON * 5;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "SIPp does not end:\n{}", self.errors());
            std::thread::park_timeout(Duration::from_millis(20));
        };
        assert!(status.success(), "SIPp: {status}\n{}", self.errors());
    }

    fn errors(&self) -> String {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let files = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        files.collect::<Vec<_>>().join("\n").chars().take(6000).collect()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // Ended already after `finish`: nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
