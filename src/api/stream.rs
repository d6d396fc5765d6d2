//! The door of the stream: the WebSocket upgrade and the socket behind it.
//!
//! Owns tokio-tungstenite and the upgrade of a hyper connection. Does not know what the messages
//! mean (`app::stream` does) nor who may come in (the key was checked before).

use super::error::Problem;
use super::gateway::Gateway;
use crate::id::CallId;
use hyper::{Request, Response};

/// An upgrade that was refused; the answer needs `header` beside the problem body.
#[derive(Debug)]
pub struct Refusal {
    /// What is wrong.
    pub problem: Problem,
    /// A header field that the answer must carry.
    pub header: Option<(&'static str, &'static str)>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, header: None }
    }
}

/// Serves `GET /calls/{id}/stream`: checks the handshake, reserves the seat at the call's stream,
/// and answers 101; the socket goes to the call once the connection is switched over.
///
/// `query` holds the decoded pairs of the request's query.
///
/// # Errors
/// [`Refusal`]: 426 and 400 for a handshake or parameter that is wrong, 501 for one that is not
/// served, and whatever the daemon says about the call (404, 409, 410, 503).
pub async fn upgrade<B: Send>(
    gateway: &Gateway,
    call: CallId,
    query: &[(String, String)],
    request: &mut Request<B>,
) -> Result<Response<()>, Refusal> {
    let _ = (gateway, call, query, request);
    Err(Problem::internal("not there").into())
}
