//! What the payload types of a leg mean: a table, filled from the agreement.

use crate::audio::codec::{ClockRate, CodecId};

/// What a packet of some payload type carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// Samples.
    Audio(CodecId),
    /// RFC 4733 events.
    TelephoneEvent,
    /// RFC 3389 comfort noise: the sender pauses.
    ComfortNoise,
    /// RFC 2198: audio, and earlier audio again.
    Redundant,
    /// Nothing that was agreed.
    Unknown,
}

impl PayloadKind {
    /// The clock that its timestamps count, for audio.
    pub(super) const fn clock(self) -> Option<ClockRate> {
        match self {
            Self::Audio(codec) => Some(codec.spec().clock_rate),
            Self::TelephoneEvent | Self::ComfortNoise | Self::Redundant | Self::Unknown => None,
        }
    }
}

/// The payload types of one agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadTable([PayloadKind; 128]);

impl PayloadTable {
    /// The static types of RFC 3551 that we take in any case: 0 PCMU, 8 PCMA, 13 comfort noise.
    #[must_use]
    pub const fn standard() -> Self {
        let mut kinds = [PayloadKind::Unknown; 128];
        kinds[0] = PayloadKind::Audio(CodecId::Pcmu);
        kinds[8] = PayloadKind::Audio(CodecId::Pcma);
        kinds[13] = PayloadKind::ComfortNoise;
        Self(kinds)
    }

    /// The table with one more payload type; types above 127 do not exist and change nothing.
    #[must_use]
    pub fn with(mut self, payload_type: u8, kind: PayloadKind) -> Self {
        if let Some(entry) = self.0.get_mut(usize::from(payload_type)) {
            *entry = kind;
        }
        self
    }

    /// What a payload type carries.
    #[must_use]
    pub fn kind(&self, payload_type: u8) -> PayloadKind {
        self.0.get(usize::from(payload_type)).copied().unwrap_or(PayloadKind::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_types_are_added_to_the_static_ones() {
        let table = PayloadTable::standard()
            .with(101, PayloadKind::TelephoneEvent)
            .with(200, PayloadKind::ComfortNoise);
        let rows = [
            (0, PayloadKind::Audio(CodecId::Pcmu)),
            (8, PayloadKind::Audio(CodecId::Pcma)),
            (13, PayloadKind::ComfortNoise),
            (101, PayloadKind::TelephoneEvent),
            (96, PayloadKind::Unknown),
            (200, PayloadKind::Unknown),
        ];
        for (payload_type, want) in rows {
            assert_eq!(table.kind(payload_type), want, "{payload_type}");
        }
    }
}
