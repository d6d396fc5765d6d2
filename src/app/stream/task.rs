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
use super::resume::Token;
use super::seat::{Arrival, Arrivals, ClientSocket, ResumeDoor, Seat, Seated, StreamRights};
use super::session::{Place, Session};
use super::signals::{Signals, Source};
use crate::app::line::{Ears, Line, split, whole};
use crate::app::{Control, Report};
use crate::call::control::WishError;
use crate::media::worker::LegHandle;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
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
/// Sockets of clients that are there, are on their way or have not closed yet.
const SOCKETS_MAX: usize = 24;

/// A client's socket while it is attached.
struct Attached {
    place: Place,
    socket: Box<dyn ClientSocket>,
    /// Frees the seat when dropped; whoever was displaced has none, and that of a dialled client is
    /// kept beside.
    seat: Option<OwnedSemaphorePermit>,
    /// It was dialled, and did not come by itself.
    dialled: bool,
    /// The last flush is not through.
    flushing: bool,
}

/// A client whose upgrade is under way.
struct Arriving {
    seat: Seat,
    options: super::StreamOptions,
    rights: StreamRights,
    socket: Arrival,
    give_up_at: Instant,
}

/// Somebody on the way.
enum Came {
    /// Who sat down.
    Seated(Box<Seated>),
    /// The socket of one of them; `None`: it never comes.
    Socket(usize, Option<Box<dyn ClientSocket>>),
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
    /// By what token somebody can go on, for the seats.
    door: ResumeDoor,
    door_shows: Option<Token>,
    reports: mpsc::Sender<Report>,
    leg: Option<Listening>,
    arriving: Vec<Arriving>,
    dialling: Option<Dialling>,
    attached: Vec<Attached>,
    alarm: Pin<Box<Sleep>>,
    /// What the alarm is set to, if anything.
    alarm_at: Option<Instant>,
}

impl StreamTask {
    /// A task that waits for what happens; must be made within a runtime with a clock.
    pub(super) fn new(
        spec: StreamSpec,
        control: mpsc::Receiver<Control>,
        (arrivals, seat): (Arrivals, Option<OwnedSemaphorePermit>),
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (plan, direction) = (spec.dial.clone(), spec.direction);
        let dialling = plan.map(|plan| Dialling::new(plan, direction, seat, moment().at));
        let Arrivals { seated, door } = arrivals;
        Self {
            signals: Signals::new(),
            dialling,
            session: Session::new(spec),
            control,
            seated,
            door,
            door_shows: None,
            reports,
            leg: None,
            arriving: Vec::new(),
            attached: Vec::new(),
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
        self.session.on_line(line);
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
            inputs += drain(inputs, || self.poll_arrivals(now));
            inputs += drain(inputs, || self.poll_dialling(now));
            inputs += drain(inputs, || self.poll_sockets(now));
            self.drop_lost_sockets(now);
            inputs += drain(inputs, || self.session.poll_words(context, now));
            inputs += drain(inputs, || self.session.poll_spoken(context, now));
            inputs += drain(inputs, || self.session.poll_recording(context, now));
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
            self.arriving.clear();
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

    /// Takes in who sat down, and serves whose socket is there; who comes while too many are there
    /// is not let in, and who does not come is forgotten.
    fn poll_arrivals(&mut self, now: Moment) -> Poll<()> {
        let present = Instant::from_std(now.at);
        let Self { signals, seated, arriving, .. } = self;
        let came = signals.poll(Source::Arrival, |context| {
            if let Poll::Ready(Some(seated)) = seated.poll_recv(context) {
                return Poll::Ready(Came::Seated(seated));
            }
            for (index, arriving) in arriving.iter_mut().enumerate() {
                if let Poll::Ready(socket) = arriving.socket.as_mut().poll(context) {
                    return Poll::Ready(Came::Socket(index, socket));
                }
            }
            Poll::Pending
        });
        match came {
            Poll::Ready(Came::Seated(seated)) => {
                let Seated { place: seat, options, rights, socket } = *seated;
                if self.arriving.len() + self.attached.len() < SOCKETS_MAX {
                    let give_up_at = present + ARRIVE_WITHIN;
                    self.arriving.push(Arriving { seat, options, rights, socket, give_up_at });
                }
            }
            Poll::Ready(Came::Socket(index, socket)) => {
                let arriving = self.arriving.swap_remove(index);
                if let Some(socket) = socket {
                    self.attach(arriving.seat, &arriving.options, arriving.rights, socket, now);
                }
            }
            Poll::Pending => {
                self.arriving.retain(|arriving| arriving.give_up_at > present);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn attach(
        &mut self,
        seat: Seat,
        options: &super::StreamOptions,
        rights: StreamRights,
        socket: Box<dyn ClientSocket>,
        now: Moment,
    ) {
        let seat = match seat {
            Seat::Taken(seat) => Some(seat),
            Seat::Wanted(of) => self.give_way(now).or_else(|| of.try_acquire_owned().ok()),
        };
        // Somebody else was faster: without a seat there is no place.
        let Some(seat) = seat else { return };
        self.signals.renew(Source::Socket);
        let place = self.session.on_attach(options, rights, now);
        let (seat, dialled, flushing) = (Some(seat), false, false);
        self.attached.push(Attached { place, socket, seat, dialled, flushing });
    }

    /// Has the main client close, and takes its seat.
    fn give_way(&mut self, now: Moment) -> Option<OwnedSemaphorePermit> {
        let main = self.attached.iter_mut().find(|attached| attached.place == Place::Main)?;
        // The seat of one that is dialled is not to be had.
        main.seat.as_ref()?;
        main.place = self.session.displace(now)?;
        main.seat.take()
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
                let place = session.on_dialled(dialling.rights(), had, now);
                let (seat, dialled, flushing) = (None, true, false);
                self.attached.push(Attached { place, socket, seat, dialled, flushing });
            }
            Err(fault) => session.on_dial_failed(&fault, dialling.tries(), now),
        }
        Poll::Ready(())
    }

    /// Takes one message of the clients that may talk at this moment.
    fn poll_sockets(&mut self, now: Moment) -> Poll<()> {
        let Self { signals, session, attached, .. } = self;
        let mut passed_over = false;
        let came = signals.poll(Source::Socket, |context| {
            for attached in attached.iter_mut() {
                let place = attached.place;
                if !session.may_read(place, now.at) {
                    passed_over = true;
                } else if let Poll::Ready(incoming) = attached.socket.poll_recv(context) {
                    return Poll::Ready((place, attached.socket.pongs(), incoming));
                }
            }
            Poll::Pending
        });
        if passed_over {
            signals.renew(Source::Socket);
        }
        let (place, pongs, incoming) = ready!(came);
        session.note_pongs(place, pongs);
        session.on_incoming(place, incoming, now);
        Poll::Ready(())
    }

    /// Writes what there is to say, as far as the sockets take it.
    fn write(&mut self, context: &mut Context<'_>, now: Moment) {
        for attached in &mut self.attached {
            while self.session.has_client(attached.place) {
                if !attached.fill(&mut self.session, now) {
                    break;
                }
                match attached.socket.poll_flush(context) {
                    Poll::Ready(Ok(())) => {
                        attached.flushing = false;
                        let at = Instant::now().into_std();
                        self.session.note_flushed(attached.place, at);
                    }
                    Poll::Ready(Err(_)) => self.session.on_gone(attached.place, now),
                    Poll::Pending => {
                        attached.flushing = true;
                        break;
                    }
                }
            }
        }
        self.drop_lost_sockets(now);
    }

    /// A client that the session gave up has no use for its socket.
    fn drop_lost_sockets(&mut self, now: Moment) {
        let mut index = 0;
        while let Some(attached) = self.attached.get(index) {
            if self.session.has_client(attached.place) {
                index += 1;
                continue;
            }
            let lost = self.attached.swap_remove(index);
            if let Some(dialling) = self.dialling.as_mut().filter(|_| lost.dialled) {
                let code = lost.socket.closed_with();
                let ending = self.session.on_dialled_gone(code, dialling.tries(), now);
                dialling.lost(ending, now.at);
            }
        }
    }

    /// Shows the seats by which token somebody can go on.
    fn show_door(&mut self) {
        let resumable = self.session.resumable();
        if resumable != self.door_shows {
            self.door_shows = resumable;
            *self.door.lock().unwrap_or_else(PoisonError::into_inner) = resumable;
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
        let arriving = self.arriving.iter().map(|arriving| arriving.give_up_at).min();
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

impl Attached {
    /// Gives the socket what there is to say, up to [`FLUSH_OCTETS`]; whether it is to be flushed.
    fn fill(&mut self, session: &mut Session, now: Moment) -> bool {
        if self.flushing {
            return true;
        }
        let mut octets = 0;
        while octets < FLUSH_OCTETS
            && let Some(message) = session.next_message(self.place, now)
        {
            octets += message.octets() + 1;
            if self.socket.send(message).is_err() {
                session.on_gone(self.place, now);
                return false;
            }
        }
        // The socket may hold answers of its own (pong, close), but those it writes while it
        // reads.
        octets > 0
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
            this.drop_lost_sockets(now);
            let more = this.session.pump(now);
            this.write(context, now);
            this.show_door();
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
