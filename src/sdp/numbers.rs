//! Payload types over the life of a session: a number keeps its meaning.

use super::syntax::{Payload, PeerMedia};
use crate::audio::codec::{ClockRate, CodecId, DYNAMIC};

/// The last payload type.
const LAST: u8 = 127;

/// What our numbers mean, and which numbers mean something else.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    codecs: Vec<(u8, CodecId)>,
    events: Vec<(u8, ClockRate)>,
    /// Bit `n`: the peer gave number `n` another meaning.
    foreign: u128,
}

impl Numbers {
    /// Our number of a codec: the one it has, else its usual one, else a free one.
    //= RFC 3264 §8.3.2: a payload type keeps its codec for the whole session
    pub(super) fn of_codec(&mut self, codec: CodecId) -> u8 {
        if let Some((number, _)) = self.codecs.iter().find(|(_, own)| *own == codec) {
            return *number;
        }
        let number = self.free(codec.spec().payload_type);
        self.codecs.push((number, codec));
        number
    }

    /// Our number of telephone-event with this clock.
    pub(super) fn of_event(&mut self, clock: ClockRate) -> u8 {
        if let Some((number, _)) = self.events.iter().find(|(_, own)| *own == clock) {
            return *number;
        }
        // 101 is the number that everybody uses.
        let number = self.free(if clock == ClockRate::HZ_8000 { 101 } else { 110 });
        self.events.push((number, clock));
        number
    }

    /// The codec that we gave a number.
    pub(super) fn codec(&self, number: u8) -> Option<CodecId> {
        self.codecs.iter().find(|(own, _)| *own == number).map(|(_, codec)| *codec)
    }

    /// Takes the numbers of an offer: they are the offerer's to give.
    pub(super) fn learn(&mut self, media: &PeerMedia) {
        for (number, payload) in &media.payloads {
            self.codecs
                .retain(|(own, codec)| *own != *number && *payload != Payload::Codec(*codec));
            self.events.retain(|(own, _)| own != number);
            self.foreign &= !(1 << number);
            match payload {
                Payload::Codec(codec) => self.codecs.push((*number, *codec)),
                Payload::Event { clock, .. } => {
                    self.events.retain(|(_, own)| own != clock);
                    self.events.push((*number, *clock));
                }
                Payload::Redundant { .. } | Payload::Noise | Payload::Foreign => {
                    self.foreign |= 1 << number;
                }
            }
        }
    }

    fn free(&self, usual: u8) -> u8 {
        let taken = |number: u8| {
            self.foreign >> number & 1 == 1
                || self.codecs.iter().any(|(own, _)| *own == number)
                || self.events.iter().any(|(own, _)| *own == number)
        };
        // A static number has its meaning from the profile, whatever a peer makes of it.
        let fits = |number: &u8| *number < DYNAMIC || !taken(*number);
        let mut numbers = std::iter::once(usual).chain(DYNAMIC..=LAST);
        numbers.find(fits).unwrap_or(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::syntax;

    fn media(lines: &str) -> PeerMedia {
        let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n";
        let text = format!("{head}{}", lines.replace('\n', "\r\n"));
        syntax::read(text.as_bytes()).unwrap().medias.remove(0)
    }

    #[test]
    fn numbers_are_usual_until_the_peer_uses_them() {
        let mut numbers = Numbers::default();
        assert_eq!(
            (numbers.of_codec(CodecId::G722), numbers.of_event(ClockRate::HZ_8000)),
            (9, 101)
        );
        let mut numbers = Numbers::default();
        numbers.learn(&media(
            "m=audio 5 RTP/AVP 101 96 8\na=rtpmap:101 iLBC/8000\na=rtpmap:96 x/8000\n",
        ));
        assert_eq!(numbers.of_event(ClockRate::HZ_8000), 97);
        assert_eq!(numbers.of_event(ClockRate::HZ_48000), 110);
        assert_eq!(numbers.of_event(ClockRate::HZ_8000), 97, "and stay");
    }

    #[test]
    fn the_numbers_of_an_offer_become_ours() {
        let mut numbers = Numbers::default();
        numbers.of_event(ClockRate::HZ_8000);
        numbers.learn(&media(
            "m=audio 5 RTP/AVP 120 99\na=rtpmap:120 PCMA/8000\na=rtpmap:99 telephone-event/8000\n",
        ));
        assert_eq!(
            (numbers.of_codec(CodecId::Pcma), numbers.of_event(ClockRate::HZ_8000)),
            (120, 99)
        );
        assert_eq!((numbers.codec(120), numbers.codec(8)), (Some(CodecId::Pcma), None));
        numbers.learn(&media("m=audio 5 RTP/AVP 120\na=rtpmap:120 speex/8000\n"));
        assert_eq!(numbers.of_codec(CodecId::Pcma), 8);
    }
}
