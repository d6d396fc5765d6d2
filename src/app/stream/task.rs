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
//! Owns wakers and the order of polling; decides nothing. All that one wake-up brought is taken in
//! before anything is written, so a tick costs at most one write. A socket that does not take what
//! was flushed is not given more; everything else goes on.

use super::StreamSpec;
use super::client::Moment;
use super::resume::Token;
use super::seat::{Arrival, Arrivals, ClientSocket, ResumeDoor, Seat, Seated, StreamRights};
use super::session::{Place, Session};
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
    /// Frees the seat when dropped; whoever was displaced has none.
    seat: Option<OwnedSemaphorePermit>,
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

/// The leg's polled ends.
struct Listening {
    ears: Ears,
    ready: Pin<Box<OwnedNotified>>,
    gone: bool,
}

/// The task of one call; ready when the call is over and its client has been told.
pub(super) struct StreamTask {
    session: Session,
    control: mpsc::Receiver<Control>,
    seated: mpsc::Receiver<Seated>,
    /// By what token somebody can go on, for the seats.
    door: ResumeDoor,
    door_shows: Option<Token>,
    reports: mpsc::Sender<Report>,
    leg: Option<Listening>,
    arriving: Vec<Arriving>,
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
        arrivals: Arrivals,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let Arrivals { seated, door } = arrivals;
        Self {
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
        self.session.on_line(line);
    }

    /// Takes in what has happened, up to [`INPUTS_MAX`] things; how many there were.
    ///
    /// Every source is asked until it has nothing, and left with a waker then. It is asked again
    /// only if another one has changed what is wanted of it, since asking is most of the cost.
    fn take_inputs(&mut self, context: &mut Context<'_>, now: Moment) -> usize {
        let mut inputs = 0;
        loop {
            let wanted = self.session.wants_ready();
            inputs += drain(inputs, || self.poll_leg(context, now));
            let before = inputs;
            inputs += drain(inputs, || self.poll_control(context, now));
            inputs += drain(inputs, || self.poll_seats(context, now));
            inputs += drain(inputs, || self.poll_arrivals(context, now));
            let changed = inputs > before;
            for index in 0..self.attached.len() {
                inputs += drain(inputs, || self.poll_socket(index, context, now));
            }
            self.drop_lost_sockets();
            inputs += drain(inputs, || self.session.poll_words(context, now));
            inputs += drain(inputs, || self.session.poll_spoken(context, now));
            let wanted_now = !wanted && self.session.wants_ready();
            if inputs == INPUTS_MAX || !(changed || wanted_now) {
                return inputs;
            }
        }
    }

    fn poll_leg(&mut self, context: &mut Context<'_>, now: Moment) -> Poll<()> {
        let Some(leg) = self.leg.as_mut().filter(|_| !self.session.is_over()) else {
            return Poll::Pending;
        };
        if !leg.gone
            && let Poll::Ready(event) = leg.ears.events.poll_recv(context)
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
        ready!(leg.ready.as_mut().poll(context));
        leg.ready.set(leg.ears.ready.clone().notified_owned());
        Poll::Ready(())
    }

    fn poll_control(&mut self, context: &mut Context<'_>, now: Moment) -> Poll<()> {
        if self.session.is_over() {
            return Poll::Pending;
        }
        match ready!(self.control.poll_recv(context)) {
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

    /// Takes in who sat down; who comes while too many are there is not let in.
    fn poll_seats(&mut self, context: &mut Context<'_>, now: Moment) -> Poll<()> {
        let Some(seated) = ready!(self.seated.poll_recv(context)) else { return Poll::Pending };
        let Seated { place: seat, options, rights, socket } = seated;
        if self.arriving.len() + self.attached.len() < SOCKETS_MAX {
            let give_up_at = Instant::from_std(now.at) + ARRIVE_WITHIN;
            self.arriving.push(Arriving { seat, options, rights, socket, give_up_at });
        }
        Poll::Ready(())
    }

    /// Serves one whose socket is there, and forgets one whose socket does not come.
    fn poll_arrivals(&mut self, context: &mut Context<'_>, now: Moment) -> Poll<()> {
        for index in 0..self.arriving.len() {
            let Some(arriving) = self.arriving.get_mut(index) else { break };
            let socket = match arriving.socket.as_mut().poll(context) {
                Poll::Ready(socket) => socket,
                Poll::Pending if arriving.give_up_at <= Instant::from_std(now.at) => None,
                Poll::Pending => continue,
            };
            let arriving = self.arriving.swap_remove(index);
            if let Some(socket) = socket {
                self.attach(arriving.seat, &arriving.options, arriving.rights, socket, now);
            }
            return Poll::Ready(());
        }
        Poll::Pending
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
        let place = self.session.on_attach(options, rights, now);
        self.attached.push(Attached { place, socket, seat: Some(seat), flushing: false });
    }

    /// Has the main client close, and takes its seat.
    fn give_way(&mut self, now: Moment) -> Option<OwnedSemaphorePermit> {
        let main = self.attached.iter_mut().find(|attached| attached.place == Place::Main)?;
        main.place = self.session.displace(now)?;
        main.seat.take()
    }

    fn poll_socket(&mut self, index: usize, context: &mut Context<'_>, now: Moment) -> Poll<()> {
        let Some(attached) = self.attached.get_mut(index) else { return Poll::Pending };
        let place = attached.place;
        if !self.session.may_read(place, now.at) {
            return Poll::Pending;
        }
        let incoming = ready!(attached.socket.poll_recv(context));
        self.session.note_pongs(place, attached.socket.pongs());
        self.session.on_incoming(place, incoming, now);
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
        self.drop_lost_sockets();
    }

    /// A client that the session gave up has no use for its socket.
    fn drop_lost_sockets(&mut self) {
        let session = &mut self.session;
        self.attached.retain(|attached| session.has_client(attached.place));
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
    fn poll_alarm(&mut self, context: &mut Context<'_>, retry: bool, now: Moment) -> Poll<()> {
        let present = Instant::from_std(now.at);
        let session = self.session.deadline().map(Instant::from_std);
        let arriving = self.arriving.iter().map(|arriving| arriving.give_up_at).min();
        let retry = retry.then(|| present + RETRY);
        let due = [session, arriving, retry].into_iter().flatten().min();
        if let Some(due) = due {
            // An alarm that is early is harmless, and cheaper than one set anew each tick.
            if self.alarm_at.is_none_or(|set| set <= present || due < set) {
                self.alarm.as_mut().reset(due);
                self.alarm_at = Some(due);
            }
            ready!(self.alarm.as_mut().poll(context));
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
            this.drop_lost_sockets();
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
            if this.poll_alarm(context, retry, now).is_pending() {
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
