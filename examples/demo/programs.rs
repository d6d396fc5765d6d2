//! The daemon and the phone as separate programs.

use anyhow::{Context as _, Result, bail};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Loopback ports that nobody uses at this moment.
pub struct Addresses {
    pub api: String,
    pub admin: String,
    pub sip: String,
    pub phone: String,
}

impl Addresses {
    pub fn free() -> Result<Self> {
        // All are held until all are chosen, so that no port is given twice.
        let tcp = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let udp = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
        Ok(Self {
            api: tcp[0].local_addr()?.to_string(),
            admin: tcp[1].local_addr()?.to_string(),
            sip: udp[0].local_addr()?.to_string(),
            phone: udp[1].local_addr()?.to_string(),
        })
    }
}

/// Both programs; ended when dropped.
pub struct Programs {
    daemon: Child,
    phone: Child,
    log: PathBuf,
}

impl Programs {
    pub fn start(out: &Path, addresses: &Addresses, question: &Path) -> Result<Self> {
        let program = program()?;
        let log = out.join("bellwire.log");
        let text = |path: &Path| path.display().to_string();
        let record = out.join("phone-heard.wav");
        let phone = phone(out, addresses, &record, "3", &["--play".to_owned(), text(question)])?;
        let set = |key: &str, value: &str| ["--set".to_owned(), format!("{key}={value}")];
        let daemon = Command::new(&program)
            .arg("serve")
            .args(set("node.data_dir", &text(&std::path::absolute(out.join("state"))?)))
            .args(set("api.listen", &addresses.api))
            .args(set("api.admin_listen", &addresses.admin))
            .args(set("sip.listen", &format!("udp:{}", addresses.sip)))
            .args(set("trunk.carrier.proxy", &format!("sip:{}", addresses.phone)))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .stdin(Stdio::null())
            .spawn()
            .context("starting bellwire serve")?;
        Ok(Self { daemon, phone, log })
    }

    /// A phone for one more call, in the place of the one whose calls are done.
    pub async fn next_phone(
        &mut self,
        out: &Path,
        addresses: &Addresses,
        interruption: &Path,
    ) -> Result<()> {
        wait(&mut self.phone, Duration::from_secs(15)).await?;
        let deeds = crate::agent::deeds(&interruption.display().to_string());
        let record = out.join("phone-heard-agent.wav");
        self.phone = phone(out, addresses, &record, "1", &deeds)?;
        // It must listen before it is called; an INVITE would be repeated after half a second.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }

    /// Fails with the daemon's log when it is not running any more.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.daemon.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("bellwire serve ended with {status}:\n{log}");
        }
        Ok(())
    }

    /// Ends both in order: the daemon politely, the phone by itself after its last call.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.daemon.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("stopping bellwire serve")?;
        let status = wait(&mut self.daemon, Duration::from_secs(15)).await?;
        if !status.success() {
            bail!("bellwire serve ended with {status}, see {}", self.log.display());
        }
        wait(&mut self.phone, Duration::from_secs(15)).await?;
        Ok(())
    }
}

fn phone(
    out: &Path,
    addresses: &Addresses,
    record: &Path,
    count: &str,
    more: &[String],
) -> Result<Child> {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(out.join("phone.jsonl"))?;
    Command::new(program()?)
        .args(["phone", "--listen", &format!("udp:{}", addresses.phone)])
        .args(["--ring", "600ms", "--count", count, "--json", "--record"])
        .arg(record)
        .args(more)
        .stdout(log)
        .stderr(std::fs::File::create(out.join("phone.log"))?)
        .stdin(Stdio::null())
        .spawn()
        .context("starting bellwire phone")
}

impl Drop for Programs {
    fn drop(&mut self) {
        // Already ended after an orderly stop; then there is nothing to kill.
        let _ = self.daemon.kill();
        let _ = self.phone.kill();
        let _ = self.daemon.wait();
        let _ = self.phone.wait();
    }
}

async fn wait(child: &mut Child, longest: Duration) -> Result<ExitStatus> {
    let until = Instant::now() + longest;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > until {
            bail!("a program did not end within {longest:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The `bellwire` program that was built beside this example.
fn program() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let target = example.parent().and_then(Path::parent).context("no target directory")?;
    let program = target.join("bellwire");
    if !program.exists() {
        bail!("{} is not built; run `make demo`", program.display());
    }
    Ok(program)
}
