//! The order of sealed packets: which index a sequence number means, and what came before.

/// Indices behind the highest that are told apart.
const WIDTH: u64 = 128;

/// The highest index of a source and which of the 128 up to it came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    highest: Option<u64>,
    /// Bit `n`: the index `highest - n` came.
    seen: u128,
}

impl Window {
    /// The 48-bit index that a sequence number means; `None` when it would lie before the first.
    //= RFC 3711 §3.3.1: the rollover counter that brings the index nearest to the highest
    pub(super) fn guess(&self, seq: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(seq.into()) };
        let (roc, last) = (highest >> 16, i64::try_from(highest & 0xffff).unwrap_or(0));
        let ahead = i64::from(seq) - last;
        let roc = if ahead > 0x8000 {
            roc.checked_sub(1)?
        } else if ahead < -0x8000 {
            roc + 1
        } else {
            roc
        };
        u32::try_from(roc).is_ok().then_some(roc << 16 | u64::from(seq))
    }

    /// Whether an index did not come and is young enough to tell.
    //= RFC 3711 §3.3.2: a packet that was received before, or lies behind the window, is discarded
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => {
                let age = highest - index;
                age < WIDTH && self.seen >> age & 1 == 0
            }
            Some(_) | None => true,
        }
    }

    /// The window with this index, which verified.
    #[must_use]
    pub(super) fn with(self, index: u64) -> Self {
        match self.highest {
            Some(highest) if index <= highest => {
                let bit =
                    u32::try_from(highest - index).ok().and_then(|age| 1u128.checked_shl(age));
                Self { seen: self.seen | bit.unwrap_or(0), ..self }
            }
            Some(highest) => {
                let step = u32::try_from(index - highest).unwrap_or(u32::MAX);
                let seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
                Self { highest: Some(index), seen }
            }
            None => Self { highest: Some(index), seen: 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_the_nearest_index() {
        let at = |highest| Window::default().with(highest);
        let rows: &[(u64, u16, Option<u64>)] = &[
            (10, 11, Some(11)),
            (10, 5, Some(5)),
            (65_535, 0, Some(65_536)),
            (65_530, 3, Some(65_539)),
            (65_539, 65_530, Some(65_530)),
            (3, 65_530, None),
            // 37,000 behind is farther than 28,536 ahead.
            (40_000, 3_000, Some(65_536 + 3_000)),
            (0x1_8000, 0, Some(0x1_0000)),
            (0xffff_ffff_fffe, 0xffff, Some(0xffff_ffff_ffff)),
            (0xffff_ffff_ffff, 0, None),
        ];
        for (highest, seq, index) in rows {
            assert_eq!(at(*highest).guess(*seq), *index, "{seq} at {highest}");
        }
        assert_eq!(Window::default().guess(65_535), Some(65_535));
    }

    #[test]
    fn an_index_is_fresh_once_and_for_128() {
        let mut window = Window::default().with(1_000);
        assert!(!window.is_fresh(1_000) && window.is_fresh(1_001));
        assert!(window.is_fresh(873) && !window.is_fresh(872));
        window = window.with(873);
        assert!(!window.is_fresh(873));
        window = window.with(1_010);
        assert!(!window.is_fresh(1_000) && !window.is_fresh(873) && window.is_fresh(999));
        window = window.with(5_000);
        assert!(!window.is_fresh(1_010) && window.is_fresh(4_999));
        window = window.with(4_999);
        assert!(!window.is_fresh(4_999) && !window.is_fresh(5_000));
    }
}
