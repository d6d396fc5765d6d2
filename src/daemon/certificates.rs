//! The task that has certificates of signers: fetches each once, remembers it, tells all who wait.
//!
//! ```text
//!  Verifier ── url ──> CertificateDesk ──https──> the signer's repository
//!           <─ chain ──┘  └ CertificateCache
//! ```
//!
//! Owns the fetches under way: at most [`FETCHES_MAX`], each at most [`FETCH_MAX`] long; one more is
//! refused at once. A fetch goes on when nobody waits any more: the next call finds it done. What is
//! remembered, and how long, is `sip::stir::cache`'s.

use crate::net::http::{HttpClient, HttpRequest, HttpTimes};
use crate::sip::stir::cache::{CertificateCache, Known, max_age};
use crate::sip::stir::chain::{Chain, PEM_MAX};
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

/// Fetches at once.
const FETCHES_MAX: usize = 32;
/// Longest fetch.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// Questions that may wait for the task; one more is refused.
const ASKS_MAX: usize = 256;
/// Calls that may wait for one certificate; one more is refused.
const WAITING_MAX: usize = 1024;

/// What a fetch brings.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// Readable, not verified.
    pub chain: Chain,
    /// What the server says.
    pub max_age: Option<Duration>,
}

/// How a certificate is fetched: by https, or as a test says.
pub(super) type Fetch = Arc<dyn Fn(String) -> Fetching + Send + Sync>;
/// A fetch under way.
pub(super) type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, String>> + Send>>;

struct Ask {
    url: String,
    reply: oneshot::Sender<Known>,
}

/// The way to the task; it ends with the last clone.
#[derive(Clone)]
pub(super) struct CertificateDesk {
    asks: mpsc::Sender<Ask>,
}

impl CertificateDesk {
    /// Starts the task.
    pub(super) fn start(fetch: Fetch) -> Self {
        let (asks, received) = mpsc::channel(ASKS_MAX);
        tokio::spawn(Task::new(fetch).run(received));
        Self { asks }
    }

    /// The certificates at an https URL; waits for a fetch. Dropping the future stops waiting only.
    pub(super) async fn certificate(&self, url: &str) -> Known {
        let (reply, told) = oneshot::channel();
        if self.asks.try_send(Ask { url: url.to_owned(), reply }).is_err() {
            return Err(BUSY.into());
        }
        told.await.unwrap_or_else(|_| Err(BUSY.into()))
    }
}

/// Why nothing is fetched.
const BUSY: &str = "too many certificates are being fetched";

struct Task {
    fetch: Fetch,
    cache: CertificateCache,
    waiting: BTreeMap<String, Vec<oneshot::Sender<Known>>>,
    fetches: JoinSet<Result<Fetched, String>>,
    urls: HashMap<Id, String>,
}

impl Task {
    fn new(fetch: Fetch) -> Self {
        Self {
            fetch,
            cache: CertificateCache::default(),
            waiting: BTreeMap::new(),
            fetches: JoinSet::new(),
            urls: HashMap::new(),
        }
    }

    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.hear(ask),
                    None => return,
                },
                Some(fetched) = self.fetches.join_next_with_id() => self.take(fetched),
            }
        }
    }

    fn hear(&mut self, ask: Ask) {
        // Whoever has gone in the meantime hears nothing.
        if let Some(known) = self.cache.find(now(), &ask.url) {
            let _ = ask.reply.send(known);
        } else if let Some(waiting) = self.waiting.get_mut(&ask.url) {
            waiting.retain(|reply| !reply.is_closed());
            if waiting.len() < WAITING_MAX {
                waiting.push(ask.reply);
            }
        } else if self.fetches.len() < FETCHES_MAX {
            let fetch = (self.fetch)(ask.url.clone());
            let task = self.fetches.spawn(async move {
                let fetched = tokio::time::timeout(FETCH_MAX, fetch).await;
                fetched.unwrap_or_else(|_| Err(format!("nothing came within {FETCH_MAX:?}")))
            });
            self.urls.insert(task.id(), ask.url.clone());
            self.waiting.insert(ask.url, vec![ask.reply]);
        }
        // Else the reply is dropped, and whoever asks takes that for "busy".
    }

    fn take(&mut self, fetched: Result<(Id, Result<Fetched, String>), JoinError>) {
        let (id, fetched) = match fetched {
            Ok((id, fetched)) => (id, fetched),
            Err(error) => (error.id(), Err("the fetch failed".to_owned())),
        };
        let Some(url) = self.urls.remove(&id) else { return };
        let (known, max_age): (Known, _) = match fetched {
            Ok(fetched) => (Ok(Arc::new(fetched.chain)), fetched.max_age),
            Err(why) => (Err(why.into()), None),
        };
        self.cache.keep(now(), &url, known.clone(), max_age);
        for reply in self.waiting.remove(&url).unwrap_or_default() {
            let _ = reply.send(known.clone());
        }
    }
}

/// The clock of the runtime, which tests may turn.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Fetches by https.
pub(super) fn by_https(client: HttpClient) -> Fetch {
    Arc::new(move |url| {
        let client = client.clone();
        Box::pin(async move { fetch(&client, url).await })
    })
}

async fn fetch(client: &HttpClient, url: String) -> Result<Fetched, String> {
    let times = HttpTimes { first_byte: FETCH_MAX, idle: FETCH_MAX };
    let request = HttpRequest { method: "GET", url, times, ..HttpRequest::default() };
    let request = request.with_header("accept", "application/pem-certificate-chain, */*;q=0.1");
    let answer = client.send(request).await.map_err(|error| error.to_string())?;
    if answer.status() != 200 {
        return Err(format!("its server answered with status {}", answer.status()));
    }
    let max_age = answer.header("cache-control").and_then(max_age);
    let body = answer.body(PEM_MAX).await.map_err(|error| error.to_string())?;
    let chain = Chain::from_pem(&body).map_err(|error| error.to_string())?;
    Ok(Fetched { chain, max_age })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::stir::cache::{FAILURE, USUAL};
    use crate::sip::stir::testing::Authority;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A desk whose fetches take this long, and the count of them.
    fn desk(
        lasts: Duration,
        fetched: Result<Fetched, String>,
    ) -> (CertificateDesk, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let fetch: Fetch = Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            let fetched = fetched.clone();
            Box::pin(async move {
                tokio::time::sleep(lasts).await;
                fetched
            })
        });
        (CertificateDesk::start(fetch), count)
    }

    fn good() -> Fetched {
        Fetched { chain: Authority::new().issue(2099).chain(), max_age: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_fetched_once_for_all_who_ask() {
        let (desk, count) = desk(Duration::from_secs(1), Ok(good()));
        let (a, b) = tokio::join!(desk.certificate("https://x"), desk.certificate("https://x"));
        assert!(a.is_ok() && a == b);
        assert!(desk.certificate("https://x").await.is_ok());
        assert_eq!(count.load(Ordering::Relaxed), 1);
        tokio::time::advance(USUAL).await;
        assert!(desk.certificate("https://x").await.is_ok());
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_goes_on_when_nobody_waits_any_more() {
        let (desk, count) = desk(Duration::from_secs(1), Ok(good()));
        let wait = Duration::from_millis(500);
        assert!(tokio::time::timeout(wait, desk.certificate("https://x")).await.is_err());
        tokio::time::sleep(wait * 2).await;
        assert!(
            tokio::time::timeout(Duration::ZERO, desk.certificate("https://x")).await.is_ok()
                || desk.certificate("https://x").await.is_ok()
        );
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_remembered_for_a_while_and_hangs_end() {
        let (desk, count) = desk(FETCH_MAX * 2, Ok(good()));
        let why = desk.certificate("https://x").await.unwrap_err();
        assert!(why.contains("nothing came"), "{why}");
        assert_eq!(desk.certificate("https://x").await, Err(why));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        tokio::time::advance(FAILURE).await;
        assert!(desk.certificate("https://x").await.is_err());
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_fetched_at_once() {
        let (desk, count) = desk(Duration::from_secs(1), Err("404".to_owned()));
        let asks: Vec<_> = (0..=FETCHES_MAX)
            .map(|number| {
                let desk = desk.clone();
                tokio::spawn(async move { desk.certificate(&format!("https://{number}")).await })
            })
            .collect();
        let mut busy = 0;
        for ask in asks {
            busy += usize::from(ask.await.unwrap() == Err(BUSY.into()));
        }
        assert_eq!((busy, count.load(Ordering::Relaxed)), (1, FETCHES_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_panics_is_a_failure() {
        let desk = CertificateDesk::start(Arc::new(|_| Box::pin(async { panic!("on purpose") })));
        assert_eq!(desk.certificate("https://x").await, Err("the fetch failed".into()));
    }
}
