//! The stream of a call without a carrier: a program is tried out before it takes calls.
//!
//! ```text
//!  caller's samples ─> ┌───────────┐ ─> what the caller hears, a beat at a time
//!            events ─> │ Rehearsal │ ─> what the program asked of the call
//!                      └─────┬─────┘
//!                  the stream's own task ═ socket ═ the program under trial
//! ```
//!
//! The task, its queue, its dialects and its ears are those of real calls; only the leg is stepped
//! by hand, and wishes to the call (hold, transfer) are granted and come to nothing. Reads no
//! clock: a beat is 20 ms, whenever it is.

use super::fake::FakeLeg;
use super::hearing::HearingSpec;
use super::stream::{
    self, ClientSocket, LevelSpec, SeatError, StreamOptions, StreamSeats, StreamSpec, Timing,
};
use super::{Control, Report};
use crate::call::record::Direction;
use crate::media::interface::Event;
use crate::speech::stt::{Stt, SttSpec};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Length of a beat.
pub const BEAT: Duration = Duration::from_millis(20);
/// Samples of a beat.
pub const SAMPLES: usize = 160;
/// Rate of the leg in Hz, as of most telephones.
pub const RATE: u32 = 8000;
/// Orders and reports that may wait, as for real calls.
const QUEUE: usize = 64;

/// What a program is told of the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Who calls whom.
    pub direction: Direction,
    /// The calling number.
    pub from: String,
    /// The called one.
    pub to: String,
    /// The user's parameters.
    pub parameters: Map<String, Value>,
}

/// A call that only seems to be one.
pub struct Rehearsal {
    leg: FakeLeg,
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    seats: StreamSeats,
    task: JoinHandle<()>,
}

impl Rehearsal {
    /// Starts the stream of a call that is not answered yet; must be called within a runtime.
    #[must_use]
    pub fn start(facts: Facts) -> Self {
        let (control, orders) = mpsc::channel(QUEUE);
        let (told, reports) = mpsc::channel(QUEUE);
        let (mut leg, line, ears) = FakeLeg::line();
        leg.running = false;
        let (seats, task) = stream::prepare_at(spec(facts), orders, told, (line, ears));
        Self { leg, control, reports, seats, task: tokio::spawn(task) }
    }

    /// Gives the program its seat.
    ///
    /// # Errors
    /// [`SeatError`] once the call is over.
    pub fn attach(
        &self,
        options: StreamOptions,
        socket: Box<dyn ClientSocket>,
    ) -> Result<(), SeatError> {
        self.seats.reserve(options)?.attach(Box::pin(std::future::ready(Some(socket))))
    }

    /// The call's state changed.
    pub fn call_event(&self, event: &'static str) {
        self.order(Control::CallEvent { event, detail: None });
    }

    /// The call is answered: playout begins.
    pub fn answer(&mut self) {
        self.call_event("answered");
        self.leg.running = true;
        self.order(Control::Start);
    }

    /// The caller pressed a key.
    pub fn press(&mut self, digit: u8) {
        self.leg.events.push_back(Event::Dtmf {
            digit,
            duration_ms: 100,
            position: 0,
            inband: false,
        });
    }

    /// One beat: the caller says this, and hears what is returned (less than a beat where nothing
    /// was there to be played).
    pub fn beat(&mut self, caller: &[i16; SAMPLES]) -> Vec<i16> {
        self.leg.hear(caller);
        self.leg.step().to_vec()
    }

    /// What the program asked of the call since the last look.
    pub fn reports(&mut self) -> Vec<Report> {
        let reports: Vec<Report> = std::iter::from_fn(|| self.reports.try_recv().ok()).collect();
        for report in &reports {
            if let Report::Wish { ticket, .. } = report {
                self.order(Control::Granted { ticket: *ticket, result: Ok(()) });
            }
        }
        reports
    }

    /// The call is over: the program is told, and its socket closed.
    pub fn stop(&self, reason: &'static str, lasted: Duration) {
        let duration_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        self.order(Control::Stop { reason, sip_code: None, duration_ms });
    }

    /// Whether the program has been told that the call is over, and its socket is closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// A full queue loses the order, as it ends a real call; a rehearsal gives few.
    fn order(&self, order: Control) {
        let _ = self.control.try_send(order);
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A call as the built-in configuration would make it.
fn spec(facts: Facts) -> StreamSpec {
    StreamSpec {
        call: "call_rehearsal".parse().expect("a valid id"),
        instance: "inst_rehearsal".parse().expect("a valid id"),
        direction: facts.direction,
        from: Some(facts.from),
        identity: None,
        sip: super::stream::wire::Sip::default(),
        srtp: None,
        to: facts.to,
        options: StreamOptions::default(),
        parameters: facts.parameters,
        account: None,
        sample_rate: RATE,
        default_rate: 16_000,
        buffer: Duration::from_secs(60),
        water: (0.75, 0.5),
        timing: Timing::default(),
        level: LevelSpec::default(),
        wait: Duration::from_secs(10),
        linger: Duration::from_secs(30),
        observer: false,
        keys_by_call: false,
        hearing: HearingSpec::default(),
        amd: None,
        dial: None,
        secret: [0; 32],
        speak: None,
        stt: Stt::new(SttSpec::default()),
        transcribe: None,
        recordings: None,
        record: None,
    }
}
