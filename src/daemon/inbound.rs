//! Which route an incoming call takes, and what it will do there.

use crate::api::gateway::Content;
use crate::call::Plan;
use crate::config::Pattern;
use crate::id::InstanceId;
use crate::sip::interface::Incoming;

/// One `[[route]]`, ready to use: prompts are decoded, expressions compiled.
pub(super) struct InboundRoute {
    /// Only this trunk.
    pub trunk: Option<String>,
    /// On the user part of the request URI.
    pub to: Pattern,
    /// The line that the call belongs to.
    pub instance: InstanceId,
    /// What it meets.
    pub action: InboundAction,
}

/// What an incoming call meets.
#[derive(Clone)]
pub(super) struct InboundAction {
    /// How it is answered.
    pub plan: Plan,
    /// What it hears.
    pub content: Content,
}

/// The first route that matches.
pub(super) fn choose<'a>(
    routes: &'a [InboundRoute],
    incoming: &Incoming,
) -> Option<&'a InboundRoute> {
    routes.iter().find(|route| {
        let trunk = route.trunk.as_ref().is_none_or(|trunk| *trunk == incoming.trunk);
        trunk && route.to.is_match(&incoming.to_user)
    })
}

/// Longer than any call.
const FOREVER: std::time::Duration = std::time::Duration::from_hours(1000);

/// A stream call that waits for its client for ever: an answered call that is just silent.
pub(super) fn silence() -> Content {
    Content::Stream { options: crate::app::stream::StreamOptions::default(), wait: FOREVER }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(trunk: Option<&str>, to: &str, code: u16) -> InboundRoute {
        InboundRoute {
            trunk: trunk.map(str::to_owned),
            to: to.parse().unwrap(),
            instance: "inst_demo".parse().unwrap(),
            action: InboundAction { plan: Plan::Reject { code }, content: silence() },
        }
    }

    fn incoming(trunk: &str, to_user: &str) -> Incoming {
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
        let code = |trunk: &str, to: &str| {
            choose(&routes, &incoming(trunk, to)).map(|route| route.action.plan)
        };
        assert_eq!(code("a", "12"), Some(Plan::Reject { code: 400 }));
        assert_eq!(code("b", "12"), Some(Plan::Reject { code: 401 }));
        assert_eq!(code("b", "13"), None);
    }
}
