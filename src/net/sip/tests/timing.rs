//! The clock of one connection, in virtual time and over memory.

use super::super::connections::Connections;
use super::super::stream::{Line, serve};
use super::rig::options;
use crate::net::sip::*;
use crate::sip::interface::ConnectionId;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant as Now, sleep};

/// Serves one end of a connection in memory; `drive` has the other end.
async fn lived<D: Future<Output = ()>>(
    ours: bool,
    drive: impl FnOnce(DuplexStream, mpsc::Sender<Vec<u8>>) -> D,
) -> (Option<&'static str>, Duration, usize) {
    let (arrivals, mut arrived) = mpsc::channel(1000);
    let limits = ConnectionLimits::default();
    let connections = Connections::new(limits, None, Arc::default(), arrivals);
    let local = SocketAddr::from(([127, 0, 0, 1], 5060));
    let id = ConnectionId(0);
    let flow = Flow { transport: Transport::Tcp, local, remote: local, connection: Some(id) };
    let queued = AtomicUsize::new(1 << 30);
    let line = Line { shared: connections.shared(), flow, id, ours, queued: &queued };
    let (near, far) = tokio::io::duplex(1024);
    let (writes, mut written) = mpsc::channel(16);
    let begun = Now::now();
    let end = async {
        let fault = serve(&line, near, &mut written).await;
        (fault, begun.elapsed())
    };
    let (fault, took) = tokio::select! {
        end = end => end,
        () = drive(far, writes) => (Some("driven"), begun.elapsed()),
    };
    let mut messages = 0;
    while let Ok(arrival) = arrived.try_recv() {
        messages += usize::from(matches!(arrival, Arrival::Message(..)));
    }
    (fault, took, messages)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn dripping_a_message_does_not_stretch_its_time() {
    let (fault, took, messages) = lived(false, async |mut far, _writes| {
        far.write_all(options("1", "TCP").as_bytes()).await.unwrap();
        for byte in options("2", "TCP").bytes() {
            sleep(secs(1)).await;
            far.write_all(&[byte]).await.unwrap();
        }
    })
    .await;
    assert_eq!((fault, took.as_secs(), messages), (Some("stalled"), 11, 1));
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_time() {
    let (fault, _, messages) = lived(true, async |mut far, _writes| {
        let whole = options("1", "TCP").repeat(12);
        for part in whole.as_bytes().chunks(whole.len() / 18) {
            far.write_all(part).await.unwrap();
            sleep(secs(3)).await;
        }
    })
    .await;
    assert_eq!((fault, messages), (Some("driven"), 12));
}

#[tokio::test(start_paused = true)]
async fn keep_alives_alone_prove_nothing() {
    let (fault, took, messages) = lived(false, async |mut far, _writes| {
        loop {
            far.write_all(b"\r\n\r\n").await.unwrap();
            let mut pong = [0; 2];
            far.read_exact(&mut pong).await.unwrap();
            assert_eq!(&pong, b"\r\n");
            sleep(secs(4)).await;
        }
    })
    .await;
    assert_eq!((fault, took.as_secs(), messages), (Some("unproven"), 30, 0));
}

#[tokio::test(start_paused = true)]
async fn connections_of_ours_are_kept_alive_without_an_answer() {
    let (fault, took, _) = lived(true, async |mut far, _writes| {
        let mut ping = [0; 4];
        for _ in 0..200 {
            let begun = Now::now();
            far.read_exact(&mut ping).await.unwrap();
            assert_eq!(&ping, b"\r\n\r\n");
            assert!((secs(24)..=secs(30)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        }
    })
    .await;
    assert_eq!(fault, Some("driven"));
    assert!(took > secs(3600));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_given_ten_seconds() {
    let (fault, took, _) = lived(true, async |_far, writes| {
        writes.send(vec![b'x'; 5000]).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    // The farewell is not read, either.
    assert_eq!((fault, took.as_secs()), (Some("not_read"), 10));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_peer_is_the_end() {
    let (fault, took, messages) = lived(false, async |mut far, writes| {
        far.write_all(options("1", "TCP").as_bytes()).await.unwrap();
        drop(far);
        let _open = writes;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!((fault, took.as_secs(), messages), (None, 0, 1));
}
