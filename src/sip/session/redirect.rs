//! Redirection (RFC 3261 §8.1.3.4): which targets of a 3xx are worth a call, and the wait for the
//! application to choose one.
//!
//! Owns the order, the bounds and the memory of what was tried. Does not decide whether a target
//! may be called: the application does, by the trunk's allow list.

use super::caller::Inviting;
use super::{Ask, Context, Effect, Exit, Input, Reply, State};
use crate::sip::interface::Event;
use crate::sip::message::{Message, NameAddr, Uri};
use std::time::Instant;

/// Most redirections of one session.
const REDIRECTS_MAX: usize = 5;

/// Most targets that the application is told.
const TARGETS_MAX: usize = 8;

/// Most contacts that are looked at.
const CONTACTS_MAX: usize = 32;

/// The longest target that is followed.
const TARGET_LEN_MAX: usize = 1024;

/// What a session knows about where it has called.
#[derive(Debug)]
pub(super) struct Redirects {
    /// The Request-URIs so far; the first is the original one.
    tried: Vec<String>,
    /// Targets of earlier redirections that are left.
    rest: Vec<String>,
    /// The status of the last redirection.
    code: u16,
}

impl Redirects {
    pub(super) fn new(target: String) -> Self {
        Self { tried: vec![target], rest: Vec::new(), code: 302 }
    }

    /// The Request-URI of the INVITE that is out.
    pub(super) fn target(&self) -> &str {
        self.tried.last().map_or("", String::as_str)
    }

    /// Files a redirection; what cannot be followed is left out.
    pub(super) fn redirected(&mut self, code: u16, message: &Message<'_>) {
        //= RFC 3261 §21.3.4: Contact of 305 is a proxy to be used, not somebody to be called
        //= RFC 3261 §21.3.5: the alternatives of 380 are in the body
        if (300..400).contains(&code) && !matches!(code, 305 | 380) {
            self.code = code;
            let new = targets(message);
            self.rest.splice(0..0, new);
        }
    }

    /// Where the call may still be tried, in order; empty if nowhere.
    //= RFC 3261 §8.1.3.4: a URI MUST NOT be added to the target set more than once
    pub(super) fn left(&mut self) -> Vec<String> {
        if self.tried.len() > REDIRECTS_MAX {
            return Vec::new();
        }
        let mut left: Vec<String> = Vec::new();
        for target in std::mem::take(&mut self.rest) {
            let known = self.tried.iter().chain(&left).any(|known| same(known, &target));
            if !known && left.len() < TARGETS_MAX {
                left.push(target);
            }
        }
        self.rest.clone_from(&left);
        left
    }

    /// Whether this one was called already.
    fn has_tried(&self, target: &str) -> bool {
        self.tried.iter().any(|tried| same(tried, target))
    }
}

/// The INVITE was redirected: the application chooses where it goes on.
#[derive(Debug)]
pub(super) struct Redirecting {
    inviting: Inviting,
    /// How the session ends if nobody chooses.
    exit: Exit,
    until: Instant,
}

impl Redirecting {
    /// Asks the application.
    pub(super) fn ask(
        context: &mut Context<'_>,
        inviting: Inviting,
        targets: Vec<String>,
        exit: Exit,
    ) -> State {
        let code = inviting.redirects.code;
        context.event(Event::Redirected { code, targets });
        let until = context.now + context.policy.t1 * 64;
        State::Redirecting(Self { inviting, exit, until })
    }

    pub(super) fn deadline(&self) -> (Instant, &'static str) {
        (self.until, "redirect_choice")
    }

    pub(super) fn handle(self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Ask(Ask::Redirect(to)) => return self.follow(context, to),
            Input::Ask(Ask::Hangup { .. }) => return context.end(self.exit),
            Input::Timeout if context.now >= self.until => return context.end(self.exit),
            // The early dialogs ended with the INVITE.
            Input::Request { server, .. } => context.reply(server, Reply::code(481)),
            Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Reject { .. }
                | Ask::Reanswer(_)
                | Ask::Acknowledge(_)
                | Ask::Reoffer(_)
                | Ask::Refer { .. }
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_)
                | Ask::Info { .. },
            )
            | Input::Provisional(_)
            | Input::Accepted(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::Left
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Ack(_)
            | Input::Cancel { .. }
            | Input::Timeout => {}
        }
        State::Redirecting(self)
    }

    /// Sends the INVITE elsewhere; going round in a circle ends the session.
    //= RFC 3261 §8.1.3.4: the redirected request is a new one, with the same Call-ID, To and From
    fn follow(mut self, context: &mut Context<'_>, to: String) -> State {
        if self.inviting.redirects.has_tried(&to) {
            return context.end(self.exit);
        }
        self.inviting.redirects.tried.push(to.clone());
        context.effects.push(Effect::Redial { to: Some(to), headers: Vec::new() });
        State::Inviting(self.inviting)
    }
}

/// The contacts of a 3xx that can be called, best first.
//= RFC 3261 §8.1.3.4: ordered by the q parameter, highest first; none counts as 1.0
fn targets(message: &Message<'_>) -> Vec<String> {
    let contacts = message.contacts().take(CONTACTS_MAX).filter_map(Result::ok);
    let mut ranked: Vec<(u32, String)> = contacts
        .filter(|contact| contact.uri.is_sip())
        .map(|contact| (quality(&contact), callable(&contact.uri)))
        .filter(|(_, target)| target.len() <= TARGET_LEN_MAX)
        .collect();
    ranked.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    ranked.into_iter().map(|(_, target)| target).collect()
}

/// A URI without header components and method, which are not for a Request-URI (§19.1.1).
fn callable(uri: &Uri<'_>) -> String {
    let text = uri.text.split('?').next().unwrap_or("");
    let mut parts = text.split(';');
    let mut out = parts.next().unwrap_or("").to_owned();
    let is_method =
        |part: &str| part.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("method"));
    for part in parts.filter(|part| !is_method(part)) {
        out.push(';');
        out.push_str(part);
    }
    out
}

/// q in thousandths; what cannot be read comes last.
fn quality(contact: &NameAddr<'_>) -> u32 {
    let Some(text) = contact.params.get("q") else { return 1000 };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, digits) {
        ("1", true) => 1000,
        ("0" | "", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        (_, _) => 0,
    }
}

fn same(a: &str, b: &str) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(first), Ok(second)) => first.same_as(&second),
        (Ok(_) | Err(_), _) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(contacts: &str) -> Vec<String> {
        let text = format!("SIP/2.0 302 Moved\r\n{contacts}\r\n");
        targets(&Message::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn contacts_are_ranked_by_q_then_by_place() {
        let contacts = "Contact: <sip:c@h>;q=0.5, <sip:a@h>, <sip:d@h>;q=0.50\r\n\
                        Contact: <sip:b@h>;q=1.0;x, <sip:f@h>;q=0, <sip:e@h>;q=.7\r\n\
                        Contact: <sip:g@h>;q=high\r\n";
        let order = ["sip:a@h", "sip:b@h", "sip:e@h", "sip:c@h", "sip:d@h", "sip:f@h", "sip:g@h"];
        assert_eq!(of(contacts), order);
    }

    #[test]
    fn only_what_can_be_called_is_a_target() {
        let contacts = "Contact: <tel:+1555>, <mailto:a@b>\r\n\
                        Contact: <sip:a@h;method=BYE;user=phone?Route=%3Csip:evil%3E>\r\n";
        assert_eq!(of(contacts), ["sip:a@h;user=phone"]);
        assert_eq!(of(&format!("Contact: <sip:{}@h>\r\n", "x".repeat(1100))), [""; 0]);
        assert_eq!(of("Contact: *\r\n"), [""; 0]);
    }

    #[test]
    fn what_was_tried_is_left_out_and_the_number_is_bounded() {
        let mut redirects = Redirects::new("sip:a@h".to_owned());
        let many: Vec<String> = (0..20).map(|n| format!("<sip:{n}@h>")).collect();
        let many = format!("Contact: {}\r\n", many.join(","));
        let text = format!("SIP/2.0 302 M\r\nContact: <sip:a@H>, <sip:0@h>\r\n{many}\r\n");
        redirects.redirected(302, &Message::parse(text.as_bytes()).unwrap());
        assert_eq!(redirects.left().len(), 8);
        for n in 0..5 {
            let left = redirects.left();
            assert_eq!(left.first(), Some(&format!("sip:{n}@h")));
            redirects.tried.push(left[0].clone());
        }
        assert!(redirects.left().is_empty(), "five redirections are enough");
    }
}
