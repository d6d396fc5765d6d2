//! The main client without its socket: how long it is waited for, and how it goes on.
//!
//! ```text
//!  attached ── socket lost ──> away (told and heard go on) ── token in time ──> attached
//!     │                          └── time over, or another client ──> forgotten
//!     └── another client takes the place: closed with 4001
//! ```
//!
//! Playout goes on all the while. Does not compare tokens before the upgrade: the seats do.

use super::audience::Place;
use super::{Moment, Session};
use crate::app::stream::client::Client;
use crate::app::stream::options::{Listen, OnLost, Resume, Settings, StreamOptions};
use crate::app::stream::resume::Token;
use crate::app::stream::seat::{CloseCode, StreamRights};
use crate::app::stream::wire::{CommandId, Told};
use std::time::{Duration, Instant};

/// How long after its beginning a prompt may be said again.
const PROMPT_EVERY: Duration = Duration::from_secs(3);
/// The name of its utterance.
const PROMPT: &str = "hold_prompt";

/// A client that may come back.
pub(super) struct Away {
    pub(super) client: Client,
    until: Instant,
}

impl Session {
    /// How long the call goes on without its client.
    pub(super) fn linger(&self) -> Duration {
        let wish = &self.reconnect;
        match wish.on_lost.unwrap_or_default() {
            OnLost::Hangup => Duration::ZERO,
            OnLost::Hold | OnLost::Prompt => wish.linger.unwrap_or(self.spec.linger),
        }
    }

    /// The conversation of the main client, with a socket or without.
    pub(super) fn conversation(&mut self) -> Option<&mut Client> {
        let away = self.away.as_mut().map(|away| &mut away.client);
        self.client.as_mut().or(away)
    }

    /// Offers a client to go on after a loss; the token, if it is offered.
    pub(super) fn offer_to(&mut self, client: &mut Client) -> Option<Token> {
        self.conversations += 1;
        if self.linger().is_zero() {
            return None;
        }
        client.offer(Token::draw(&self.spec.secret, self.conversations))
    }

    /// The token by which somebody could go on at this moment.
    pub(in crate::app::stream) fn resumable(&self) -> Option<Token> {
        let away = self.away.as_ref().and_then(|away| away.client.token());
        away.or_else(|| self.client.as_ref()?.token()).filter(|_| !self.over)
    }

    /// The socket of a client is gone: waits for it, if it was offered that.
    pub(super) fn wait_for(&mut self, mut client: Client, now: Moment) {
        if client.token().is_some() {
            client.leave(now.at);
            let until = now.at + self.linger();
            self.away = Some(Box::new(Away { client, until }));
        }
    }

    /// When nobody is waited for any more.
    pub(super) fn away_until(&self) -> Option<Instant> {
        self.away.as_ref().map(|away| away.until)
    }

    /// Gives up a client that was waited for long enough.
    pub(super) fn wait_no_longer(&mut self, now: Instant) {
        if self.away.take_if(|away| away.until <= now).is_some() {
            self.order_capture();
        }
    }

    /// Whether a prompt is heard while nobody is there.
    fn has_prompt(&self) -> bool {
        let wished = self.reconnect.on_lost == Some(OnLost::Prompt);
        wished && self.away.is_some() && self.started && !self.over && !self.lent
    }

    /// When the prompt may be due.
    pub(super) fn prompt_deadline(&self) -> Option<Instant> {
        let idle = self.queue.queued() == 0 && !self.spoken.is_making();
        self.prompt_at.filter(|_| idle && self.has_prompt())
    }

    /// Says the prompt, over and over, while nobody is there and nothing else is queued.
    pub(super) fn prompt(&mut self, now: Moment) {
        if !self.has_prompt() {
            return;
        }
        if let Some(line) = &self.line {
            self.queue.look(&line.playout);
        }
        let due = self.prompt_at.get_or_insert(now.at);
        if *due > now.at || self.queue.queued() > 0 || self.spoken.is_making() {
            return;
        }
        *due = now.at + PROMPT_EVERY;
        let text = self.reconnect.prompt.clone().unwrap_or_default();
        // A voice that fails now may speak the next time.
        drop(self.say(Some(CommandId::Text(PROMPT.into())), &text, None));
    }

    /// Somebody is there again: the prompt is not heard to its end.
    pub(super) fn end_prompt(&mut self, now: Moment) {
        if self.prompt_at.take().is_some() {
            // There may be nothing of it in the queue.
            drop(self.clear(None, None, Some(&PROMPT.into()), now));
        }
    }

    /// Somebody else gets the main place: closes the client that has it, which keeps its socket
    /// until then in the place that is given. Its conversation can be gone on with.
    pub(in crate::app::stream) fn displace(&mut self, now: Moment) -> Option<Place> {
        let client = self.client.as_ref()?;
        let (settings, rights) = (deaf(client.settings), client.rights.clone());
        let mut leaving = Client::new(settings, rights, self.spec.sample_rate, now.at);
        leaving.close(CloseCode::Replaced, "another client took the place", now.at);
        self.lose_main("replaced", now);
        Some(self.seat_leaving(leaving))
    }

    /// A client is back that has the token; which place it has.
    pub(super) fn go_on(
        &mut self,
        resume: &Resume,
        options: &StreamOptions,
        rights: StreamRights,
        now: Moment,
    ) -> Place {
        // What has come by now is for its outlet, wherever that is.
        self.capture(now.at);
        let fits = |away: &mut Box<Away>| {
            away.client.token().is_some_and(|token| token.fits(&resume.token))
        };
        let Some(away) = self.away.take_if(fits) else {
            // The time ran out while the socket was on its way.
            let settings = self.settings_of(&options.or(&self.spec.options));
            let leg_rate = self.spec.sample_rate;
            let mut late = Client::new(deaf(settings), rights, leg_rate, now.at);
            late.close(CloseCode::ResumeOver, "there is nothing to go on with", now.at);
            return self.seat_leaving(late);
        };
        self.end_prompt(now);
        let mut client = away.client;
        client.rights = rights;
        let settings = client.settings;
        let replayed = client.come_back(resume, now.at);
        let start = self.start_message(&settings, client.token(), true);
        client.tell_first(&Told::Start(Box::new(start)), replayed.since, now);
        client.tell_first(&Told::Replayed(Box::new(replayed)), replayed.since, now);
        self.client = Some(client);
        self.lost_at = None;
        self.order_capture();
        self.report_attached(&settings);
        Place::Main
    }
}

/// For a client that is only told to go.
fn deaf(settings: Settings) -> Settings {
    Settings { listen: Listen::None, ..settings }
}
