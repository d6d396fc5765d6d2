//! Sound at the pace of life, and a client that stalls for 400 ms in the middle of it.

use super::*;
use std::f32::consts::TAU;

/// A sound that is nowhere else: the delay is how long it takes.
const TAG: i16 = 12_345;

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "of a test")]
fn voice(n: usize) -> i16 {
    let t = n as f32 / 8_000.0;
    let part = |k: u8| (TAU * 120.0 * t * f32::from(k)).sin() / f32::from(k);
    (2_000.0 * (1..6).map(part).sum::<f32>()) as i16
}

/// Words of 600 ms with pauses of 200 ms, 20 ms of it.
fn talk(frame: usize) -> Vec<i16> {
    let sample = |n: usize| if n % 6_400 < 4_800 { voice(n) } else { voice(n * 7) / 400 };
    (frame * 160..(frame + 1) * 160).map(sample).collect()
}

fn step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
}

/// What the voice itself has, and a little.
fn step_allowed() -> i32 {
    step(&(0..100).flat_map(talk).collect::<Vec<_>>()) * 5 / 4
}

fn samples(octets: &[u8]) -> Vec<i16> {
    octets.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

/// Somebody who talks in real time, and where they are.
struct Talker {
    frame: usize,
}

impl Talker {
    fn next(&mut self) -> Vec<i16> {
        self.frame += 1;
        talk(self.frame - 1)
    }

    /// Talks to the caller for so many frames.
    async fn talk(&mut self, rig: &mut Rig, client: &Client, frames: usize) {
        for _ in 0..frames {
            client.pcm(&self.next());
            let before = rig.leg.sent.len();
            rig.beats(1).await;
            assert!(rig.leg.sent.len() <= before + 160, "one packet at a time");
        }
    }

    /// The beats it takes until the caller hears what is said now.
    async fn delay(&mut self, rig: &mut Rig, client: &Client) -> usize {
        // Between words, so that the tag itself is no step in the voice.
        let from = rig.leg.sent.len();
        client.pcm(&[TAG; 160]);
        self.frame += 1;
        for beats in 0..100 {
            rig.beats(1).await;
            if rig.leg.sent[from..].contains(&TAG) {
                return beats;
            }
            client.pcm(&self.next());
        }
        panic!("never heard")
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_is_back_in_time_within_two_seconds() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("playout=live&rate=8000&listen=none").await;
    assert_eq!(client.told()[0]["playout"], "live");
    let mut talker = Talker { frame: 0 };
    talker.talk(&mut rig, &client, 100).await;
    let before = talker.delay(&mut rig, &client).await;
    talker.talk(&mut rig, &client, 30).await;
    let quiet = rig.leg.sent.len();
    // Nothing is written for 400 ms, and then all of it.
    rig.beats(20).await;
    for _ in 0..20 {
        client.pcm(&talker.next());
    }
    talker.talk(&mut rig, &client, 5).await;
    let behind = rig.leg.queued() / 8;
    assert!(behind >= 150, "{behind} ms behind at first");
    let mut back = None;
    for beats in 0..100 {
        talker.talk(&mut rig, &client, 1).await;
        if back.is_none() && rig.leg.queued() / 160 <= before + 2 {
            back = Some(20 * (beats + 5));
        }
    }
    let back = back.expect("back within 40 ms of before in 2 s");
    println!("back in time after {back} ms");
    assert!(back <= 2_000, "{back} ms");
    let recorded = rig.leg.sent[quiet..].to_vec();
    assert!(step(&recorded) <= step_allowed(), "a click of {}", step(&recorded));
    let after = talker.delay(&mut rig, &client).await;
    assert!(after <= before + 2, "{before} frames before, {after} after");
    // Every sample is told: played, or left out.
    client.text(r#"{"type":"utterance_end"}"#);
    client.text(r#"{"type":"mark","name":"end"}"#);
    rig.beats(30).await;
    let told = client.told();
    // 400 ms without sound ended the utterance without a name: there are two.
    let sums = |kind: &str| {
        let its = || told.iter().filter(|message| brief(message).starts_with(kind));
        let sum = |field: &str| its().filter_map(|message| message[field].as_u64()).sum::<u64>();
        (its().count(), sum("played_ms"), sum("squeezed_ms"))
    };
    let all = 20 * talker.frame as u64;
    let (count, played, squeezed) = sums("playback completed");
    assert_eq!(count, 2);
    assert!(all - (played + squeezed) <= 2, "{played} + {squeezed} of {all} ms");
    let (_, at_mark, left_out) = sums("mark end");
    assert!(at_mark - played <= 1 && left_out - squeezed <= 1, "{at_mark} and {left_out}");
    assert_eq!(at_mark, rig.leg.sent.len() as u64 / 8);
    assert!(told.iter().all(|message| message["type"] != "warning"), "nothing was dropped");
}

#[tokio::test(start_paused = true)]
async fn live_sound_beyond_the_bound_is_dropped_told_and_joined_without_a_click() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("playout=live&rate=8000&listen=none").await;
    let mut talker = Talker { frame: 0 };
    talker.talk(&mut rig, &client, 50).await;
    let from = rig.leg.sent.len();
    rig.beats(100).await;
    for _ in 0..100 {
        client.pcm(&talker.next());
    }
    talker.talk(&mut rig, &client, 200).await;
    assert!(rig.leg.queued() / 8 <= 120, "{} ms behind", rig.leg.queued() / 8);
    assert!(step(&rig.leg.sent[from..]) <= step_allowed());
    client.text(r#"{"type":"utterance_end"}"#);
    rig.beats(60).await;
    let told = client.told();
    let sum = |field: &str| told.iter().filter_map(|told| told[field].as_u64()).sum::<u64>();
    let dropped = sum("dropped_ms");
    assert!((1_000..1_900).contains(&dropped), "{dropped} ms dropped");
    let ended = |message: &&Value| message["type"] == "playback" && message["state"] == "completed";
    let ends: Vec<_> = told.iter().filter(ended).collect();
    let length = |field: &str| ends.iter().filter_map(|end| end[field].as_u64()).sum::<u64>();
    let all = length("played_ms") + length("squeezed_ms") + dropped;
    let sent = 20 * talker.frame as u64;
    assert!(sent.abs_diff(all) <= 4, "{all} of {sent} ms told");
}

#[tokio::test(start_paused = true)]
async fn a_clear_of_live_sound_adds_up_in_the_clients_own_time() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("playout=live&rate=8000&listen=none").await;
    client.text(r#"{"type":"utterance","id":"u1"}"#);
    let mut talker = Talker { frame: 0 };
    for _ in 0..15 {
        client.pcm(&talker.next());
    }
    talker.talk(&mut rig, &client, 40).await;
    client.text(r#"{"type":"clear","id":"c"}"#);
    rig.beats(3).await;
    let told = client.told();
    let cleared = told.iter().find(|told| brief(told).starts_with("playback cleared")).unwrap();
    let [played, squeezed, discarded] =
        ["played_ms", "squeezed_ms", "discarded_ms"].map(|field| cleared[field].as_u64().unwrap());
    assert!(squeezed > 0 && discarded > 0, "{cleared}");
    assert_eq!(played, rig.leg.sent.len() as u64 / 8);
    assert_eq!(played + squeezed + discarded, 20 * talker.frame as u64);
}

#[tokio::test(start_paused = true)]
async fn in_steady_time_live_sound_is_not_touched() {
    for frames in [1, 3, 5] {
        let mut rig = Rig::answered().await;
        let client = rig.attach("playout=live&rate=8000&listen=none").await;
        let mut expected: Vec<i16> = Vec::new();
        for at in 0..200 / frames {
            let message: Vec<i16> = (at * frames..(at + 1) * frames).flat_map(talk).collect();
            client.pcm(&message);
            expected.extend(message);
            rig.beats(frames).await;
        }
        rig.beats(10).await;
        assert!(rig.leg.sent == expected, "messages of {frames} frames");
    }
}

/// A client that hears the caller.
struct Listener {
    client: Client,
    frame: usize,
}

impl Listener {
    /// The caller says so much, and the client gets so many frames meanwhile.
    async fn hear(&mut self, rig: &mut Rig, sound: &[i16]) -> usize {
        self.frame += 1;
        rig.leg.hear(sound);
        let before = self.client.frames.len();
        rig.beats(1).await;
        self.client.told();
        self.client.frames.len() - before
    }

    /// The same for the next of the talk.
    async fn listen(&mut self, rig: &mut Rig) -> usize {
        let sound = talk(self.frame);
        self.hear(rig, &sound).await
    }

    /// The beats it takes until the client hears what is said now.
    async fn delay(&mut self, rig: &mut Rig) -> usize {
        let from = self.client.heard.len();
        self.hear(rig, &[TAG; 160]).await;
        for beats in 0..100 {
            if samples(&self.client.heard[from..]).contains(&TAG) {
                return beats;
            }
            self.listen(rig).await;
        }
        panic!("never heard")
    }
}

#[tokio::test(start_paused = true)]
async fn a_paced_listener_that_stalls_gets_no_burst_and_is_back_in_time() {
    let mut rig = Rig::answered().await;
    let client = rig.attach("jitter=paced&out_rate=8000").await;
    let mut listener = Listener { client, frame: 0 };
    rig.beats(2).await;
    for _ in 0..150 {
        listener.listen(&mut rig).await;
    }
    let before = listener.delay(&mut rig).await;
    assert!(before <= 4, "{before} frames");
    for _ in 0..30 {
        let got = listener.listen(&mut rig).await;
        assert!(got <= 2, "{got} frames in a beat");
    }
    let from = listener.client.heard.len();
    listener.client.stall(true);
    for _ in 0..20 {
        assert_eq!(listener.listen(&mut rig).await, 0);
    }
    listener.client.stall(false);
    for _ in 0..90 {
        let got = listener.listen(&mut rig).await;
        assert!(got <= 3, "no burst, but {got} frames in a beat");
    }
    let recorded = samples(&listener.client.heard[from..]);
    let after = listener.delay(&mut rig).await;
    assert!(after <= before + 2, "{before} frames before, {after} after 2 s");
    assert!(step(&recorded) <= step_allowed(), "a click of {}", step(&recorded));
}

#[tokio::test(start_paused = true)]
async fn an_asap_listener_that_stalls_gets_all_of_it_at_once() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("jitter=asap&out_rate=8000").await;
    rig.beats(2).await;
    client.stall(true);
    for frame in 0..20 {
        rig.leg.hear(&talk(frame));
        rig.beats(1).await;
    }
    client.stall(false);
    rig.settle().await;
    client.told();
    let said: Vec<i16> = (0..20).flat_map(talk).collect();
    assert!(samples(&client.heard) == said, "every sample, and none late any more");
}
