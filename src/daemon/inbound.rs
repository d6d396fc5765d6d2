//! Which route an incoming call takes, and what it will do there.

use super::decision::Hook;
use crate::api::gateway::Content;
use crate::api::stream::ask::{ClientAsk, StreamAsk};
use crate::call::Plan;
use crate::call::control::DialWish;
use crate::call::record::CallType;
use crate::config::{Pattern, Secret};
use crate::id::InstanceId;
use crate::sip::interface::{DigestAlgorithm, Incoming};
use crate::turn::barge::BargeWish;
use std::sync::Arc;

/// One `[[route]]`, ready to use: prompts are decoded, expressions compiled.
pub(super) struct InboundRoute {
    /// Only this trunk.
    pub trunk: Option<String>,
    /// On the user part of the request URI.
    pub to: Pattern,
    /// On the user part of From.
    pub from: Pattern,
    /// Header fields that must be there: name, and what one of its values matches.
    pub headers: Vec<(String, Pattern)>,
    /// Who may take it.
    pub auth: Option<Credentials>,
    /// The line that the call belongs to.
    pub instance: InstanceId,
    /// What it meets, or who says so.
    pub meets: Meets,
}

/// Digest credentials that a caller must have.
#[derive(Clone)]
pub(super) struct Credentials {
    /// The realm.
    pub realm: String,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// What the challenge offers, in order.
    pub algorithms: Vec<DigestAlgorithm>,
}

/// What an incoming call meets, or who says so.
#[derive(Clone)]
pub(super) enum Meets {
    /// This.
    Action(InboundAction),
    /// What a webhook decides.
    Hook(Hook),
}

/// What an incoming call meets.
#[derive(Clone)]
pub(super) struct InboundAction {
    /// How it is answered.
    pub plan: Plan,
    /// What it hears.
    pub content: Content,
    /// Whom it is connected with, if the plan is to call somebody.
    pub party: Option<DialWish>,
    /// What a voice or key does to what it hears; the rest is its instance's to say.
    pub barge: Box<BargeWish>,
}

impl InboundAction {
    /// A plan and what goes with it.
    pub(super) fn new(plan: Plan, content: Content) -> Self {
        Self { plan, content, party: None, barge: Box::default() }
    }
}

/// What a call hears that is connected with somebody: them, and nothing of ours.
pub(super) fn nothing() -> Content {
    Content::Party(CallType::DynamicStream)
}

/// The first route that matches.
pub(super) fn choose<'a>(
    routes: &'a [Arc<InboundRoute>],
    incoming: &Incoming,
) -> Option<&'a Arc<InboundRoute>> {
    let matches = |route: &&Arc<InboundRoute>| {
        let trunk = route.trunk.as_ref().is_none_or(|trunk| *trunk == incoming.trunk);
        let numbers =
            route.to.is_match(&incoming.to_user) && route.from.is_match(&incoming.from_user);
        trunk && numbers && route.headers.iter().all(|(name, value)| has(incoming, name, value))
    };
    routes.iter().find(matches)
}

fn has(incoming: &Incoming, name: &str, value: &Pattern) -> bool {
    let fields = incoming.watched.iter().chain(&incoming.headers);
    fields.into_iter().any(|(known, text)| known.eq_ignore_ascii_case(name) && value.is_match(text))
}

/// Longer than any call.
const FOREVER: std::time::Duration = std::time::Duration::from_hours(1000);

/// A stream call that waits for its client for ever: an answered call that is just silent.
pub(super) fn silence() -> Content {
    let ask = Box::new(StreamAsk { client: ClientAsk::Attaches, ..StreamAsk::default() });
    Content::Stream { options: Box::default(), wait: FOREVER, ask }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn route(trunk: Option<&str>, to: &str, code: u16) -> InboundRoute {
        let action = InboundAction::new(Plan::Reject { code }, silence());
        InboundRoute {
            trunk: trunk.map(str::to_owned),
            to: to.parse().unwrap(),
            from: "".parse().unwrap(),
            headers: Vec::new(),
            auth: None,
            instance: "inst_demo".parse().unwrap(),
            meets: Meets::Action(action),
        }
    }

    fn code<const N: usize>(routes: &[Arc<InboundRoute>; N], incoming: &Incoming) -> Option<u16> {
        match &choose(routes, incoming)?.meets {
            Meets::Action(InboundAction { plan: Plan::Reject { code }, .. }) => Some(*code),
            Meets::Action(_) | Meets::Hook(_) => None,
        }
    }

    pub(in crate::daemon) fn incoming(trunk: &str, to_user: &str) -> Incoming {
        Incoming {
            trunk: trunk.to_owned(),
            to_user: to_user.to_owned(),
            from_user: String::new(),
            from_display: None,
            sip_call_id: String::new(),
            headers: Vec::new(),
            watched: Vec::new(),
            identity: crate::sip::interface::PeerIdentity::default(),
            replaces: None,
            sdp: None,
            remote: "127.0.0.1:5060".parse().unwrap(),
        }
    }

    #[test]
    fn the_first_matching_route_wins() {
        let routes =
            [route(Some("a"), "^1", 400), route(None, "^12$", 401), route(None, "^2", 402)];
        let routes = routes.map(Arc::new);
        assert_eq!(code(&routes, &incoming("a", "12")), Some(400));
        assert_eq!(code(&routes, &incoming("b", "12")), Some(401));
        assert_eq!(code(&routes, &incoming("b", "13")), None);
    }

    #[test]
    fn from_and_header_fields_narrow_a_route() {
        let from = InboundRoute { from: "^[+]49".parse().unwrap(), ..route(None, "", 400) };
        let anonymous = InboundRoute { from: "^$".parse().unwrap(), ..route(None, "", 401) };
        let headers = vec![("x-campaign".to_owned(), "^4[0-9]$".parse().unwrap())];
        let header = InboundRoute { headers, ..route(None, "", 402) };
        let routes = [from, anonymous, header].map(Arc::new);
        let call = |from: &str, header: Option<(&str, &str)>| {
            let headers = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Incoming {
                from_user: from.to_owned(),
                headers: headers.into_iter().collect(),
                ..incoming("a", "1")
            }
        };
        for (from, header, expected) in [
            ("+4930", None, Some(400)),
            ("", None, Some(401)),
            ("+1415", None, None),
            ("+1415", Some(("X-Campaign", "42")), Some(402)),
            ("+1415", Some(("X-Campaign", "442")), None),
            ("+1415", Some(("X-Other", "42")), None),
        ] {
            assert_eq!(code(&routes, &call(from, header)), expected, "{from} {header:?}");
        }
    }
}
