//! SIP messages as bytes: reading without allocation, checking, and writing.
//!
//! ```text
//!  stream bytes ─ frame() ─┐
//!  datagram ───────────────┴> Message::parse ─> Message ─> from() vias() cseq() … (typed, lazy)
//!                                  │               └─────> validate() ─> Refusal{400, 420, …}
//!                                  └ error ─> salvage() ─> enough of it for a stateless 400
//!  MessageWriter ─> bytes
//! ```
//!
//! Owns the grammar of RFC 3261 §7, §19, §20 and §25: compact names, folding, IPv6 literals, `tel:`
//! and unknown URI schemes, unknown methods, several values in a line, quoted parameters. Does not
//! know transactions or dialogs, and gives no meaning to bodies.
//!
//! A [`Message`] is ranges into the bytes it was read from, in a table of fixed size: the cost of
//! reading is one walk over the head, and nothing is allocated.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod auth_params;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod headers;
mod lex;
mod method;
mod name;
mod owned;
mod parse;
mod salvage;
mod scan;
mod status;
mod typed;
mod uri;
mod validate;
mod write;

#[cfg(test)]
mod properties;

pub use auth_params::{AuthParams, Challenge};
pub use frame::{Frame, FrameError, Framing, Limits, frame};
pub use headers::{CSeq, HeaderError, MediaType, NameAddr, Rport, Via};
pub use lex::{Params, unfold, unquote};
pub use method::Method;
pub use name::Name;
pub use owned::OwnedMessage;
pub use parse::{LINES_MAX, Message, ParseError, StartLine, Values};
pub use salvage::salvage;
pub use status::reason_phrase;
pub use uri::{Host, Scheme, Uri, UriError, escape_user};
pub use validate::{Capabilities, Fault, Refusal, validate};
pub use write::{MessageWriter, ResponseSpec, WriteError, quoted};
