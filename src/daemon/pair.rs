//! The task of two calls that are joined, or are going to be.
//!
//! ```text
//!  call A ── leg ──┐            ┌── leg ── call B
//!                  ├── Bridge ──┤
//!  call A <─ leg ──┘            └── leg ─> call B
//! ```
//!
//! Owns the two legs while the bridge stands, and the order of joining and parting. Does not move
//! sound (the bridge does) and ends no call: it tells each what became of the other.

use super::bridging::{Bridge, Heard, Legs, Which};
use super::call_driver::{JointLink, Message, joint_of};
use crate::app::bridge::PaceSpec;
use crate::call::control::{OnPeerHangup, WishError};
use crate::call::machine::Joint;
use crate::call::record::CallRecord;
use crate::id::CallId;
use crate::media::worker::LegHandle;
use crate::sip::interface::TransferState;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How long a call may take to lend its leg.
const LEND_MAX: Duration = Duration::from_secs(2);

/// One of the two calls.
pub(super) struct End {
    /// The call.
    pub id: CallId,
    /// To its actor.
    pub inbox: mpsc::Sender<Message>,
    /// What it looks like.
    pub record: watch::Receiver<CallRecord>,
    /// What becomes of it when the other one ends.
    pub on_peer_hangup: OnPeerHangup,
    /// How long sound waits in a bridge.
    pub pace: PaceSpec,
}

/// A call is asked for its media leg.
pub(super) struct Lend {
    /// The other call.
    pub with: CallId,
    /// What becomes of the call when the other one ends.
    pub on_peer_hangup: OnPeerHangup,
    /// The call has asked for the other party itself.
    pub is_transfer: bool,
    /// What ties it to the other one.
    pub link: JointLink,
    /// The leg, or why not; dropped when there is none.
    pub reply: oneshot::Sender<Result<Box<LegHandle>, WishError>>,
}

/// Waits for the other party of a transfer, and joins both calls when it answers.
pub(super) async fn hand_over(a: End, mut b: End, dropped: CancellationToken) {
    let answered = tokio::select! {
        () = dropped.cancelled() => None,
        () = a.inbox.closed() => None,
        answered = ring(&a, &mut b) => Some(answered),
    };
    match answered {
        Some(Ok(())) => {}
        Some(Err(code)) => return tell(&a, failed(code)).await,
        None => {
            return unwanted(&b.inbox).await;
        }
    }
    let inbox = b.inbox.clone();
    let (told, standing) = oneshot::channel();
    let progress = a.inbox.clone();
    let joined = join(a, b, true, told);
    let outcome = async {
        match standing.await {
            Ok(Ok(())) => {
                let _ = progress.send(Message::Progress(TransferState::Succeeded)).await;
            }
            Ok(Err(_)) | Err(_) => {
                let _ = progress.send(Message::Progress(failed(500))).await;
                unwanted(&inbox).await;
            }
        }
    };
    tokio::join!(joined, outcome);
}

/// Waits for the party that an incoming call is to be connected with: when they answer, the call
/// is answered, and both are joined. When one of the two ends, the other has no purpose.
pub(super) async fn connect(mut a: End, mut b: End, dropped: CancellationToken) {
    let answered = tokio::select! {
        () = dropped.cancelled() => None,
        () = a.inbox.closed() => None,
        answered = ring(&a, &mut b) => Some(answered),
    };
    match answered {
        Some(Ok(())) => tell(&a, TransferState::Succeeded).await,
        Some(Err(code)) => return tell(&a, failed(code)).await,
        None => return unwanted(&b.inbox).await,
    }
    let inboxes = [a.inbox.clone(), b.inbox.clone()];
    let stands = if is_answered(&mut a, &mut b).await {
        let (told, standing) = oneshot::channel();
        let outcome = async { matches!(standing.await, Ok(Ok(()))) };
        let ((), stood) = tokio::join!(join(a, b, false, told), outcome);
        stood
    } else {
        false
    };
    if !stands {
        for inbox in &inboxes {
            unwanted(inbox).await;
        }
    }
}

/// Waits until the first call is answered, too; `false`: one of them has ended.
async fn is_answered(a: &mut End, b: &mut End) -> bool {
    loop {
        let (answered, over) = {
            let record = a.record.borrow_and_update();
            (record.answered_at.is_some(), record.ended_at.is_some())
        };
        if over || b.record.borrow_and_update().ended_at.is_some() {
            return false;
        }
        if answered {
            return true;
        }
        let changed = tokio::select! {
            changed = a.record.changed() => changed,
            changed = b.record.changed() => changed,
        };
        if changed.is_err() {
            return false;
        }
    }
}

async fn unwanted(inbox: &mpsc::Sender<Message>) {
    let _ = inbox.send(Message::Unwanted).await;
}

/// Tells the first call how the second one rings, until it is answered or its end is known.
async fn ring(a: &End, b: &mut End) -> Result<(), u16> {
    let mut rang = false;
    loop {
        let (rings, answered, over) = {
            let record = b.record.borrow_and_update();
            let over = record.ended_at.map(|_| record.sip_code);
            (record.ringing_at.is_some(), record.answered_at.is_some(), over)
        };
        if let Some(code) = over {
            return Err(code.filter(|code| *code >= 300).unwrap_or(480));
        }
        if answered {
            return Ok(());
        }
        if rings && !std::mem::replace(&mut rang, true) {
            tell(a, TransferState::Progress { code: 180 }).await;
        }
        if b.record.changed().await.is_err() {
            return Err(480);
        }
    }
}

/// Joins two calls until one ends or somebody parts them; `told` hears whether the bridge stands.
pub(super) async fn join(
    a: End,
    b: End,
    is_transfer: bool,
    told: oneshot::Sender<Result<(), WishError>>,
) {
    let parted = CancellationToken::new();
    let gone = [CancellationToken::new(), CancellationToken::new()];
    let link = |gone: &CancellationToken| JointLink { parted: parted.clone(), gone: gone.clone() };
    let legs = match borrow(&a, &b, is_transfer, link(&gone[0]), link(&gone[1])).await {
        Ok(legs) => legs,
        Err(error) => {
            let _ = told.send(Err(error));
            return;
        }
    };
    let mut bridge = Bridge::start(legs, a.pace);
    let _ = a.inbox.send(Message::Joined(b.id.clone())).await;
    let _ = b.inbox.send(Message::Joined(a.id.clone())).await;
    let _ = told.send(Ok(()));
    let lost = stand(&a, &b, &mut bridge, &parted, &gone).await;
    let (leg_a, leg_b) = bridge.stop().await.unzip();
    let (left, right) = (gone[0].is_cancelled(), gone[1].is_cancelled());
    let joint = |other_gone: bool, end: &End| match (other_gone || lost, lost) {
        (true, false) => joint_of(end.on_peer_hangup),
        (true, true) => Joint::EndsWithPeer,
        (false, _) => Joint::Parted,
    };
    let (of_a, of_b) = (joint(right, &a), joint(left, &b));
    give_back(&a, leg_a.filter(|_| !left), Some(of_a)).await;
    give_back(&b, leg_b.filter(|_| !right), Some(of_b)).await;
}

/// Waits while the bridge stands; `true`: it broke.
async fn stand(
    a: &End,
    b: &End,
    bridge: &mut Bridge,
    parted: &CancellationToken,
    gone: &[CancellationToken; 2],
) -> bool {
    let over = async {
        tokio::select! {
            () = parted.cancelled() => {}
            () = gone[0].cancelled() => {}
            () = gone[1].cancelled() => {}
        }
    };
    tokio::pin!(over);
    loop {
        let heard = tokio::select! {
            () = &mut over => return false,
            // An actor that died without a word.
            () = a.inbox.closed() => { gone[0].cancel(); return false; }
            () = b.inbox.closed() => { gone[1].cancel(); return false; }
            heard = bridge.next() => heard,
        };
        let of = |which| match which {
            Which::A => a,
            Which::B => b,
        };
        // A call that does not listen misses a digit, not the bridge.
        match heard {
            Heard::Dtmf(which, digit, duration_ms, method) => {
                let _ = of(which).inbox.try_send(Message::Dtmf { digit, duration_ms, method });
            }
            Heard::Quiet(which) => {
                let _ = of(which).inbox.try_send(Message::Quiet);
            }
            Heard::Lost => return true,
        }
    }
}

/// Both legs, or none and why.
async fn borrow(
    a: &End,
    b: &End,
    is_transfer: bool,
    link_a: JointLink,
    link_b: JointLink,
) -> Result<Legs, WishError> {
    let first = lend(a, &b.id, is_transfer, link_a).await?;
    match lend(b, &a.id, false, link_b).await {
        Ok(second) => Ok((first, second)),
        Err(error) => {
            give_back(a, Some(first), None).await;
            Err(error)
        }
    }
}

async fn lend(
    end: &End,
    with: &CallId,
    is_transfer: bool,
    link: JointLink,
) -> Result<Box<LegHandle>, WishError> {
    let (reply, leg) = oneshot::channel();
    let on_peer_hangup = end.on_peer_hangup;
    let lend = Lend { with: with.clone(), on_peer_hangup, is_transfer, link, reply };
    let asked = end.inbox.send(Message::Lend(Box::new(lend))).await;
    asked.map_err(|_| WishError::Ended)?;
    match tokio::time::timeout(LEND_MAX, leg).await {
        Ok(Ok(lent)) => lent,
        // It has none, or its leg has lost it.
        Ok(Err(_)) | Err(_) => {
            let detail = format!("call {} cannot lend its sound at this moment", end.id);
            give_back(end, None, None).await;
            Err(WishError::Conflict(detail))
        }
    }
}

async fn give_back(end: &End, leg: Option<Box<LegHandle>>, joint: Option<Joint>) {
    let _ = end.inbox.send(Message::Return { leg, joint }).await;
}

async fn tell(end: &End, state: TransferState) {
    let _ = end.inbox.send(Message::Progress(state)).await;
}

fn failed(code: u16) -> TransferState {
    TransferState::Failed { code, reason: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::{CallStatus, CallType, Direction};
    use crate::id::InstanceId;

    /// A call as a pair sees it, and the ends that its actor would hold.
    struct Actor {
        heard: mpsc::Receiver<Message>,
        record: watch::Sender<CallRecord>,
    }

    fn call(tail: &str) -> (End, Actor) {
        let id = CallId::from_tail(tail).unwrap();
        let instance = InstanceId::from_tail("demo").unwrap();
        let (number, direction) = ("+14155550123".to_owned(), Direction::Outbound);
        let kind = CallType::DynamicStream;
        let record = CallRecord::new(id.clone(), instance, kind, number, direction, 0);
        let (inbox, heard) = mpsc::channel(64);
        let (record, seen) = watch::channel(record);
        let on_peer_hangup = OnPeerHangup::Hangup;
        let pace = PaceSpec::default();
        (End { id, inbox, record: seen, on_peer_hangup, pace }, Actor { heard, record })
    }

    impl Actor {
        fn change(&self, change: impl FnOnce(&mut CallRecord)) {
            self.record.send_modify(change);
        }

        async fn progress(&mut self) -> TransferState {
            match self.heard.recv().await {
                Some(Message::Progress(state)) => state,
                Some(_) | None => panic!("no progress"),
            }
        }
    }

    #[tokio::test]
    async fn a_target_that_refuses_fails_the_transfer_with_its_status() {
        let ((a, mut first), (b, second)) = (call("1"), call("2"));
        let task = tokio::spawn(hand_over(a, b, CancellationToken::new()));
        second.change(|record| record.ringing_at = Some(1));
        assert_eq!(first.progress().await, TransferState::Progress { code: 180 });
        second.change(|record| {
            record.status = CallStatus::Failed;
            (record.ended_at, record.sip_code) = (Some(2), Some(486));
        });
        assert_eq!(first.progress().await, failed(486));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn who_is_not_waited_for_is_not_called_any_more() {
        for gives_up in [true, false] {
            let ((a, first), (b, mut second)) = (call("1"), call("2"));
            let dropped = CancellationToken::new();
            let task = tokio::spawn(hand_over(a, b, dropped.clone()));
            if gives_up {
                dropped.cancel();
            } else {
                drop(first);
            }
            assert!(matches!(second.heard.recv().await, Some(Message::Unwanted)));
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_call_that_cannot_lend_its_leg_leaves_both_as_they_were() {
        let ((a, mut first), (b, mut second)) = (call("1"), call("2"));
        let task = tokio::spawn(hand_over(a, b, CancellationToken::new()));
        second.change(|record| record.answered_at = Some(1));
        let Some(Message::Lend(lend)) = first.heard.recv().await else { panic!() };
        assert!(lend.is_transfer && lend.with == CallId::from_tail("2").unwrap());
        drop(lend);
        let back = first.heard.recv().await;
        assert!(matches!(back, Some(Message::Return { leg: None, joint: None })));
        assert_eq!(first.progress().await, failed(500));
        assert!(matches!(second.heard.recv().await, Some(Message::Unwanted)));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn an_incoming_call_is_answered_when_its_party_answers() {
        let ((a, mut first), (b, mut second)) = (call("1"), call("2"));
        let task = tokio::spawn(connect(a, b, CancellationToken::new()));
        second.change(|record| record.ringing_at = Some(1));
        assert_eq!(first.progress().await, TransferState::Progress { code: 180 });
        second.change(|record| record.answered_at = Some(2));
        assert_eq!(first.progress().await, TransferState::Succeeded);
        assert!(second.heard.try_recv().is_err(), "nobody lends a leg before the answer");
        first.change(|record| record.answered_at = Some(3));
        let Some(Message::Lend(lend)) = first.heard.recv().await else { panic!() };
        assert!(!lend.is_transfer && lend.with == CallId::from_tail("2").unwrap());
        // It has none to lend after all: neither call has a purpose.
        drop(lend);
        let back = first.heard.recv().await;
        assert!(matches!(back, Some(Message::Return { leg: None, joint: None })));
        for call in [&mut first, &mut second] {
            assert!(matches!(call.heard.recv().await, Some(Message::Unwanted)));
        }
        task.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_ends_before_both_are_answered_ends_the_other() {
        for caller_leaves in [true, false] {
            let ((a, mut first), (b, mut second)) = (call("1"), call("2"));
            let task = tokio::spawn(connect(a, b, CancellationToken::new()));
            second.change(|record| record.answered_at = Some(1));
            assert_eq!(first.progress().await, TransferState::Succeeded);
            let leaves = if caller_leaves { &first } else { &second };
            leaves.change(|record| record.ended_at = Some(2));
            for call in [&mut first, &mut second] {
                assert!(matches!(call.heard.recv().await, Some(Message::Unwanted)));
            }
            task.await.unwrap();
        }
        let ((a, mut first), (b, second)) = (call("1"), call("2"));
        let task = tokio::spawn(connect(a, b, CancellationToken::new()));
        second.change(|record| (record.ended_at, record.sip_code) = (Some(2), Some(486)));
        assert_eq!(first.progress().await, failed(486));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_call_that_must_not_be_joined_says_why() {
        let ((a, mut first), (b, _second)) = (call("1"), call("2"));
        let (told, standing) = oneshot::channel();
        let task = tokio::spawn(join(a, b, false, told));
        let Some(Message::Lend(lend)) = first.heard.recv().await else { panic!() };
        assert!(!lend.is_transfer);
        let _ = lend.reply.send(Err(WishError::Ended));
        assert_eq!(standing.await.unwrap(), Err(WishError::Ended));
        task.await.unwrap();
    }
}
