//! The samples of a prompt, and the place in them.
//!
//! Owns what is kept for another round and when the last sample has been written. Reads no clock
//! and waits for nothing: whoever has the speech hands its pieces in.

use super::Source;
use crate::media::ring::PlayoutWriter;
use crate::speech::tts::Speech;
use std::sync::Arc;

/// The samples of a prompt and the place in them.
pub(super) struct Reel {
    /// What is there so far; all of it once `speech` is gone.
    pieces: Vec<Arc<[i16]>>,
    /// Where the rest comes from.
    pub(super) speech: Option<Speech>,
    /// Whether pieces that were played are still needed.
    keeps: bool,
    /// Rounds still to be played, this one included; `None`: for ever.
    rounds: Option<u32>,
    piece: usize,
    offset: usize,
}

impl Reel {
    pub(super) fn new(source: Source, repeat: u32, keeps: bool) -> Self {
        let (pieces, speech) = match source {
            Source::Samples(samples) => (vec![samples], None),
            Source::Speech(speech) => (Vec::new(), Some(speech)),
        };
        let rounds = (repeat > 0).then_some(repeat);
        Self { pieces, speech, keeps: keeps || repeat != 1, rounds, piece: 0, offset: 0 }
    }

    /// Begins anew; what is played must have been kept.
    pub(super) fn rewind(&mut self, repeat: u32) {
        self.rounds = (repeat > 0).then_some(repeat);
        (self.piece, self.offset) = (0, 0);
    }

    pub(super) fn add(&mut self, piece: Arc<[i16]>) {
        // What is played once is not kept.
        if !self.keeps {
            self.pieces.drain(..self.piece);
            self.piece = 0;
        }
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// There is nothing more to play, now or ever.
    pub(super) fn stop(&mut self) {
        self.speech = None;
        self.pieces.clear();
        (self.piece, self.offset, self.rounds) = (0, 0, Some(0));
    }

    /// Writes what fits; `tap` sees what was written, and at which position.
    pub(super) fn play(&mut self, ring: &mut PlayoutWriter, mut tap: impl FnMut(u64, &[i16])) {
        while let Some(piece) = self.next_piece() {
            let position = ring.position();
            let taken = ring.push(piece);
            tap(position, piece.get(..taken).unwrap_or_default());
            self.offset += taken;
            if taken == 0 {
                return;
            }
        }
    }

    /// What comes next, if it is there; begins another round at the end of one.
    pub(super) fn next_piece(&mut self) -> Option<&[i16]> {
        loop {
            let length = self.pieces.get(self.piece).map(|piece| piece.len());
            match length {
                Some(length) if self.offset < length => break,
                Some(_) => (self.piece, self.offset) = (self.piece + 1, 0),
                None if self.speech.is_some() => return None,
                None => {
                    self.rounds = self.rounds.map(|rounds| rounds.saturating_sub(1));
                    let silent = self.pieces.iter().all(|piece| piece.is_empty());
                    if self.rounds == Some(0) || silent {
                        if !self.keeps {
                            self.pieces.clear();
                        }
                        return None;
                    }
                    (self.piece, self.offset) = (0, 0);
                }
            }
        }
        self.pieces.get(self.piece)?.get(self.offset..)
    }

    /// Whether the last sample has been written.
    pub(super) fn is_done(&mut self) -> bool {
        self.speech.is_none() && self.next_piece().is_none()
    }
}
