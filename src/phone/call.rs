//! One call of the phone: rings, answers, plays, records, ends.

use super::deeds::{Deeds, What};
use super::{PhoneEvent, PhoneSpec, Tell};
use crate::audio::rate::SampleRate;
use crate::audio::wav::WavWriter;
use crate::id::SessionId;
use crate::media::interface::{Command as MediaCommand, Event as MediaEvent, SendSpec};
use crate::media::worker::{LegControl, LegHandle, LegSetup, MediaPool};
use crate::sdp::{Desk, Direction, LocalMedia, Negotiated, SrtpPolicy};
use crate::sip::interface::{Command, EndCause, Ending, Event};
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Sample rate of the carrier legs, in Hz.
const RATE: u32 = 8000;

/// The longest recording; what comes after is heard but not written.
const RECORD_SECONDS_MAX: u64 = 3600;

/// The longest hole in the caller's media clock that is filled with silence.
const HOLE_SAMPLES_MAX: u64 = 10 * RATE as u64;

/// How long sound may still be on its way from the media thread when a call has ended: signalling
/// and sound have threads of their own.
const LAST_SOUND: Duration = Duration::from_millis(200);

/// Pause between answer and digits.
const DTMF_AFTER: Duration = Duration::from_secs(1);

pub(super) struct PhoneCall {
    number: u64,
    session: SessionId,
    spec: Arc<PhoneSpec>,
    commands: mpsc::Sender<Command>,
    tell: Tell,
    codec: Option<&'static str>,
    answered: Option<Instant>,
    playing: Option<(Arc<[i16]>, usize)>,
    digits_due: Option<Instant>,
    deeds: Deeds,
    answer_due: Option<Instant>,
    hangup_due: Option<Instant>,
    recording: Option<Recording>,
    /// Samples of caller audio so far.
    heard: u64,
    scratch: Vec<i16>,
}

struct Recording {
    writer: WavWriter<BufWriter<File>>,
    path: PathBuf,
    written: u64,
    /// Capture position of the first sample.
    origin: Option<u64>,
}

impl PhoneCall {
    pub(super) fn new(
        number: u64,
        session: SessionId,
        spec: Arc<PhoneSpec>,
        commands: mpsc::Sender<Command>,
        tell: Tell,
    ) -> Self {
        Self {
            deeds: Deeds::new(&spec.deeds),
            number,
            session,
            spec,
            commands,
            tell,
            codec: None,
            answered: None,
            playing: None,
            digits_due: None,
            answer_due: None,
            hangup_due: None,
            recording: None,
            heard: 0,
            scratch: Vec::with_capacity(RATE as usize),
        }
    }

    /// Runs the call to the end of its session.
    pub(super) async fn run(
        mut self,
        media: &MediaPool,
        seed: u64,
        offer: Option<Vec<u8>>,
        dialled: bool,
        mut events: mpsc::Receiver<Event>,
    ) {
        if let (Some(code), false) = (self.spec.reject, dialled) {
            return self.reject(code, &mut events).await;
        }
        let setup = LegSetup {
            codecs: self.spec.codecs.clone(),
            rate: SampleRate::HZ_8000,
            cname: format!("phone-{}", self.number),
            seed,
            send: SendSpec::default(),
        };
        let Ok((leg, ports)) = media.open(setup) else {
            let session = self.session;
            self.send(Command::Reject { session, code: 503, reason: String::new() }).await;
            return;
        };
        let local = LocalMedia {
            address: ports.rtp.ip(),
            rtp_port: ports.rtp.port(),
            rtcp_port: ports.rtcp.port(),
            codecs: self.spec.codecs.clone(),
            own_order: true,
            telephone_event: true,
            comfort_noise: false,
            ptime: Duration::from_millis(20),
            session_id: seed >> 2,
            session_version: 1,
            direction: Direction::BOTH,
            rtcp_mux: false,
            srtp: SrtpPolicy::Off,
        };
        let mut desk = Desk::new(local, Box::new(crate::api::fresh::fill));
        leg.control.send(MediaCommand::Listen(true));
        self.open_recording();
        let ready = if dialled {
            let uri = self.spec.call.clone().unwrap_or_default();
            self.send(super::invite(self.session, &uri, desk.offer())).await;
            true
        } else {
            self.ring(&leg.control, &mut desk, offer.as_deref()).await
        };
        let ending = if ready {
            self.talk(leg, &mut desk, offer, dialled, &mut events).await
        } else {
            Ending::new(EndCause::Rejected, Some(488))
        };
        let _ = ending;
    }

    /// Rings as long as told and refuses.
    async fn reject(&mut self, code: u16, events: &mut mpsc::Receiver<Event>) {
        let session = self.session;
        if !self.spec.ring.is_zero() {
            self.send(Command::Ring(session)).await;
            (self.tell)(PhoneEvent::Ringing { call: self.number });
        }
        let mut ending = Ending::new(EndCause::Rejected, Some(code));
        let rung = tokio::time::timeout(self.spec.ring, async {
            loop {
                match events.recv().await {
                    Some(Event::Ended(ending)) => return ending,
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        });
        match rung.await {
            Ok(given_up) => ending = given_up,
            Err(_) => self.send(Command::Reject { session, code, reason: String::new() }).await,
        }
        self.close(None, &ending);
    }

    /// Sends 180 or 183; `false` when the offer cannot be answered.
    async fn ring(&mut self, control: &LegControl, desk: &mut Desk, offer: Option<&[u8]>) -> bool {
        let session = self.session;
        if let Some(offer) = offer
            && desk.answer(offer).is_err()
        {
            self.send(Command::Reject { session, code: 488, reason: String::new() }).await;
            return false;
        }
        self.answer_due = Some(Instant::now() + self.spec.ring);
        match (&self.spec.early_media, offer) {
            (Some(early), Some(offer)) => {
                if let Ok((answer, negotiated)) = desk.answer(offer) {
                    self.playing = Some((Arc::clone(early), 0));
                    self.update(control, &negotiated);
                    self.send(Command::Progress { session, sdp: answer }).await;
                }
            }
            (Some(_) | None, _) => {
                if !self.spec.ring.is_zero() {
                    self.send(Command::Ring(session)).await;
                }
            }
        }
        if !self.spec.ring.is_zero() {
            (self.tell)(PhoneEvent::Ringing { call: self.number });
        }
        true
    }

    async fn talk(
        &mut self,
        mut leg: LegHandle,
        desk: &mut Desk,
        offer: Option<Vec<u8>>,
        dialled: bool,
        events: &mut mpsc::Receiver<Event>,
    ) -> Ending {
        let lost = Ending::new(EndCause::Protocol, None);
        let ready = Arc::clone(&leg.ready);
        let control = leg.control.clone();
        loop {
            let due = [self.answer_due, self.digits_due, self.deeds.due(), self.hangup_due];
            let due = due.into_iter().flatten().min();
            tokio::select! {
                event = events.recv() => match event {
                    None => { self.close(Some(&mut leg), &lost); return lost; }
                    Some(Event::Ended(ending)) => {
                        self.hear_out(&mut leg).await;
                        self.close(Some(&mut leg), &ending);
                        return ending;
                    }
                    Some(event) => self.hear_sip(&control, desk, event, dialled).await,
                },
                Some(event) = leg.events.recv() => self.hear_media(event),
                () = ready.notified() => {}
                () = crate::net::sleep_until(due) => {
                    self.act(&control, desk, offer.as_deref()).await;
                }
            }
            self.listen(&mut leg);
            self.speak(&mut leg);
        }
    }

    async fn hear_sip(
        &mut self,
        control: &LegControl,
        desk: &mut Desk,
        event: Event,
        dialled: bool,
    ) {
        match event {
            Event::Provisional { sdp, .. } => {
                (self.tell)(PhoneEvent::Ringing { call: self.number });
                self.accept(control, desk, sdp.as_deref());
            }
            Event::Answered { sdp } => {
                self.accept(control, desk, sdp.as_deref());
                self.answered();
            }
            Event::Confirmed { sdp } => {
                self.accept(control, desk, sdp.as_deref());
                if !dialled {
                    self.answered();
                }
            }
            Event::Reoffer { sdp } => {
                let session = self.session;
                let answer = sdp.as_deref().map(|offer| desk.answer(offer));
                let command = match answer {
                    Some(Ok((sdp, negotiated))) => {
                        self.update(control, &negotiated);
                        Command::Reanswer { session, sdp }
                    }
                    Some(Err(_)) => Command::Reject { session, code: 488, reason: String::new() },
                    None => Command::Reanswer { session, sdp: desk.offer() },
                };
                self.send(command).await;
            }
            Event::InfoDtmf { digit, .. } => {
                (self.tell)(PhoneEvent::Digit { call: self.number, digit });
            }
            // A phone makes its own offers and never transfers.
            Event::Incoming(_)
            | Event::Dialing { .. }
            | Event::Offered { .. }
            | Event::Redirected { .. }
            | Event::Agreed { .. }
            | Event::Reoffered(_)
            | Event::Authenticated { .. }
            | Event::ReferAsked { .. }
            | Event::Transfer(_)
            | Event::Ended(_) => {}
        }
    }

    fn accept(&mut self, control: &LegControl, desk: &mut Desk, answer: Option<&[u8]>) {
        let Some(Ok(negotiated)) = answer.map(|answer| desk.accept(answer)) else { return };
        self.update(control, &negotiated);
    }

    fn answered(&mut self) {
        let now = Instant::now();
        if self.answered.replace(now).is_some() {
            return;
        }
        let codec = self.codec.unwrap_or("none");
        (self.tell)(PhoneEvent::Answered { call: self.number, codec });
        self.deeds.start(now);
        self.playing = self.spec.play.clone().map(|play| (play, 0));
        self.digits_due = self.spec.dtmf.as_ref().map(|_| now + DTMF_AFTER);
        self.hangup_due = self.spec.hangup_after.map(|after| now + after);
    }

    fn hear_media(&mut self, event: MediaEvent) {
        if let MediaEvent::Dtmf { digit, .. } = event {
            (self.tell)(PhoneEvent::Digit { call: self.number, digit: char::from(digit) });
        }
    }

    /// Does what is due: answer, digits, hang-up.
    async fn act(&mut self, control: &LegControl, desk: &mut Desk, offer: Option<&[u8]>) {
        let now = Instant::now();
        let session = self.session;
        if take_due(&mut self.answer_due, now) {
            let sdp = match offer {
                Some(offer) => match desk.answer(offer) {
                    Ok((answer, negotiated)) => {
                        self.update(control, &negotiated);
                        answer
                    }
                    Err(_) => Vec::new(),
                },
                None => desk.offer(),
            };
            self.send(Command::Answer { session, sdp }).await;
        }
        if take_due(&mut self.digits_due, now) {
            press(control, self.spec.dtmf.as_deref().unwrap_or_default());
        }
        match self.deeds.take(now) {
            Some(What::Play(samples)) => self.playing = Some((samples, 0)),
            Some(What::Press(digits)) => press(control, &digits),
            Some(What::HangUp) => self.hangup_due = Some(now),
            None => {}
        }
        if take_due(&mut self.hangup_due, now) {
            self.send(Command::Hangup { session, reason: None }).await;
        }
    }

    fn update(&mut self, control: &LegControl, negotiated: &Negotiated) {
        self.codec = Some(negotiated.codec.spec().name);
        control.agree(negotiated);
    }

    /// Takes what was heard: into the recording, and back if this phone echoes.
    fn listen(&mut self, leg: &mut LegHandle) {
        loop {
            self.scratch.clear();
            let Some(header) = leg.capture.pop(&mut self.scratch) else { return };
            self.heard += u64::from(header.samples);
            self.deeds.listen(Instant::now(), &self.scratch);
            if self.spec.echo && self.answered.is_some() {
                leg.playout.push(&self.scratch);
            }
            if let Some(recording) = &mut self.recording {
                recording.write(header.position, &self.scratch);
            }
        }
    }

    /// Takes what came before the end, and is still on its way here.
    async fn hear_out(&mut self, leg: &mut LegHandle) {
        let ready = Arc::clone(&leg.ready);
        let until = tokio::time::Instant::now() + LAST_SOUND;
        loop {
            self.listen(leg);
            if tokio::time::timeout_at(until, ready.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Refills the playout ring from what is to be played.
    fn speak(&mut self, leg: &mut LegHandle) {
        let Some((samples, at)) = &mut self.playing else { return };
        let rest = samples.get(*at..).unwrap_or_default();
        *at += leg.playout.push(rest);
        if *at >= samples.len() {
            leg.control.send(MediaCommand::End { position: leg.playout.position() });
            self.playing = None;
        }
    }

    fn open_recording(&mut self) {
        let Some(path) = &self.spec.record else { return };
        let path = numbered(path, self.number);
        match WavWriter::create(&path, SampleRate::HZ_8000, 1) {
            Ok(writer) => {
                self.recording = Some(Recording { writer, path, written: 0, origin: None });
            }
            Err(error) => tracing::error!(path = %path.display(), %error, "cannot record"),
        }
    }

    fn close(&mut self, leg: Option<&mut LegHandle>, ending: &Ending) {
        let mut media = crate::media::interface::LegReport::default();
        if let Some(leg) = leg {
            self.listen(leg);
            media = leg.control.report();
        }
        let heard_ms = self.heard * 1000 / u64::from(RATE);
        let recording = self.recording.take().map(|recording| {
            let path = recording.path.display().to_string();
            if let Err(error) = recording.writer.finish() {
                tracing::error!(path, %error, "the recording is not complete");
            }
            path
        });
        (self.tell)(PhoneEvent::Ended {
            call: self.number,
            cause: format!("{:?}", ending.cause),
            code: ending.code,
            heard_ms,
            recording,
            media: Box::new(media),
        });
    }

    async fn send(&self, command: Command) {
        // The SIP task outlives all calls; a closed queue means that the phone is stopping.
        let _ = self.commands.send(command).await;
    }
}

impl Recording {
    /// Writes a frame at its place on the caller's media clock; holes become silence.
    fn write(&mut self, position: u64, samples: &[i16]) {
        let origin = *self.origin.get_or_insert(position);
        let at = position.saturating_sub(origin);
        let hole = at.saturating_sub(self.written).min(HOLE_SAMPLES_MAX);
        if self.written + hole > RECORD_SECONDS_MAX * u64::from(RATE) {
            return;
        }
        let silence = vec![0; usize::try_from(hole).unwrap_or(0)];
        let written = self.writer.write(&silence).and_then(|()| self.writer.write(samples));
        if let Err(error) = written {
            tracing::error!(path = %self.path.display(), %error, "cannot record");
        }
        self.written += hole + samples.len() as u64;
    }
}

/// `heard.wav` for the first call, `heard-2.wav` for the second.
fn numbered(path: &std::path::Path, number: u64) -> PathBuf {
    if number <= 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{number}.{extension}"))
}

fn press(control: &LegControl, wanted: &str) {
    let mut digits = [0; 32];
    digits.iter_mut().zip(wanted.bytes()).for_each(|(digit, wanted)| *digit = wanted);
    let duration = Duration::from_millis(120);
    let gap = Duration::from_millis(80);
    control.send(MediaCommand::Dtmf { digits, duration, gap });
}

fn take_due(due: &mut Option<Instant>, now: Instant) -> bool {
    let reached = due.is_some_and(|due| due <= now);
    if reached {
        *due = None;
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_recordings_get_a_number() {
        let path = PathBuf::from("out/heard.wav");
        assert_eq!(numbered(&path, 1), path);
        assert_eq!(numbered(&path, 12), PathBuf::from("out/heard-12.wav"));
    }
}
