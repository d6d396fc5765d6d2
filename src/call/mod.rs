//! The life of a call as a pure machine, and the words to speak of it.

pub mod record;
