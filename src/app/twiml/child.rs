//! The application legs that do what a verb says: each has the media leg while it works.

use crate::app::hearing::HearingSpec;
use crate::app::prompt::{self, PromptSpec, Source};
use crate::app::{Control, Report};
use crate::audio::rate::SampleRate;
use crate::media::worker::LegHandle;
use crate::twiml::document::Stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Words to a child, and from it, that may wait; as between a call and its leg.
const QUEUE_MAX: usize = 64;
/// How long a child may take to give the leg back.
const YIELD_MAX: Duration = Duration::from_secs(2);
/// How long a child may take for its last words.
const STOP_MAX: Duration = Duration::from_secs(4);

/// The queues and the task of a stream's leg.
pub struct StreamChild {
    /// To it.
    pub control: mpsc::Sender<Control>,
    /// From it.
    pub reports: mpsc::Receiver<Report>,
    /// The task.
    pub task: JoinHandle<()>,
}

/// Opens the leg of a stream to the URL of a document; `Err` says why it cannot be.
pub type OpenStream = Arc<dyn Fn(&Stream) -> Result<StreamChild, String> + Send + Sync>;

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Silence, and keys.
    Idle,
    /// The tone of somebody being called.
    Ring,
    /// What a verb says or plays.
    Prompt(u64),
    /// A socket.
    Stream(u64),
}

/// A child; its task is ended with it.
pub(super) struct Child {
    pub(super) purpose: Purpose,
    leg: StreamChild,
}

impl Child {
    /// One that plays, `times` times (0: for ever).
    pub(super) fn prompt(
        purpose: Purpose,
        source: Source,
        times: u32,
        rate: SampleRate,
        hearing: HearingSpec,
    ) -> Self {
        let (control, controlled) = mpsc::channel(QUEUE_MAX);
        let (report, reports) = mpsc::channel(QUEUE_MAX);
        let spec = PromptSpec {
            source,
            repeat: times,
            sample_rate: rate.hz(),
            transcribe: None,
            hearing,
            amd: None,
        };
        let task = prompt::spawn(spec, controlled, report);
        Self { purpose, leg: StreamChild { control, reports, task } }
    }

    /// One that plays nothing.
    pub(super) fn idle(rate: SampleRate, hearing: HearingSpec) -> Self {
        Self::prompt(Purpose::Idle, Source::Samples(Arc::new([])), 1, rate, hearing)
    }

    pub(super) fn stream(ticket: u64, leg: StreamChild) -> Self {
        Self { purpose: Purpose::Stream(ticket), leg }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.purpose, Purpose::Stream(_))
    }

    /// Its next report; `None`: it is gone.
    pub(super) async fn report(&mut self) -> Option<Report> {
        self.leg.reports.recv().await
    }

    /// Tells it something; `false`: it does not listen.
    pub(super) fn tell(&self, control: Control) -> bool {
        self.leg.control.try_send(control).is_ok()
    }

    /// Takes the media leg back.
    pub(super) async fn give_back(&self) -> Option<Box<LegHandle>> {
        let (reply, leg) = oneshot::channel();
        if !self.tell(Control::Yield(reply)) {
            return None;
        }
        let given = tokio::time::timeout(YIELD_MAX, leg).await;
        given.ok()?.ok()?.ok()
    }

    /// Lets it say its last words, and waits until it is gone.
    pub(super) async fn stop(mut self, stop: Control) {
        let told = self.tell(stop);
        let last_words = async { while self.leg.reports.recv().await.is_some() {} };
        if !told || tokio::time::timeout(STOP_MAX, last_words).await.is_err() {
            self.leg.task.abort();
        }
        let _ = (&mut self.leg.task).await;
    }

    /// Has it end by itself: nothing of it is waited for.
    pub(super) fn dismiss(self) {
        if !self.is_stream() {
            self.leg.task.abort();
            return;
        }
        // A socket's last words take a moment.
        let stop = Control::Stop { reason: "completed", sip_code: None, duration_ms: 0 };
        tokio::spawn(self.stop(stop));
    }
}
