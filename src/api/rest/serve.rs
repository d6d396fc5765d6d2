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
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Connections at once of one address, so that nobody takes all places.
    pub connections_per_source: usize,
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
            connections_per_source: 1024,
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
    let places = Arc::new(Places::new(limits));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let place = places.take(peer.ip());
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

/// The places for connections, in all and by address.
#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    per_source: usize,
    sources: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    places: Arc<Places>,
    source: IpAddr,
}

impl Places {
    fn new(limits: ServeLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections)),
            per_source: limits.connections_per_source,
            sources: Mutex::new(HashMap::new()),
        }
    }

    /// A place, if there is one. The table has at most as many rows as there are places.
    fn take(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = sources.entry(source).or_default();
        if *taken >= self.per_source {
            return None;
        }
        *taken += 1;
        Some(Place { _permit: permit, places: Arc::clone(self), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = self.places.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = sources.get_mut(&self.source) {
            *taken -= 1;
            if *taken == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

/// One connection, from its first byte to its last or to its upgrade.
async fn connection(
    mut socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServeLimits,
    place: Option<Place>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_all_places() {
        let limits =
            ServeLimits { connections: 3, connections_per_source: 2, ..ServeLimits::default() };
        let places = Arc::new(Places::new(limits));
        let [one, two]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert!(places.take(one).is_none(), "its share is used");
        let _third = places.take(two).unwrap();
        assert!(places.take(two).is_none(), "all are used");
        drop(first);
        assert!(places.take(two).is_some() && places.take(one).is_some());
        assert_eq!(places.sources.lock().unwrap().len(), 2, "rows go with their connections");
    }
}
