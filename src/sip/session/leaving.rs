//! The way out: our BYE is sent, and whatever crosses it is answered.

use super::confirmed::{accepted_again, acknowledge};
use super::{Ask, Context, Exit, Input, Reply, State};
use crate::sip::dialog::Dialog;
use crate::sip::message::Method;

/// Our BYE is out.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) dialog: Dialog,
    pub(super) exit: Exit,
}

impl Leaving {
    pub(super) fn handle(self, context: &mut Context<'_>, input: &Input<'_>) -> State {
        match *input {
            Input::Left => return context.end(self.exit),
            Input::Accepted(answer) => accepted_again(&self.dialog, context, answer),
            Input::Response { tag, message } => acknowledge(&self.dialog, context, tag, message),
            Input::Request { server, message } => match message.method() {
                // Both hang up at once: each BYE is answered.
                Some(Method::Bye) => context.reply(server, Reply::code(200)),
                //= RFC 3261 §12.2.2: the dialog is gone for re-INVITE, NOTIFY and all others: 481
                Some(_) | None => context.reply(server, Reply::code(481)),
            },
            Input::Provisional(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::NoAnswer { .. }
            | Input::Ack(_)
            | Input::Cancel { .. }
            | Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Reject { .. }
                | Ask::Hangup { .. }
                | Ask::Reanswer(_)
                | Ask::Acknowledge(_)
                | Ask::Reoffer(_)
                | Ask::Redirect(_)
                | Ask::Refer { .. }
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_)
                | Ask::Info { .. },
            )
            | Input::Timeout => {}
        }
        State::Leaving(self)
    }
}
