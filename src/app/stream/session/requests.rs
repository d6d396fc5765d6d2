//! What each request of the full protocol does.

use super::{Digits, Session, WISHES_MAX};
use crate::app::Report;
use crate::app::playout::Full;
use crate::app::stream::client::Moment;
use crate::app::stream::dialect::Heard;
use crate::app::stream::wire::{self, CommandId, OutWish, Refused, Request, Told};
use crate::audio::decode::LiveFormat;
use crate::call::control::{DtmfMethod, DtmfWish, Wish, WishError};
use crate::call::target::is_sip;
use crate::media::interface::{CLEAR_FADE, Command};
use crate::turn::barge::Input;
use std::sync::Arc;
use std::time::Duration;

impl Session {
    /// Takes up what the client said, until there is audio that must be decoded first.
    pub(super) fn take_heard(&mut self, now: Moment) {
        while self.client.as_ref().is_some_and(|client| client.pending.is_empty()) {
            let waited = self.next_waiting();
            let next = || self.client.as_mut().and_then(|client| client.heard.pop_front());
            let Some(heard) = waited.or_else(next) else { return };
            if let Some(heard) = self.keep_waiting(heard, now) {
                self.take_up(heard, now);
            }
        }
    }

    /// Takes up one thing that the client said.
    pub(super) fn take_up(&mut self, heard: Heard, now: Moment) {
        match heard {
            Heard::Request(id, request) => {
                if let Err(refused) = self.on_request(id.clone(), *request, now) {
                    self.refuse(Refused { id, ..refused }, now);
                }
            }
            Heard::Audio(octets) => self.on_binary(octets, now),
            Heard::Refused(refused) => {
                // A type that is unknown may be of a later version; what is no message is a fault.
                let fault = refused.code == wire::INVALID;
                self.refuse(refused, now);
                if let Some(client) = self.client.as_mut().filter(|_| fault) {
                    client.fault(now);
                }
            }
            Heard::Fatal(code, reason) => {
                if let Some(client) = &mut self.client {
                    client.close(code, reason, now.at);
                }
            }
        }
    }

    /// An agent conducts the call: what its watcher sends is not played.
    pub(super) fn refuse_audio(&mut self, now: Moment) {
        if self.refused_hush.may_speak(now.at) {
            let detail = "an agent conducts this call: audio is not played".to_owned();
            self.refuse(Refused { id: None, code: "conflict", detail }, now);
        }
    }

    fn refuse(&mut self, refused: Refused, now: Moment) {
        let Refused { id, code, detail } = refused;
        self.tell(&Told::Error { id, code, detail, fatal: false }, now);
    }

    /// Whether a call like this one takes such a request.
    fn may_ask(&self, request: &Request) -> Result<(), Refused> {
        let watches = matches!(*request, Request::Ping | Request::Stats | Request::Hangup { .. });
        if self.spec.observer && !watches {
            let detail = "an agent conducts this call: its stream can be watched".to_owned();
            return Err(Refused { id: None, code: "conflict", detail });
        }
        if self.lent && is_playout(request) {
            let detail = "the call is joined with another one: nothing is played".to_owned();
            return Err(Refused { id: None, code: "conflict", detail });
        }
        Ok(())
    }

    /// Does it, and acknowledges what is done at once.
    fn on_request(
        &mut self,
        id: Option<CommandId>,
        request: Request,
        now: Moment,
    ) -> Result<(), Refused> {
        self.may_ask(&request)?;
        match request {
            Request::Configure { format, rate, out } => self.configure(format, rate, out, now)?,
            Request::Utterance(name) => {
                self.inlet.flush(&mut self.queue);
                self.queue.open(Some(name)).map_err(refused)?;
                self.pause_at = None;
            }
            Request::UtteranceEnd => {
                self.inlet.flush(&mut self.queue);
                self.queue.close();
                self.pause_at = None;
            }
            Request::Mark(name) => {
                self.inlet.settle(&mut self.queue);
                self.queue.mark(&name).map_err(refused)?;
            }
            Request::Clear { fade_ms, utterance } => {
                self.clear(id, fade_ms, utterance.as_ref(), now)?;
                self.hear_of(Input::Cleared, now);
                return Ok(());
            }
            Request::Pause => {
                self.release_hold(now);
                self.pause(true, now);
            }
            Request::Resume => {
                self.release_hold(now);
                self.pause(false, now);
            }
            Request::BargeIn { confirm } => self.decide_barge_in(confirm, now)?,
            Request::Background(on) => self.play_background(on),
            Request::Dtmf { digits, duration_ms, gap_ms, method } => {
                self.press(id, DtmfWish { digits, method, duration_ms, gap_ms }, now);
                return Ok(());
            }
            Request::Wish(wish) => {
                self.may_wish(&wish)?;
                self.wish(id, *wish, now);
                return Ok(());
            }
            Request::Hangup { reason, after_playback } => {
                // Who watches has nothing playing.
                self.hang_up(reason, after_playback && !self.spec.observer && !self.lent);
            }
            Request::Ping => {
                self.tell(&Told::Pong { id }, now);
                return Ok(());
            }
            Request::Stats => {
                self.tell_stats(id, now);
                return Ok(());
            }
            Request::Say { text, voice } => self.say(id.clone(), &text, voice.as_deref())?,
            Request::Play(file) => self.play(id.clone(), file)?,
            Request::Event { name, data } => self.relay(name, data, now),
            Request::Record(wish) => return self.take_record(id, &wish, now),
        }
        for note in self.inlet.take_notes() {
            self.warn_of(note, now);
        }
        self.acknowledge(id, now);
        Ok(())
    }

    /// Audio goes on in another form, either way.
    fn configure(
        &mut self,
        format: Option<LiveFormat>,
        rate: Option<u32>,
        out: OutWish,
        now: Moment,
    ) -> Result<(), Refused> {
        if out != OutWish::default()
            && !self.client.as_mut().is_some_and(|client| client.reshape(out, now))
        {
            let detail = "this client is sent no audio".to_owned();
            return Err(Refused { id: None, code: "conflict", detail });
        }
        if format.is_some() || rate.is_some() {
            // What came before is of the old format and is still to be heard.
            self.inlet.flush(&mut self.queue);
            self.inlet.configure(format, rate);
            if let Some(client) = &mut self.client {
                client.settings.format = format.unwrap_or(client.settings.format);
                client.settings.rate = rate.unwrap_or(client.settings.rate);
            }
            self.watch_client(now.at);
        }
        Ok(())
    }

    /// Passes something of the client's own on to those who listen, and to the call.
    fn relay(&mut self, name: String, data: serde_json::Value, now: Moment) {
        self.report(Report::ClientEvent { name: name.clone() });
        self.audience.tell(&Told::Event { name, data }, now);
    }

    /// Digits go by the leg where it can be, else the call has to send them.
    fn press(&mut self, id: Option<CommandId>, keys: DtmfWish, now: Moment) {
        let by_call = match keys.method {
            DtmfMethod::Info | DtmfMethod::Inband => true,
            DtmfMethod::Auto => self.spec.keys_by_call,
            DtmfMethod::Rfc4733 => false,
        };
        if by_call || self.lent {
            return self.wish(id, Wish::Dtmf(keys), now);
        }
        let DtmfWish { digits, method, duration_ms, gap_ms } = keys;
        let whole = digits.clone();
        self.dial(Digits { rest: digits, whole, method, duration_ms, gap_ms, id }, now);
    }

    /// Calling SIP URIs takes a right of its own, as in REST; the trunk decides on the rest.
    fn may_wish(&self, wish: &Wish) -> Result<(), Refused> {
        let Wish::Transfer(transfer) = wish else { return Ok(()) };
        let may = self.client.as_ref().is_some_and(|client| client.rights.sip_uris);
        if may || !is_sip(&transfer.to) {
            return Ok(());
        }
        let detail = "this client's key lacks the scope calls:sip".to_owned();
        Err(Refused { id: None, code: "forbidden_scope", detail })
    }

    /// Asks the call; its answer is that of the command.
    pub(super) fn wish(&mut self, id: Option<CommandId>, wish: Wish, now: Moment) {
        if self.wishes.len() >= WISHES_MAX {
            let detail = "too many commands wait for the call already".to_owned();
            return self.refuse(Refused { id, code: "busy", detail }, now);
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.wishes.push_back((ticket, id));
        self.report(Report::Wish { ticket, wish: Box::new(wish) });
    }

    /// The call has answered.
    pub(super) fn granted(&mut self, ticket: u64, result: Result<(), WishError>, now: Moment) {
        let index = self.wishes.iter().position(|(waiting, _)| *waiting == ticket);
        let Some((_, id)) = index.and_then(|index| self.wishes.remove(index)) else { return };
        match result {
            Ok(()) => self.acknowledge(id, now),
            Err(error) => {
                let (code, detail) = (error.code(), error.to_string());
                self.refuse(Refused { id, code, detail }, now);
            }
        }
    }

    /// Acknowledged when the worker confirms, behind the facts of what was cut.
    pub(super) fn clear(
        &mut self,
        id: Option<CommandId>,
        fade_ms: Option<u64>,
        utterance: Option<&Arc<str>>,
        now: Moment,
    ) -> Result<(), Refused> {
        if utterance.is_none() {
            self.give_up_spoken(now);
        }
        self.queue.set_fade(fade_ms.map_or(CLEAR_FADE, Duration::from_millis));
        let ticket = self.next_ticket;
        let is_open = match (utterance, self.queue.open_utterance()) {
            (None, _) => true,
            (Some(name), Some(open)) => open.as_ref() == Some(name),
            (Some(_), None) => false,
        };
        if is_open {
            self.forget_making();
            self.inlet.settle(&mut self.queue);
        }
        let cleared = match utterance {
            None => self.queue.clear(ticket).map(|()| true),
            Some(name) => self.queue.clear_utterance(name, ticket),
        };
        if !cleared.map_err(refused)? {
            let detail = "no utterance of this name is queued".to_owned();
            return Err(Refused { id: None, code: "not_queued", detail });
        }
        if is_open {
            self.inlet.reset();
            self.pause_at = None;
        }
        self.next_ticket += 1;
        self.tickets.push_back((ticket, id));
        Ok(())
    }

    pub(super) fn pause(&mut self, pause: bool, now: Moment) {
        if self.paused == pause {
            return;
        }
        self.paused = pause;
        self.order(Command::Pause(pause));
        self.watch_for_pause(now.at);
        let (utterance, played_ms) = self.queue.sounding(self.sent()).unwrap_or_default();
        let state = if pause { "paused" } else { "resumed" };
        self.tell_playback(state, utterance, [played_ms, 0, 0], now);
    }

    fn play_background(&mut self, on: bool) {
        self.background = on;
        self.order(Command::Background(on));
    }

    pub(super) fn hang_up(&mut self, reason: Option<String>, after_playback: bool) {
        if after_playback && !self.hanging {
            self.inlet.flush(&mut self.queue);
            self.queue.when_drained();
            self.hanging = true;
            self.pause_at = None;
        } else if !after_playback {
            self.report(Report::HangupRequested { reason });
        }
    }
}

/// Whether a request is about what is played.
fn is_playout(request: &Request) -> bool {
    match request {
        Request::Utterance(_)
        | Request::UtteranceEnd
        | Request::Mark(_)
        | Request::Clear { .. }
        | Request::Pause
        | Request::Resume
        | Request::Background(_)
        | Request::Say { .. }
        | Request::Play(_)
        | Request::BargeIn { .. } => true,
        Request::Configure { .. }
        | Request::Dtmf { .. }
        | Request::Wish(_)
        | Request::Hangup { .. }
        | Request::Ping
        | Request::Stats
        | Request::Event { .. }
        | Request::Record(_) => false,
    }
}

/// A limit that was hit, as the client hears of it.
pub(super) fn refused(full: Full) -> Refused {
    let code = match full {
        Full::Marks => "too_many_marks",
        Full::Utterances => "too_many_utterances",
        Full::Clears => "busy",
    };
    Refused { id: None, code, detail: full.to_string() }
}
