//! The one task of a call's stream: polls everything there is, feeds the session, writes once.
//!
//! ```text
//!  poll ─> leg events ─┐
//!          leg ready  ─┤
//!          control    ─┼─> Session ─> pump ─> messages ─> socket, one flush
//!          arrival    ─┤                 └──> reports
//!          socket     ─┤
//!          clock      ─┘
//! ```
//!
//! Owns the order of polling, and asks only those that called ([`Signals`]); decides nothing. All that one wake-up brought is taken in
//! before anything is written, so a tick costs at most one write. A socket that does not take what
//! was flushed is not given more; everything else goes on.

use super::StreamSpec;
use super::client::Moment;
use super::dialer::Dialled;
use super::dialling::Dialling;
use super::seat::{Arrival, ClientSocket, Seated, StreamRights};
use super::session::Session;
use super::signals::{Signals, Source};
use crate::app::line::{Ears, Line, split, whole};
use crate::app::{Control, Report};
use crate::call::control::WishError;
use crate::media::worker::LegHandle;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, Sleep};

/// Inputs taken in before the task lets others run.
const INPUTS_MAX: usize = 128;
/// Octets given to a socket between two flushes.
const FLUSH_OCTETS: usize = 32 * 1024;
/// How long an upgrade may take.
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);
/// When to try again to hand over what was refused.
const RETRY: Duration = Duration::from_millis(20);

/// A client's socket while it is attached.
struct Attached {
    socket: Box<dyn ClientSocket>,
    /// Frees the seat when dropped; that of a dialled client is kept beside.
    _seat: Option<OwnedSemaphorePermit>,
    /// It was dialled, and did not come by itself.
    dialled: bool,
    /// The last flush is not through.
    flushing: bool,
}

/// A client whose upgrade is under way.
struct Arriving {
    seat: OwnedSemaphorePermit,
    options: super::StreamOptions,
    rights: StreamRights,
    socket: Arrival,
    give_up_at: Instant,
}

/// The leg's polled ends.
struct Listening {
    ears: Ears,
    ready: Pin<Box<OwnedNotified>>,
    gone: bool,
}

/// The task of one call; ready when the call is over and its client has been told.
pub(super) struct StreamTask {
    signals: Signals,
    session: Session,
    control: mpsc::Receiver<Control>,
    seated: mpsc::Receiver<Box<Seated>>,
    reports: mpsc::Sender<Report>,
    leg: Option<Listening>,
    arriving: Option<Arriving>,
    dialling: Option<Dialling>,
    attached: Option<Attached>,
    alarm: Pin<Box<Sleep>>,
    /// What the alarm is set to, if anything.
    alarm_at: Option<Instant>,
}

impl StreamTask {
    /// A task that waits for what happens; must be made within a runtime with a clock.
    pub(super) fn new(
        spec: StreamSpec,
        control: mpsc::Receiver<Control>,
        (seated, seat): (mpsc::Receiver<Box<Seated>>, Option<OwnedSemaphorePermit>),
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (plan, direction) = (spec.dial.clone(), spec.direction);
        let dialling = plan.map(|plan| Dialling::new(plan, direction, seat, moment().at));
        Self {
            signals: Signals::new(),
            dialling,
            session: Session::new(spec),
            control,
            seated,
            reports,
            leg: None,
            arriving: None,
            attached: None,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            alarm_at: None,
        }
    }

    /// Takes the leg's ends.
    pub(super) fn take_line(&mut self, line: Line, ears: Ears) {
        let ready = Box::pin(ears.ready.clone().notified_owned());
        self.leg = Some(Listening { ears, ready, gone: false });
        self.signals.renew(Source::Events);
        self.signals.renew(Source::Ready);
        self.session.on_line(line, moment().at);
    }

    /// Takes in what has happened, up to [`INPUTS_MAX`] things; how many there were.
    ///
    /// Every source that called is asked until it has nothing; what one says may change what is
    /// wanted of another, so that all have another turn then.
    fn take_inputs(&mut self, context: &mut Context<'_>, now: Moment) -> usize {
        self.signals.look(context);
        let mut inputs = 0;
        loop {
            let before = inputs;
            inputs += drain(inputs, || self.poll_leg(now));
            inputs += drain(inputs, || self.poll_control(now));
            inputs += drain(inputs, || self.poll_arrival(now));
            inputs += drain(inputs, || self.poll_dialling(now));
            inputs += drain(inputs, || self.poll_socket(now));
            inputs += drain(inputs, || self.session.poll_words(context, now));
            if inputs == INPUTS_MAX || inputs == before {
                return inputs;
            }
        }
    }

    fn poll_leg(&mut self, now: Moment) -> Poll<()> {
        let Some(leg) = self.leg.as_mut().filter(|_| !self.session.is_over()) else {
            return Poll::Pending;
        };
        if !leg.gone
            && let Poll::Ready(event) =
                self.signals.poll(Source::Events, |context| leg.ears.events.poll_recv(context))
        {
            if let Some(event) = event {
                self.session.on_leg_event(&event, now);
            } else {
                leg.gone = true;
                self.session.on_line_lost();
            }
            return Poll::Ready(());
        }
        if !self.session.wants_ready() {
            return Poll::Pending;
        }
        ready!(self.signals.poll(Source::Ready, |context| leg.ready.as_mut().poll(context)));
        leg.ready.set(leg.ears.ready.clone().notified_owned());
        Poll::Ready(())
    }

    fn poll_control(&mut self, now: Moment) -> Poll<()> {
        if self.session.is_over() {
            return Poll::Pending;
        }
        let Self { signals, control, .. } = self;
        let control = ready!(signals.poll(Source::Control, |context| control.poll_recv(context)));
        if let (Some(dialling), Some(control)) = (&mut self.dialling, &control) {
            dialling.on_control(control, now.at);
        }
        match control {
            Some(Control::Leg(leg)) => {
                let (line, ears) = split(*leg);
                self.take_line(line, ears);
            }
            Some(Control::Yield(reply)) => self.lend(reply, now),
            Some(control) => self.session.on_control(control, now),
            None => {
                // The call's driver is gone: there is nobody left to play for.
                let reason = "error";
                let stop = Control::Stop { reason, sip_code: None, duration_ms: 0 };
                self.session.on_control(stop, now);
            }
        }
        if self.session.is_over() {
            self.leg = None;
            self.arriving = None;
            self.seated.close();
            if let Some(dialling) = &mut self.dialling {
                dialling.stop();
            }
        }
        Poll::Ready(())
    }

    /// Lends the leg to a bridge; the client keeps its seat.
    fn lend(&mut self, reply: oneshot::Sender<Result<Box<LegHandle>, WishError>>, now: Moment) {
        let Some(Listening { ears, .. }) = self.leg.take_if(|leg| !leg.gone) else { return };
        let Some(line) = self.session.off_line(now) else { return };
        if let Some(leg) = whole(line, ears)
            && let Err(Ok(leg)) = reply.send(Ok(leg))
        {
            let (line, ears) = split(*leg);
            self.take_line(line, ears);
        }
    }

    fn poll_arrival(&mut self, now: Moment) -> Poll<()> {
        if let Some(arriving) = &mut self.arriving {
            let socket = &mut arriving.socket;
            let arrived =
                self.signals.poll(Source::Arrival, |context| socket.as_mut().poll(context));
            let socket = match arrived {
                Poll::Ready(socket) => socket,
                Poll::Pending if arriving.give_up_at <= Instant::from_std(now.at) => None,
                Poll::Pending => return Poll::Pending,
            };
            // Who comes next is another future.
            self.signals.renew(Source::Arrival);
            if let (Some(arriving), Some(socket)) = (self.arriving.take(), socket) {
                self.signals.renew(Source::Socket);
                self.session.on_attach(&arriving.options, arriving.rights, now);
                let seat = Some(arriving.seat);
                let dialled = false;
                self.attached = Some(Attached { socket, _seat: seat, dialled, flushing: false });
            }
            return Poll::Ready(());
        }
        // The seat is one, so nobody comes while somebody sits.
        let Self { signals, seated, .. } = self;
        let seated = ready!(signals.poll(Source::Arrival, |context| seated.poll_recv(context)));
        let Some(seated) = seated else { return Poll::Pending };
        self.signals.renew(Source::Arrival);
        let Seated { permit, options, rights, socket } = *seated;
        let give_up_at = Instant::from_std(now.at) + ARRIVE_WITHIN;
        self.arriving = Some(Arriving { seat: permit, options, rights, socket, give_up_at });
        Poll::Ready(())
    }

    /// Opens the socket of a client that is dialled.
    fn poll_dialling(&mut self, now: Moment) -> Poll<()> {
        let Self { signals, session, dialling, .. } = self;
        let Some(dialling) = dialling else { return Poll::Pending };
        if dialling.open_due(now.at, || session.resume_point()) {
            // It is another future than before.
            signals.renew(Source::Dialling);
        }
        let opened =
            ready!(signals.poll(Source::Dialling, |context| dialling.poll(context, now.at)));
        match opened {
            Ok(Dialled { socket, had }) => {
                signals.renew(Source::Socket);
                session.on_dialled(dialling.rights(), had, now);
                let (seat, dialled) = (None, true);
                self.attached = Some(Attached { socket, _seat: seat, dialled, flushing: false });
            }
            Err(fault) => session.on_dial_failed(&fault, dialling.tries(), now),
        }
        Poll::Ready(())
    }

    fn poll_socket(&mut self, now: Moment) -> Poll<()> {
        let Some(attached) = &mut self.attached else { return Poll::Pending };
        if !self.session.may_read(now.at) {
            return Poll::Pending;
        }
        let socket = &mut attached.socket;
        let incoming =
            ready!(self.signals.poll(Source::Socket, |context| socket.poll_recv(context)));
        self.session.on_incoming(incoming, now);
        self.drop_lost_socket(now);
        Poll::Ready(())
    }

    /// Writes what there is to say, as far as the socket takes it.
    fn write(&mut self, context: &mut Context<'_>, now: Moment) {
        while let Some(attached) = &mut self.attached {
            if !attached.flushing {
                let mut octets = 0;
                while octets < FLUSH_OCTETS
                    && let Some(message) = self.session.next_message(now)
                {
                    octets += message.octets() + 1;
                    if attached.socket.send(message).is_err() {
                        self.session.on_gone(now);
                        break;
                    }
                }
                // The socket may hold answers of its own (pong, close), but those it writes
                // while it reads.
                if octets == 0 {
                    break;
                }
            }
            match attached.socket.poll_flush(context) {
                Poll::Ready(Ok(())) => {
                    attached.flushing = false;
                    self.session.note_flushed(Instant::now().into_std());
                }
                Poll::Ready(Err(_)) => self.session.on_gone(now),
                Poll::Pending => {
                    attached.flushing = true;
                    break;
                }
            }
            self.drop_lost_socket(now);
        }
        self.drop_lost_socket(now);
    }

    /// A client that the session gave up has no use for its socket.
    fn drop_lost_socket(&mut self, now: Moment) {
        if self.session.has_client() {
            return;
        }
        let Some(attached) = self.attached.take() else { return };
        if let Some(dialling) = self.dialling.as_mut().filter(|_| attached.dialled) {
            let code = attached.socket.closed_with();
            let ending = self.session.on_dialled_gone(code, dialling.tries(), now);
            dialling.lost(ending, now.at);
        }
    }

    /// Hands reports over; `false` when some must wait.
    fn send_reports(&mut self) -> bool {
        while let Some(report) = self.session.next_report() {
            match self.reports.try_send(report) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(report)) => {
                    self.session.keep_report(report);
                    return false;
                }
            }
        }
        true
    }

    /// Sets the alarm to the next thing that is due; ready when it is due already.
    fn poll_alarm(&mut self, retry: bool, now: Moment) -> Poll<()> {
        let present = Instant::from_std(now.at);
        let session = self.session.deadline().map(Instant::from_std);
        let arriving = self.arriving.as_ref().map(|arriving| arriving.give_up_at);
        let dialling = self.dialling.as_ref().and_then(Dialling::deadline).map(Instant::from_std);
        let retry = retry.then(|| present + RETRY);
        let due = [session, arriving, dialling, retry].into_iter().flatten().min();
        if let Some(due) = due {
            // An alarm that is early is harmless, and cheaper than one set anew each tick.
            if self.alarm_at.is_none_or(|set| set <= present || due < set) {
                self.alarm.as_mut().reset(due);
                self.alarm_at = Some(due);
                self.signals.renew(Source::Alarm);
            }
            let Self { signals, alarm, .. } = self;
            ready!(signals.poll(Source::Alarm, |context| alarm.as_mut().poll(context)));
            self.alarm_at = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Future for StreamTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let now = moment();
            let inputs = this.take_inputs(context, now);
            this.session.on_time(now);
            this.drop_lost_socket(now);
            let more = this.session.pump(now);
            this.write(context, now);
            let told = this.send_reports();
            if this.session.is_finished() && told {
                return Poll::Ready(());
            }
            if more || inputs == INPUTS_MAX {
                // Much to do: other tasks first.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let retry = !told || this.session.has_orders();
            if this.poll_alarm(retry, now).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Asks a source until it has nothing, or until `before` and its inputs are [`INPUTS_MAX`]; how
/// many inputs it had.
fn drain(before: usize, mut poll: impl FnMut() -> Poll<()>) -> usize {
    let mut inputs = 0;
    while before + inputs < INPUTS_MAX && poll().is_ready() {
        inputs += 1;
    }
    inputs
}

fn moment() -> Moment {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let unix_ms = i64::try_from(unix.as_millis()).unwrap_or(i64::MAX);
    Moment { at: Instant::now().into_std(), unix_ms }
}
