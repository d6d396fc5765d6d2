//! Redundant audio data (RFC 2198): one packet that carries earlier ones again.
//!
//! ```text
//!  │1│ type │ offset (14 bits) │ length (10) │ ... │0│ type │ block │ block ... │ primary block │
//!  └──────────── 4 octets a block ──────────┘ └ 1 octet ┘  └─ as long as said ┘ └ all the rest ┘
//! ```
//!
//! Bytes only: which number a block belongs to, and whether anybody misses it, is
//! `media::jitter`'s. We never send it.

/// More redundant blocks than this are refused.
pub const BLOCKS_MAX: usize = 8;
/// Octets of a redundant block's header.
const HEADER: usize = 4;
/// The bit that says that another header follows.
const MORE: u8 = 0x80;

/// Why a payload is no redundant audio data: always the peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedError {
    /// The headers promise more than there is.
    #[error("redundant audio data is cut off")]
    Truncated,
    /// More than [`BLOCKS_MAX`] blocks.
    #[error("more than {BLOCKS_MAX} redundant blocks")]
    TooManyBlocks,
}

/// An earlier block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// 0 to 127.
    pub payload_type: u8,
    /// How much older than the packet it is, in units of the packet's clock.
    pub behind: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// A payload of redundant audio data, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redundancy<'a> {
    /// Type of the primary block, 0 to 127.
    pub payload_type: u8,
    /// The primary block: what the packet would have carried alone.
    pub primary: &'a [u8],
    headers: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Redundancy<'a> {
    /// Takes a payload apart. Cost: O(blocks), no allocation.
    ///
    /// # Errors
    /// [`RedError`] when it is malformed; nothing of it may be used then.
    //= RFC 2198 §3: the length of the primary block is what the others leave
    pub fn parse(payload: &'a [u8]) -> Result<Self, RedError> {
        let (mut len, mut blocks) = (0, 0);
        let mut rest = payload;
        while let [first, tail @ ..] = rest {
            if first & MORE == 0 {
                let headers = payload.get(..blocks * HEADER).ok_or(RedError::Truncated)?;
                let (blocks, primary) = tail.split_at_checked(len).ok_or(RedError::Truncated)?;
                return Ok(Self { payload_type: *first, primary, headers, blocks });
            }
            let (header, tail) = rest.split_first_chunk().ok_or(RedError::Truncated)?;
            blocks += 1;
            if blocks > BLOCKS_MAX {
                return Err(RedError::TooManyBlocks);
            }
            len += Header::read(*header).len;
            rest = tail;
        }
        Err(RedError::Truncated)
    }

    /// The earlier blocks, the oldest first as a rule. At most [`BLOCKS_MAX`].
    pub fn redundant(&self) -> impl Iterator<Item = Block<'a>> {
        let mut left = self.blocks;
        let (headers, _) = self.headers.as_chunks::<HEADER>();
        headers.iter().filter_map(move |header| {
            let Header { payload_type, behind, len } = Header::read(*header);
            let (payload, rest) = left.split_at_checked(len)?;
            left = rest;
            Some(Block { payload_type, behind, payload })
        })
    }
}

struct Header {
    payload_type: u8,
    behind: u32,
    len: usize,
}

impl Header {
    fn read(octets: [u8; HEADER]) -> Self {
        let [kind, ..] = octets;
        let all = u32::from_be_bytes(octets);
        Self {
            payload_type: kind & !MORE,
            behind: all >> 10 & 0x3fff,
            len: usize::try_from(all & 0x3ff).unwrap_or(0),
        }
    }
}

/// Fuzz entry: no payload may panic, and all blocks together are the payload without its headers.
///
/// # Panics
/// When a block lies outside of its payload.
pub fn fuzz_red(payload: &[u8]) {
    let Ok(red) = Redundancy::parse(payload) else { return };
    let (mut octets, mut blocks) = (red.primary.len(), 0);
    for block in red.redundant() {
        assert!(block.payload_type < 128 && block.behind < 1 << 14, "more bits than there are");
        octets += block.payload.len();
        blocks += 1;
    }
    assert!(red.payload_type < 128 && blocks <= BLOCKS_MAX, "more than was promised");
    assert_eq!(octets + blocks * HEADER + 1, payload.len(), "octets were lost or made up");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two earlier packets of 160 and 320 units ago, of 2 and 1 octets, and a primary of 3.
    const TWO: [u8; 15] = [0x80, 0x05, 0x00, 0x02, 0x88, 0x02, 0x80, 0x01, 0x00, 1, 2, 3, 4, 5, 6];

    #[test]
    fn blocks_are_taken_apart() {
        let red = Redundancy::parse(&TWO).unwrap();
        assert_eq!((red.payload_type, red.primary), (0, &[4, 5, 6][..]));
        let blocks: Vec<Block<'_>> = red.redundant().collect();
        let want = [
            Block { payload_type: 0, behind: 320, payload: &[1, 2] },
            Block { payload_type: 8, behind: 160, payload: &[3] },
        ];
        assert_eq!(blocks, want);
        let alone = Redundancy::parse(&[8, 1, 2]).unwrap();
        assert_eq!((alone.payload_type, alone.primary), (8, &[1, 2][..]));
        assert_eq!(alone.redundant().count(), 0);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for len in 0..12 {
            assert_eq!(Redundancy::parse(&TWO[..len]), Err(RedError::Truncated), "{len}");
        }
        assert_eq!(Redundancy::parse(&TWO[..12]).unwrap().primary, &[] as &[u8]);
        let many = [[0x80, 0, 0, 0]; BLOCKS_MAX + 1].concat();
        assert_eq!(Redundancy::parse(&many), Err(RedError::TooManyBlocks));
    }

    proptest! {
        #[test]
        fn any_payload_is_survived(payload in prop::collection::vec(any::<u8>(), 0..80)) {
            fuzz_red(&payload);
        }
    }
}
