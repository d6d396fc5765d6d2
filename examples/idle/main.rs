//! What a stream costs in memory while nothing is said: `cargo run --release --example idle [COUNT]`.
//!
//! Opens COUNT streams (1,000) over TCP on loopback, without media legs: first clients that attach,
//! then clients that are dialled. The clients live in a process of their own, so that the memory of
//! this one is the gateway's. A stream's share is what the resident memory grew by, behind its
//! `start` and the first second.

#![allow(clippy::print_stdout, reason = "its report")]

use anyhow::{Context as _, Result, ensure};
use bellwire::api::error::Problem;
use bellwire::api::gateway::{Command, Gateway};
use bellwire::api::stream::dialled::{self, Ask};
use bellwire::api::stream::upgrade;
use bellwire::api::stream::url::StreamUrl;
use bellwire::app::stream::dialer::{Attempt, ConnectAt, Connector, DialFault, DialPlan, Opening};
use bellwire::app::stream::options::Protocol;
use bellwire::app::stream::{StreamOptions, StreamRights, StreamSeats, StreamSpec, spawn};
use bellwire::app::{Control, Report};
use bellwire::call::record::Direction;
use bellwire::net::dial::{self, Range};
use futures_util::StreamExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Streams, unless said otherwise.
const COUNT: usize = 1000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match first.as_deref() {
        Some("attach") => {
            let port = args.next().context("port")?.parse()?;
            runtime.block_on(attach(port, args.next().context("count")?.parse()?))
        }
        Some("serve") => runtime.block_on(serve()),
        Some("attached") => runtime.block_on(attached(args.next().context("count")?.parse()?)),
        Some("dialled") => runtime.block_on(dialled_ones(args.next().context("count")?.parse()?)),
        count => {
            let count: usize = count.map_or(Ok(COUNT), str::parse)?;
            println!("{count} idle streams, resident memory of each");
            // A process for each way: the second would live in what the first has freed.
            for way in ["attached", "dialled"] {
                let mut itself = std::process::Command::new(std::env::current_exe()?);
                let done = itself.args([way, &count.to_string()]).status()?;
                ensure!(done.success(), "{way}: {done}");
            }
            Ok(())
        }
    }
}

/// The clients: attach so many, then wait for the end of the standard input.
async fn attach(port: u16, count: usize) -> Result<()> {
    let mut clients = Vec::new();
    for number in 0..count {
        let url = format!("ws://127.0.0.1:{port}/{number}?protocol=native&rate=8000");
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut client, _) =
            tokio_tungstenite::client_async(url.into_client_request()?, tcp).await?;
        client.next().await.context("no start")??;
        clients.push(client);
    }
    println!("ready");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// The other way: a server that takes whoever dials, and says where it is.
async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut client) = tokio_tungstenite::accept_async(tcp).await {
                    while client.next().await.is_some_and(|message| message.is_ok()) {}
                }
            });
        }
    });
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// This program once more, its standard input, and the first line that it says.
async fn helper(args: &[&str]) -> Result<(Child, ChildStdin, String)> {
    let mut child = tokio::process::Command::new(std::env::current_exe()?)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take().context("stdin")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line).await?;
    Ok((child, stdin, line.trim().to_owned()))
}

/// Streams whose clients attach, as through the API.
async fn attached(count: usize) -> Result<()> {
    let idle = settled().await?;
    let calls: Vec<Call> = (0..count).map(|_| Call::begin(None)).collect();
    let seats: Arc<[StreamSeats]> = calls.iter().map(|call| call.seats.clone()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let seats = Arc::clone(&seats);
            tokio::spawn(async move { upgraded(tcp, &seats).await });
        }
    });
    let (_child, mut stdin, said) =
        helper(&["attach", &port.to_string(), &count.to_string()]).await?;
    ensure!(said == "ready", "the clients said {said:?}");
    report("attached", count, idle).await?;
    stdin.shutdown().await?;
    Ok(())
}

/// Serves one upgrade.
async fn upgraded(tcp: TcpStream, seats: &Arc<[StreamSeats]>) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let seats = Arc::clone(seats);
        async move {
            let number: usize = request.uri().path()[1..].parse().unwrap_or(usize::MAX);
            let pairs: Vec<_> = request
                .uri()
                .query()
                .unwrap_or_default()
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let (gateway, mut commands) = Gateway::new(1);
            let answer = async {
                if let Some(Command::Attach(_, options, reply)) = commands.recv().await {
                    let _ = reply.send(seats[number].reserve(options).map_err(Problem::from));
                }
            };
            let call = call_id();
            let rights = StreamRights::default();
            let asked = upgrade(&gateway, call, &pairs, rights, &mut request);
            let (response, ()) = tokio::join!(asked, answer);
            let refused = |_| hyper::Response::builder().status(400).body(()).unwrap_or_default();
            let response = response.unwrap_or_else(refused);
            Ok::<_, std::convert::Infallible>(response.map(|()| String::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    let connection = connection.serve_connection(TokioIo::new(tcp), service);
    let _ = connection.with_upgrades().await;
}

/// Streams whose clients are dialled.
async fn dialled_ones(count: usize) -> Result<()> {
    let (_child, mut stdin, port) = helper(&["serve"]).await?;
    let url = StreamUrl::parse(&format!("ws://127.0.0.1:{port}/"))?;
    let idle = settled().await?;
    let mut calls = Vec::new();
    for _ in 0..count {
        let connector = Arc::new(Dials(url.clone()));
        let plan = DialPlan {
            connector,
            at: ConnectAt::Answer,
            rights: StreamRights::default(),
            seed: [1; 32],
        };
        let mut call = Call::begin(Some(plan));
        let answered = Control::CallEvent { event: "answered", detail: None };
        ensure!(call.control.send(answered).await.is_ok(), "the stream's task is gone");
        let attached = call.reports.recv().await;
        ensure!(matches!(attached, Some(Report::Attached { .. })), "{attached:?}");
        calls.push(call);
    }
    report("dialled", count, idle).await?;
    stdin.shutdown().await?;
    Ok(())
}

struct Dials(StreamUrl);

impl Connector for Dials {
    fn open(&self, attempt: Attempt) -> Opening {
        let url = self.0.clone();
        Box::pin(async move {
            let place = (url.host(), url.port());
            let connection = dial::open(place, Range::Anywhere, None).await;
            let fault = |error: dial::DialError| DialFault {
                detail: error.to_string(),
                last: true,
                retry_after: None,
            };
            let connection = connection.map_err(fault)?;
            dialled::open(connection, &url, &Ask::default(), &attempt).await
        })
    }
}

/// A call's stream without a leg.
struct Call {
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    seats: StreamSeats,
}

impl Call {
    fn begin(dial: Option<DialPlan>) -> Self {
        let (control, from_driver) = mpsc::channel(64);
        let (to_driver, reports) = mpsc::channel(64);
        let (seats, _task) = spawn(spec(dial), from_driver, to_driver);
        Self { control, reports, seats }
    }
}

fn call_id() -> bellwire::id::CallId {
    bellwire::id::CallId::from_tail("1").unwrap_or_else(|error| unreachable!("{error}"))
}

fn spec(dial: Option<DialPlan>) -> StreamSpec {
    StreamSpec {
        call: call_id(),
        instance: bellwire::id::InstanceId::nobody(),
        direction: Direction::Outbound,
        from: Some("+15550100".to_owned()),
        identity: None,
        sip: bellwire::app::stream::wire::Sip::default(),
        srtp: None,
        to: "+15550123".to_owned(),
        options: StreamOptions { protocol: Some(Protocol::Native), ..StreamOptions::default() },
        parameters: serde_json::Map::new(),
        account: None,
        sample_rate: 8000,
        default_rate: 8000,
        buffer: Duration::from_mins(1),
        water: (0.75, 0.5),
        timing: bellwire::app::stream::Timing::default(),
        level: bellwire::app::stream::LevelSpec::default(),
        wait: Duration::from_secs(3600),
        linger: Duration::from_secs(3600),
        secret: [2; 32],
        recordings: None,
        record: None,
        observer: false,
        keys_by_call: false,
        hearing: bellwire::app::hearing::HearingSpec::default(),
        amd: None,
        dial,
        speak: None,
        stt: bellwire::speech::stt::Stt::new(bellwire::speech::stt::SttSpec::default()),
        transcribe: None,
    }
}

/// The resident memory in KiB, when a second has passed without anything new.
async fn settled() -> Result<f64> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(rss.trim().trim_end_matches(" kB").parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "a count of streams")]
async fn report(what: &str, count: usize, idle: f64) -> Result<()> {
    let grown = settled().await? - idle;
    println!("{what:<9} {:>6.1} KiB", grown / count as f64);
    Ok(())
}
