//! Who comes in: basic authentication with an account's name and token, as the vendors' libraries
//! send it, within the same limits as the keys of the API.

use super::Login;
use crate::api::auth::Grant;
use crate::api::error::{Code, Problem};
use crate::api::rest::{ApiState, guard};
use crate::speech::base64;
use http::request::Parts;
use http::{HeaderMap, header};
use std::sync::Arc;
use std::time::Instant;

/// The account of a request; its path must name the same.
///
/// # Errors
/// 401, and 429 for who tries or asks too often.
pub(super) fn sign_in(
    state: &ApiState,
    parts: &Parts,
    account: &str,
) -> Result<Arc<Login>, Problem> {
    let login = basic(&parts.headers)
        .filter(|(user, _)| user == account)
        .and_then(|(user, password)| state.compat.find(&user, &password));
    let Some(login) = login else {
        let problem = Problem::new(Code::Unauthorized, "the account or its token is not known");
        return Err(guard::slowed_down(state, &parts.extensions, problem));
    };
    within_rate(state, &login.grant)?;
    Ok(login)
}

/// Counts a request of a key.
///
/// # Errors
/// 429.
pub(super) fn within_rate(state: &ApiState, grant: &Grant) -> Result<(), Problem> {
    let verdict = state.requests.take(&grant.key, Instant::now());
    if verdict.allowed {
        return Ok(());
    }
    let detail = "too many requests of this account";
    Err(Problem::new(Code::RateLimited, detail).with_retry_after(verdict.wait))
}

/// The user and password of a request (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, code) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64::decode(code.trim())?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_read_from_the_header() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            basic(&headers)
        };
        let code = base64::encode(b"AC1:to:ken");
        assert_eq!(read(&format!("Basic {code}")), Some(("AC1".into(), "to:ken".into())));
        assert_eq!(read(&format!("basic  {code}")), Some(("AC1".into(), "to:ken".into())));
        for bad in ["Basic", "Basic !", "Bearer x", "Basic QUMx"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(basic(&HeaderMap::new()), None);
    }
}
