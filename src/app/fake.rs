//! A media leg for tests: the worker's side of the rings, stepped by hand.

use crate::media::interface::{Command, Event, FrameHeader, FrameKind};
use crate::media::ring::{self, CaptureReader, CaptureWriter, PlayoutReader, PlayoutWriter};
use std::collections::VecDeque;

/// Takes 20 ms a tick from the playout ring and obeys commands as a worker does.
pub(crate) struct FakeLeg {
    playout: PlayoutReader,
    capture: CaptureWriter,
    captured: u64,
    frame: usize,
    fade: usize,
    watches: Vec<(u64, u32)>,
    /// Commands that the next tick will find.
    pub(crate) commands: VecDeque<Command>,
    /// Commands that were obeyed.
    pub(crate) obeyed: Vec<Command>,
    /// Events for the application.
    pub(crate) events: VecDeque<Event>,
    /// Samples of the application that were sent.
    pub(crate) sent: Vec<i16>,
    /// Whether anything but silence went out in the last tick.
    pub(crate) sounding: bool,
    /// Whether packets flow at all.
    pub(crate) running: bool,
    paused: bool,
}

impl FakeLeg {
    /// A leg whose playout ring holds `ring` samples, 20 ms being `frame` samples.
    pub(crate) fn new(ring: usize, frame: usize) -> (Self, PlayoutWriter, CaptureReader) {
        let (writer, playout) = ring::playout(ring);
        let (capture, reader) = ring::capture(64, 64 * 160);
        let leg = Self {
            playout,
            capture,
            captured: 0,
            frame,
            fade: frame / 4,
            watches: Vec::new(),
            commands: VecDeque::new(),
            obeyed: Vec::new(),
            events: VecDeque::new(),
            sent: Vec::new(),
            sounding: false,
            running: true,
            paused: false,
        };
        (leg, writer, reader)
    }

    /// One beat of the worker.
    pub(crate) fn tick(&mut self) {
        let before = self.sent.len();
        while let Some(command) = self.commands.pop_front() {
            self.obeyed.push(command);
            self.obey(command);
        }
        if self.running && !self.paused {
            let room = self.frame.saturating_sub(self.sent.len() - before);
            self.play(room);
        }
        self.sounding = self.sent.len() > before;
        self.fire();
    }

    /// A packet of the caller arrives.
    pub(crate) fn hear(&mut self, samples: &[i16]) -> bool {
        let count = u16::try_from(samples.len()).unwrap();
        let kind = FrameKind::Packet;
        let header = FrameHeader { position: self.captured, samples: count, kind };
        self.captured += u64::from(count);
        self.capture.push(header, samples)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Watch { position, token } => self.watches.push((position, token)),
            Command::Clear { up_to, token } => {
                let queued = usize::try_from(up_to.saturating_sub(self.playout.position()));
                let queued = queued.unwrap();
                if self.running && !self.paused {
                    self.play(self.fade.min(queued));
                }
                let played_to = self.playout.position().min(up_to);
                self.fire();
                let discarded = up_to - played_to;
                self.playout.skip(usize::try_from(discarded).unwrap());
                self.watches.retain(|(position, _)| *position > up_to);
                self.events.push_back(Event::Cleared { token, played_to, discarded });
            }
            Command::Pause(paused) => self.paused = paused,
            Command::Dtmf { .. } => self.events.push_back(Event::DtmfDone { sent: true }),
            Command::End { .. }
            | Command::Update(_)
            | Command::Listen(_)
            | Command::QuietAfter(_) => {}
        }
    }

    fn play(&mut self, samples: usize) {
        let start = self.sent.len();
        self.sent.resize(start + samples, 0);
        let taken = self.playout.pop(&mut self.sent[start..]);
        self.sent.truncate(start + taken);
    }

    fn fire(&mut self) {
        let position = self.playout.position();
        let mut due: Vec<_> = self.watches.iter().copied().filter(|w| w.0 <= position).collect();
        self.watches.retain(|watch| watch.0 > position);
        due.sort_unstable();
        for (position, token) in due {
            self.events.push_back(Event::Reached { token, position });
        }
        assert!(self.watches.len() <= 16, "a worker watches 16 positions at most");
    }
}
