//! The gateway under load: its configuration, its process, and what the system says about it.

use anyhow::{Context as _, Result, bail, ensure};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The gateway's addresses.
pub struct Addresses {
    pub api: String,
    pub admin: String,
    pub sip: String,
}

/// A running gateway; ended when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    /// Length of the log when the gateway was ready: what stands there is about its start.
    log_begin: usize,
    pub addresses: Addresses,
}

impl Daemon {
    /// Starts it with a trunk to `carrier`, room for `calls` calls, and `more` at the end of its
    /// configuration, run by another program such as `taskset -c 0`.
    pub fn start_with(
        dir: &Path,
        carrier: &str,
        calls: usize,
        more: &str,
        runner: &[&str],
    ) -> Result<Self> {
        // Held until the programs' ports are chosen, so that none is chosen twice.
        let tcp = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let sip = UdpSocket::bind("127.0.0.1:0")?;
        let addresses = Addresses {
            api: tcp[0].local_addr()?.to_string(),
            admin: tcp[1].local_addr()?.to_string(),
            sip: sip.local_addr()?.to_string(),
        };
        let file = dir.join("bellwire.toml");
        let configuration = configuration(dir, &addresses, carrier, calls) + more;
        std::fs::write(&file, configuration)?;
        drop((tcp, sip));
        let log = dir.join("bellwire.log");
        let program = program()?;
        let mut command = match runner {
            [runner, arguments @ ..] => {
                let mut command = Command::new(runner);
                command.args(arguments).arg(program);
                command
            }
            [] => Command::new(program),
        };
        let child = command
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .stdin(Stdio::null())
            .spawn()
            .context("starting bellwire serve")?;
        Ok(Self { child, log, log_begin: 0, addresses })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the daemon's log when it is not running any more.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            bail!("bellwire serve ended with {status}:\n{}", tail.join("\n"));
        }
        Ok(())
    }

    /// Forgets what the log says so far.
    pub fn turn_page(&mut self) {
        self.log_begin = std::fs::read_to_string(&self.log).unwrap_or_default().len();
    }

    /// Lines of its log that are worse than news.
    pub fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let bad = |line: &&str| line.contains("WARN") || line.contains("ERROR");
        log.get(self.log_begin..)
            .unwrap_or_default()
            .lines()
            .filter(bad)
            .map(str::to_owned)
            .collect()
    }

    /// Ends it politely.
    pub async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "bellwire serve ended with {status}");
                return Ok(());
            }
            ensure!(Instant::now() < until, "bellwire serve did not end within 15 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended after an orderly stop; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(dir: &Path, addresses: &Addresses, carrier: &str, calls: usize) -> String {
    let Addresses { api, admin, sip } = addresses;
    let data = dir.join("state");
    let data = data.display();
    let room = calls + 10;
    format!(
        r#"
        [node]
        data_dir = "{data}"
        [api]
        listen = "{api}"
        admin_listen = "{admin}"
        [sip]
        listen = ["udp:{sip}"]
        [rtp]
        # Below the ports that the system gives to the generator's own sockets.
        ports = "10000-29999"
        quarantine = "0s"
        [limits]
        max_calls = {room}
        setup_rate = 10000
        [log]
        level = "warn"
        format = "json"
        [[trunk]]
        name = "carrier"
        proxy = "sip:{carrier}"
        sources = ["127.0.0.0/8"]
        allow = ["+1"]
        caller_id = "+15550100"
        ping = "off"
        max_calls = {room}
        max_cps = 10000
        [[instance]]
        id = "inst_load"
        trunk = "carrier"
        "#
    )
}

/// The `bellwire` program that was built beside this example.
fn program() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let target = example.parent().and_then(Path::parent).context("no target directory")?;
    let program = target.join("bellwire");
    ensure!(program.exists(), "{} is not built; run `make load`", program.display());
    Ok(program)
}
