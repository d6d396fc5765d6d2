//! Scenarios of conversations, each a script of inputs and what the core makes of it.

mod call;
mod ends;
mod property;
mod replay;
mod scenarios;
mod script;
