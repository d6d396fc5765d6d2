//! Other people's servers: documents, files and callbacks, each request signed and bounded.
//!
//! Owns the time and size that an answer may take, and redirections: each step goes through the
//! same client, so that it is held to the same reach. Knows no verbs.

use crate::net::http::{HttpClient, HttpError, HttpRequest, HttpTimes};
use crate::twiml::form;
use crate::twiml::signature::{HEADER, sign};
use crate::twiml::{DOCUMENT_MAX, FetchedDocument, Link, Method, Query, resolve};
use std::time::Duration;

/// How long a document may take, redirections included.
const DOCUMENT_TIME: Duration = Duration::from_secs(5);
/// How long a file may take, and its octets.
const FILE_TIME: Duration = Duration::from_secs(15);
const FILE_MAX: usize = 16 << 20;
/// Redirections of one request.
const REDIRECTS_MAX: usize = 3;

/// Why there is no answer to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The server, or the way to it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It answered, and not with what was asked for.
    #[error("{url} answered with status {status}")]
    Status {
        /// Without its query.
        url: String,
        /// The status.
        status: u16,
    },
    /// It took too long as a whole.
    #[error("{url} did not answer within {} ms", after.as_millis())]
    Late {
        /// Without its query.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// It sends from one place to the next.
    #[error("{0} is redirected too often, or to no place")]
    Redirected(String),
}

/// An answer.
struct Answer {
    url: String,
    content_type: Option<String>,
    body: Vec<u8>,
}

/// Asks; cheap to clone.
#[derive(Debug, Clone)]
pub struct Web {
    client: HttpClient,
}

impl Web {
    /// Asks through this client, which bounds where requests may go.
    #[must_use]
    pub fn new(client: HttpClient) -> Self {
        Self { client }
    }

    /// Asks for a document, within 5 s and 64 KiB.
    ///
    /// # Errors
    /// [`WebError`].
    pub async fn document(&self, token: &str, query: &Query) -> Result<FetchedDocument, WebError> {
        let (times, max) = (DOCUMENT_TIME, DOCUMENT_MAX);
        let asked = self.follow(token, &query.link, &query.parameters, max);
        let Answer { url, content_type, body } = within(times, &query.link.url, asked).await?;
        Ok(FetchedDocument { url, content_type, body })
    }

    /// Fetches a file, within 15 s and 16 MiB.
    ///
    /// # Errors
    /// [`WebError`].
    pub async fn file(&self, token: &str, url: &str) -> Result<Vec<u8>, WebError> {
        let link = Link { url: url.to_owned(), method: Method::Get };
        let asked = self.follow(token, &link, &[], FILE_MAX);
        Ok(within(FILE_TIME, url, asked).await?.body)
    }

    /// Tells something to whoever only has to say that it was heard, within 5 s.
    ///
    /// # Errors
    /// [`WebError`].
    pub async fn tell(
        &self,
        token: &str,
        link: &Link,
        parameters: &[(String, String)],
    ) -> Result<(), WebError> {
        let asked = self.follow(token, link, parameters, DOCUMENT_MAX);
        within(DOCUMENT_TIME, &link.url, asked).await.map(|_| ())
    }

    /// Asks, and goes where it is sent.
    async fn follow(
        &self,
        token: &str,
        link: &Link,
        parameters: &[(String, String)],
        max: usize,
    ) -> Result<Answer, WebError> {
        let mut at = link.clone();
        let mut said = parameters;
        for _ in 0..=REDIRECTS_MAX {
            let request = request(token, &at, said);
            let answer = self.client.send(request).await?;
            let status = answer.status();
            if (300..400).contains(&status) && status != 304 {
                let to = answer.header("location").and_then(|to| resolve(Some(&at.url), to));
                let url = to.ok_or_else(|| WebError::Redirected(shown(&at.url)))?;
                at.url = url;
                if !matches!(status, 307 | 308) && at.method == Method::Post {
                    // RFC 9110 §15.4: a POST may become a GET.
                    (at.method, said) = (Method::Get, &[]);
                }
                continue;
            }
            if !answer.is_success() {
                return Err(WebError::Status { url: shown(&at.url), status });
            }
            let content_type = answer.header("content-type").map(str::to_owned);
            let body = answer.body(max).await?;
            return Ok(Answer { url: at.url, content_type, body });
        }
        Err(WebError::Redirected(shown(&link.url)))
    }
}

fn shown(url: &str) -> String {
    crate::net::http::shown(url)
}

async fn within(
    time: Duration,
    url: &str,
    asked: impl Future<Output = Result<Answer, WebError>>,
) -> Result<Answer, WebError> {
    let late = |_| WebError::Late { url: shown(url), after: time };
    tokio::time::timeout(time, asked).await.map_err(late)?
}

/// One signed request.
fn request(token: &str, link: &Link, parameters: &[(String, String)]) -> HttpRequest {
    let times = HttpTimes { first_byte: FILE_TIME, idle: FILE_TIME };
    let bare = HttpRequest { method: link.method.as_str(), times, ..HttpRequest::default() };
    match link.method {
        Method::Post => {
            let signature = sign(token, &link.url, parameters);
            let kind = "application/x-www-form-urlencoded; charset=utf-8";
            let body = form::encode(parameters).into_bytes();
            HttpRequest { url: link.url.clone(), body, ..bare }
                .with_header("content-type", kind)
                .with_header(HEADER, &signature)
        }
        Method::Get => {
            let url = match parameters {
                [] => link.url.clone(),
                some => form::with_query(&link.url, some),
            };
            let signature = sign(token, &url, &[]);
            HttpRequest { url, ..bare }.with_header(HEADER, &signature)
        }
    }
}
