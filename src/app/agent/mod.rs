//! The application leg of a DYNAMIC_AGENT call: it listens, lets a brain think, speaks, and knows
//! what was heard.

pub mod interface;
pub mod request;
