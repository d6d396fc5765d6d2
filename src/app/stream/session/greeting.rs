//! What a client is told when it sits down.

use super::{HISTORY_MAX, Moment, Past, Session};
use crate::app::stream::options::{Listen, Playout, Role, Settings};
use crate::app::stream::resume::Token;
use crate::app::stream::wire::{Inward, Outward, ResumeOffer, Start, Told};

impl Session {
    /// Keeps what happened for clients that come later.
    pub(super) fn remember(&mut self, told: Told, now: Moment) {
        if self.history.len() < HISTORY_MAX {
            self.history.push(Past { told, unix_ms: now.unix_ms });
        }
    }

    /// `offer`: by what the client goes on when it has lost its socket; `resumed`: it does.
    pub(super) fn start_message(
        &self,
        settings: &Settings,
        offer: Option<Token>,
        resumed: bool,
    ) -> Start {
        let linger_ms = u64::try_from(self.linger().as_millis()).unwrap_or(u64::MAX);
        let outward = (settings.listen != Listen::None).then(|| Outward {
            format: settings.out_format.as_str(),
            rate: settings.out_rate,
            channels: settings.listen.channels(),
            frame_ms: settings.frame_ms,
            tracks: settings.listen.tracks(),
        });
        Start {
            version: 1,
            call_id: self.spec.call.to_string(),
            instance_id: self.spec.instance.to_string(),
            direction: self.spec.direction,
            from: self.spec.from.clone(),
            identity: self.spec.identity.clone(),
            to: self.spec.to.clone(),
            sip: self.spec.sip.clone(),
            srtp: self.spec.srtp,
            call_status: self.status(),
            inward: Inward { format: settings.format.name(), rate: settings.rate, channels: 1 },
            outward,
            buffer_ms: settings.buffer_ms,
            playout: if settings.live.is_some() { Playout::Live } else { Playout::Queue }.as_str(),
            barge_in: self.barge_mode().as_str(),
            transcription: self.transcribing(settings),
            parameters: self.spec.parameters.clone(),
            account: self.spec.account.clone(),
            role: match settings.role {
                Role::Main => "main",
                Role::Listener => "listener",
            },
            envelope: settings.envelope.as_str(),
            linger_ms,
            resume: offer.map(|token| ResumeOffer { token: token.to_string(), linger_ms }),
            resumed,
        }
    }

    /// The call's status of the five, by what it told so far.
    pub(super) fn status(&self) -> &'static str {
        use crate::call::record::CallStatus;
        let told = |event: &str| {
            let is =
                |told: &Told| matches!(told, Told::CallEvent { event: of, .. } if *of == event);
            self.history.iter().any(|past| is(&past.told))
        };
        let status = if self.started || told("answered") {
            CallStatus::InProgress
        } else if told("dialing") || told("ringing") || told("early_media") {
            CallStatus::Ringing
        } else {
            CallStatus::Queued
        };
        status.as_str()
    }
}
