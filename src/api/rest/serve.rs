//! The HTTP/1.1 server below the routes: connections, their number, and how slow they may be.
//!
//! Owns hyper. Beyond the cap a connection gets a short 503 and is closed; a head that takes
//! longer than ten seconds ends its connection, so that idle peers cannot hold the places. An
//! upgraded connection (WebSocket) leaves its place: the call that it belongs to bounds those.

use super::PeerAddr;
use crate::api::error::Problem;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Connections at once; the next ones get 503.
    pub connections: usize,
    /// How long a request's head may take to arrive, and how long a connection may idle.
    pub head_timeout: Duration,
    /// Bytes of a request's head; then 431.
    pub head_bytes: usize,
    /// How long requests may go on once the server is to stop.
    pub grace: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            head_timeout: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            grace: Duration::from_secs(10),
        }
    }
}

/// Bytes that a connection may have read and not yet handed on.
const READ_BUFFER: usize = 64 * 1024;

/// Serves `router` on `listener` until `shutdown` is done, then lets the requests under way end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let place = Arc::clone(&places).try_acquire_owned().ok();
                    let stopping = stopping.clone();
                    connections.spawn(connection(socket, peer, router.clone(), limits, place, stopping));
                }
                Err(error) => {
                    // Out of descriptors: others must end first. Any other error is the peer's.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// One connection, from its first byte to its last or to its upgrade.
async fn connection(
    mut socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServeLimits,
    place: Option<OwnedSemaphorePermit>,
    mut stopping: watch::Receiver<bool>,
) {
    let Some(_place) = place else {
        refuse(&mut socket, limits.head_timeout).await;
        return;
    };
    // Small answers and audio must not wait for the next ones.
    let _ = socket.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(PeerAddr(peer));
        let service = TowerToHyperService::new(router.clone());
        hyper::service::Service::call(&service, request)
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes)
        .max_buf_size(READ_BUFFER);
    let serving = http.serve_connection(TokioIo::new(socket), service).with_upgrades();
    tokio::pin!(serving);
    let told = async {
        // An error means that the server is gone, which is as good a reason to stop.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let result = tokio::select! {
        result = &mut serving => result,
        () = told => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended with an error");
    }
}

/// Answers without reading: there is no room.
async fn refuse(socket: &mut TcpStream, patience: Duration) {
    let problem = Problem::capacity_exceeded("too many connections");
    let body = problem.to_json(None, None);
    let mut answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
         Retry-After: 1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    let _ = tokio::time::timeout(patience, socket.write_all(&answer)).await;
}
