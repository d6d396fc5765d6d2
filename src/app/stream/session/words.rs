//! The caller's words in a stream: who writes them down, and what the client and the call are told.

use super::audience::Audience;
use super::away::Away;
use super::{Client, Moment, Session};
use crate::app::Report;
use crate::app::stream::options::{Settings, Transcripts};
use crate::app::stream::outlet::Outlet;
use crate::app::stream::wire::{Heard, Told, Transcribing, warning};
use crate::app::transcribe::{Transcribe, Transcriber};
use crate::media::interface::{Command, FrameHeader};
use crate::speech::stt::{SttEvent, Transcript};
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The state of a call's transcription.
#[derive(Default)]
pub(in crate::app::stream) enum Words {
    /// Nobody asked for any.
    #[default]
    Unasked,
    /// An engine listens.
    Heard(Box<Transcriber>),
    /// None listens (any more), and why.
    Lost(String),
}

impl Session {
    /// Has somebody write the words down, when the call or its client asks for them.
    pub(super) fn listen_to_words(&mut self, settings: Option<&Settings>) {
        if self.spec.observer {
            return;
        }
        let wanted = self.spec.transcribe.is_some()
            || settings.is_some_and(|settings| settings.transcripts != Transcripts::Off);
        // A client of the bare URL is told words if there is an engine, and nothing if not.
        let quiet = self.spec.transcribe.is_none() && !self.spec.stt.is_configured();
        if !wanted || !matches!(self.words, Words::Unasked) {
            return;
        }
        let asked = self.spec.transcribe.clone();
        let wish = asked.unwrap_or_else(|| Transcribe { partials: true, ..Transcribe::default() });
        self.words = match Transcriber::open(&self.spec.stt, &wish, self.spec.sample_rate) {
            Ok(mut transcriber) => {
                self.report(Report::Transcribing(Ok(transcriber.engine().to_owned())));
                if self.started {
                    transcriber.start();
                }
                Words::Heard(Box::new(transcriber))
            }
            Err(reason) => {
                let reason = reason.to_string();
                if !quiet {
                    self.report(Report::Transcribing(Err(reason.clone())));
                }
                Words::Lost(reason)
            }
        };
        self.order_capture();
    }

    /// Whether caller audio is needed, by whomever.
    pub(super) fn wants_capture(&self) -> bool {
        let listens = self.hearers().any(|client| client.outlet.is_some());
        listens
            || self.recordings.listens()
            || self.hearing.is_some()
            || matches!(self.words, Words::Heard(_))
    }

    /// Tells the leg whether caller audio is needed, and what the caller is sent.
    pub(super) fn order_capture(&mut self) {
        let wanted = self.wants_capture();
        self.order(Command::Listen(wanted));
        let outlets = |client: &Client| client.outlet.as_ref().is_some_and(Outlet::hears_agent);
        let wanted = self.hearers().any(outlets) || self.recordings.listens();
        let Some(line) = &mut self.line else { return };
        if wanted && line.monitor.is_none() {
            line.monitor = line.port.monitor();
        }
        if line.monitor.is_some() {
            self.order(Command::Monitor(wanted));
        }
    }

    /// The call is answered: words count from here.
    pub(super) fn start_words(&mut self) {
        if let Words::Heard(transcriber) = &mut self.words {
            transcriber.start();
        }
    }

    /// Takes what the engine says, if there is anything.
    pub(in crate::app::stream) fn poll_words(
        &mut self,
        context: &mut Context<'_>,
        now: Moment,
    ) -> Poll<()> {
        let Words::Heard(transcriber) = &mut self.words else { return Poll::Pending };
        match ready!(transcriber.poll(context)) {
            Some(SttEvent::Transcript(said)) => self.on_transcript(&said, now),
            Some(SttEvent::Unavailable(reason)) => self.lose_words(reason, now),
            Some(SttEvent::Reconnecting(reason)) => {
                let detail = format!("transcripts are late: {reason}");
                self.tell(&warning("transcription_interrupted", detail), now);
            }
            Some(
                SttEvent::SpeechStarted(_)
                | SttEvent::SpeechEnded(_)
                | SttEvent::TurnEnd { .. }
                | SttEvent::Ready,
            ) => {}
            None => self.lose_words("the engine is gone".to_owned(), now),
        }
        Poll::Ready(())
    }

    /// Moves caller audio to the clients, to the engine and to the ears.
    pub(super) fn capture(&mut self, now: Instant) {
        let mut samples = std::mem::take(&mut self.samples);
        while let Some((header, since)) = self.next_captured(&mut samples) {
            if let Words::Heard(transcriber) = &mut self.words {
                transcriber.push(header.position, &samples);
            }
            if let Some(hearing) = &mut self.hearing {
                hearing.take(header.position, &samples);
            }
            if let Some(recorder) = self.recordings.recorder() {
                recorder.hear_caller(header.position, &samples);
            }
            let Self { line, client, away, audience, .. } = self;
            let overrun = || line.as_ref().map_or(0, |line| line.port.overrun_samples());
            for outlet in outlets(client, away, audience) {
                outlet.hear_caller(now, header, &samples, since, overrun);
            }
        }
        while let Some(header) = self.next_monitored(&mut samples) {
            if let Some(recorder) = self.recordings.recorder() {
                recorder.hear_agent(header.position, &samples);
            }
            let Self { client, away, audience, .. } = self;
            for outlet in outlets(client, away, audience) {
                outlet.hear_agent(header.position, &samples);
            }
        }
        self.samples = samples;
        let Self { client, away, audience, .. } = self;
        for outlet in outlets(client, away, audience) {
            outlet.gather(now);
        }
    }

    /// The next frame of the caller, and since when it is there.
    fn next_captured(&mut self, samples: &mut Vec<i16>) -> Option<(FrameHeader, Option<Instant>)> {
        samples.clear();
        let capture = &mut self.line.as_mut()?.capture;
        let header = capture.pop(samples)?;
        Some((header, capture.stamped()))
    }

    /// The next frame that the caller was sent.
    fn next_monitored(&mut self, samples: &mut Vec<i16>) -> Option<FrameHeader> {
        samples.clear();
        self.line.as_mut()?.monitor.as_mut()?.pop(samples)
    }

    /// What `start` says about transcripts.
    pub(super) fn transcribing(&self, settings: &Settings) -> Transcribing {
        let (status, reason, engine) = match &self.words {
            _ if settings.transcripts == Transcripts::Off => ("off", None, None),
            Words::Unasked => ("off", None, None),
            Words::Heard(heard) => ("available", None, Some(heard.engine().to_owned())),
            Words::Lost(reason) => ("unavailable", Some(reason.clone()), None),
        };
        Transcribing { status, reason, engine }
    }

    fn on_transcript(&mut self, said: &Transcript, now: Moment) {
        let Words::Heard(transcriber) = &self.words else { return };
        if let Some(hearing) = &mut self.hearing {
            hearing.words(&said.text, said.is_final);
        }
        let heard = Heard {
            text: said.text.to_string(),
            is_final: said.is_final,
            track: "caller",
            language: said.language.as_deref().map(str::to_owned),
            confidence: said.confidence,
            start_ms: transcriber.ms(said.start),
            end_ms: transcriber.ms(said.end),
            id: said.id,
            constrained: said.constrained,
        };
        let line = said.is_final.then(|| transcriber.utterance(said));
        self.tell(&Told::Transcript(heard), now);
        if let Some(line) = line {
            self.report(Report::Said(Box::new(line)));
        }
    }

    fn lose_words(&mut self, reason: String, now: Moment) {
        let wanted = |client: &Client| client.settings.transcripts != Transcripts::Off;
        if self.client.as_ref().is_some_and(wanted) {
            let detail = format!("no more transcripts: {reason}");
            self.tell(&warning("transcription_unavailable", detail), now);
        }
        self.report(Report::Transcribing(Err(reason.clone())));
        self.words = Words::Lost(reason);
        self.order_capture();
    }
}

/// The outlets of all who hear, with a socket or without.
fn outlets<'a>(
    client: &'a mut Option<Client>,
    away: &'a mut Option<Box<Away>>,
    audience: &'a mut Audience,
) -> impl Iterator<Item = &'a mut Outlet> {
    let away = away.iter_mut().map(|away| &mut away.client);
    let clients = client.iter_mut().chain(away).chain(audience.iter_mut());
    clients.filter_map(|client| client.outlet.as_mut())
}
