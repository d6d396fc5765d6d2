use super::*;
use crate::app::stream::ClientSocket;
use crate::app::stream::seat::{Incoming, Outgoing, SocketError};
use serde_json::json;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A socket in memory: one end for the gateway, queues for a program in the same process.
struct Memory {
    incoming: mpsc::Receiver<Result<Incoming, SocketError>>,
    outgoing: mpsc::Sender<Outgoing>,
}

impl ClientSocket for Memory {
    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, SocketError>>> {
        self.incoming.poll_recv(context)
    }

    fn send(&mut self, message: Outgoing) -> Result<(), SocketError> {
        self.outgoing.try_send(message).map_err(|_| SocketError::Lost("gone".to_owned()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }
}

/// What a program sees and says.
struct Program {
    said: mpsc::Sender<Result<Incoming, SocketError>>,
    heard: mpsc::Receiver<Outgoing>,
}

impl Program {
    fn new() -> (Self, Memory) {
        let (said, incoming) = mpsc::channel(10_000);
        let (outgoing, heard) = mpsc::channel(10_000);
        (Self { said, heard }, Memory { incoming, outgoing })
    }

    fn say(&self, message: &Value) {
        let _ = self.said.try_send(Ok(Incoming::Text(message.to_string())));
    }

    /// So many seconds of a tone at 16 kHz.
    fn sing(&self, seconds: usize) {
        let octets: Vec<u8> = (0..16_000 * seconds)
            .flat_map(|n| (if n % 32 < 16 { 8000_i16 } else { -8000 }).to_le_bytes())
            .collect();
        for part in octets.chunks(32_000) {
            let _ = self.said.try_send(Ok(Incoming::Binary(part.to_vec().into())));
        }
    }

    /// The next text; `None` at the end. Sound is told to `ear`.
    async fn next(&mut self, ear: &mut (dyn FnMut(&Self, &[u8]) + Send)) -> Option<Value> {
        loop {
            match self.heard.recv().await? {
                Outgoing::Text(text) => return serde_json::from_str(&text).ok(),
                Outgoing::Binary(octets) => ear(self, &octets),
                Outgoing::Ping => {
                    let _ = self.said.try_send(Ok(Incoming::Alive));
                }
                Outgoing::Close(..) => return None,
            }
        }
    }
}

fn loud(octets: &[u8]) -> bool {
    octets.chunks_exact(2).any(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 1500)
}

/// Waits for the caller's first words and their end, answers at length, and does `on_voice` when
/// it hears a voice again.
async fn storyteller(mut program: Program, on_voice: Value) {
    let (mut spoken, mut quiet, mut sung) = (false, 0_u32, false);
    loop {
        let message = program
            .next(&mut |program, octets| {
                spoken |= loud(octets);
                quiet = if loud(octets) { 0 } else { quiet + 1 };
                if spoken && quiet > 40 && !sung {
                    sung = true;
                    program.sing(20);
                }
            })
            .await;
        let Some(message) = message else { return };
        if sung && message["type"] == "speech" && message["state"] == "started" {
            program.say(&on_voice);
        }
    }
}

async fn trial<F>(name: &str, program: impl FnOnce(Program) -> F) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let Chosen { scenario, directory } = load(name).ok().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tts = Tts::start(TtsSpec::built_in(dir.path().join("voices")));
    // Voices are made by threads: the clock must not run away meanwhile.
    tokio::time::resume();
    let voices = trial::voices(&scenario, &directory, &tts).await.unwrap();
    tokio::time::pause();
    let options = options("", &scenario.stream).ok().unwrap();
    let (end, socket) = Program::new();
    let running = tokio::spawn(program(end));
    let outcome = trial::run(&scenario, voices, options, socket).await.unwrap();
    running.abort();
    outcome
}

fn report_of(outcome: &Outcome) -> String {
    report::text("it", "", outcome, true)
}

#[test]
fn the_shipped_scenarios_can_be_read_and_are_named_like_their_files() {
    for (name, text) in SHIPPED {
        let scenario =
            Scenario::read("toml", text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(scenario.name, name);
        assert!(!scenario.about.is_empty());
        options("", &scenario.stream).ok().unwrap();
    }
    assert!(USUAL.iter().all(|name| SHIPPED.iter().any(|(shipped, _)| shipped == name)));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_clears_for_the_caller_passes() {
    let outcome =
        trial("interrupt", |program| storyteller(program, json!({"type": "clear"}))).await;
    assert!(outcome.passed(), "{}", report_of(&outcome));
    assert_eq!(outcome.verdicts.len(), 5, "{}", report_of(&outcome));
    let outcome = trial("decide", |program| {
        storyteller(program, json!({"type": "barge_in", "decision": "confirm"}))
    });
    let outcome = outcome.await;
    assert!(outcome.passed(), "{}", report_of(&outcome));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_talks_on_fails_and_the_report_says_where() {
    let outcome = trial("interrupt", |program| storyteller(program, json!({"type": "ping"}))).await;
    let failed: Vec<_> = outcome.verdicts.iter().filter(|verdict| !verdict.passed).collect();
    assert_eq!(failed.len(), 1, "{}", report_of(&outcome));
    assert_eq!(failed[0].title, "the caller can get a word in");
    assert!(report_of(&outcome).contains("\"type\":\"speech\""), "{}", report_of(&outcome));
}

#[tokio::test(start_paused = true)]
async fn nonsense_and_broken_sound_break_the_rules_of_every_scenario() {
    let outcome = trial("steady", |mut program| async move {
        program.say(&json!({"type": "shout", "id": 7}));
        let odd = vec![1_u8; 641];
        let _ = program.said.try_send(Ok(Incoming::Binary(odd.into())));
        program.say(&json!({"type": "utterance_end"}));
        while program.next(&mut |_, _| {}).await.is_some() {}
    });
    let outcome = outcome.await;
    let failed: Vec<&str> =
        outcome.verdicts.iter().filter(|v| !v.passed).map(|v| v.title.as_str()).collect();
    assert!(failed.contains(&"messages are understood"), "{}", report_of(&outcome));
    assert!(failed.contains(&"sound is readable and in measure"), "{}", report_of(&outcome));
}

#[tokio::test(start_paused = true)]
async fn a_silent_program_keeps_still_and_answers_nobody() {
    let silent =
        |mut program: Program| async move { while program.next(&mut |_, _| {}).await.is_some() {} };
    for name in ["steady", "keys", "hangup"] {
        let outcome = trial(name, silent).await;
        assert!(outcome.passed(), "{}", report_of(&outcome));
    }
    for name in ["answer", "greeting"] {
        let outcome = trial(name, silent).await;
        assert!(!outcome.passed(), "{}", report_of(&outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_vanishes_has_broken_off() {
    let outcome = trial("steady", |program| async move { drop(program) }).await;
    assert_eq!(outcome.verdicts[0].detail, "it broke off", "{}", report_of(&outcome));
}

#[tokio::test]
async fn who_cannot_be_reached_or_is_asked_wrongly_is_told() {
    let args = |url: &str, scenario: &str| ConformanceArgs {
        url: Some(url.to_owned()),
        scenario: vec![scenario.to_owned()],
        all: false,
        list: false,
        stream: String::new(),
        bearer_file: None,
        header: Vec::new(),
        record: None,
        verbose: false,
        json: false,
    };
    let fault = play_all(&args("http://x", "steady"), &mut |_| {}).await.unwrap_err();
    assert!(matches!(fault, Fault::Usage(_)), "{fault}");
    let fault = play_all(&args("ws://127.0.0.1:1/", "steady"), &mut |_| {}).await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault}");
    let fault =
        play_all(&args("ws://127.0.0.1:1/", "nowhere.toml"), &mut |_| {}).await.unwrap_err();
    assert!(fault.to_string().contains("--list"), "{fault}");
}
