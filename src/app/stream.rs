//! The application leg of a DYNAMIC_STREAM call.

/// How a client wants its stream: from the create request, then the query of the upgrade.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {}

/// A reserved seat at a call's stream: give it the upgraded socket.
#[derive(Debug)]
pub struct StreamAttachment {}
