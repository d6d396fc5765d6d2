//! Queries of lists and the ids in paths.

use crate::api::error::{Code, Problem};
use crate::api::types::fields::clip;
use axum::extract::{FromRequestParts, Path, Query};
use http::Uri;
use http::request::Parts;
use std::str::FromStr;

/// The decoded pairs of a query.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Problem::new(Code::InvalidRequest, format!("query: {error}")))?;
    Ok(pairs)
}

/// A parameter that breaks a rule.
pub(super) fn wrong(name: &str, rule: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail).with_pointer(format!("?{}", clip(name)), rule)
}

/// The id in a path; what is none names nothing, so it is 404.
#[derive(Debug)]
pub(super) struct Id<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: FromStr + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("the path holds no valid id"))
    }
}
