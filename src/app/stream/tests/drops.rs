//! A socket that is dropped and resumed two hundred times in a simulated hour.

use super::*;
use crate::call::control::HeardBy;
use crate::time::Rng;

/// One beat of an hour.
const BEATS: u64 = 180_000;
const DROPS: u64 = 200;

/// The caller's sample at a place; two in a row never repeat within 10 s.
fn sample(place: u64) -> i16 {
    i16::try_from(place * 7919 % 65_521 % 32_749).unwrap() - 16_000
}

/// A bot that believes nothing: every message and sample must be the next.
struct Bot {
    client: Option<Client>,
    /// A socket that it has given up and the server has not.
    dead: Option<Client>,
    token: String,
    seq: u64,
    digits: u64,
    /// Samples that it has.
    heard: u64,
    /// Samples that come again.
    again: u64,
    resumed: u64,
}

impl Bot {
    fn query(&self, says: bool) -> String {
        let heard = if says { format!("&heard={}", self.heard) } else { String::new() };
        format!("resume={}&since={}{heard}", self.token, self.seq)
    }

    /// Takes up to `most` messages; the rest is lost with the socket.
    fn take(&mut self, most: usize) {
        let Some(mut client) = self.client.take() else { return };
        for _ in 0..most {
            let Ok(message) = client.from_server.try_recv() else { break };
            match message {
                Outgoing::Text(text) => self.read(&serde_json::from_str(&text).unwrap()),
                Outgoing::Binary(octets) => self.hear(&octets),
                Outgoing::Ping => client.pong(),
                Outgoing::Close(code, reason) => panic!("{code:?} {reason}"),
            }
        }
        self.client = Some(client);
    }

    fn read(&mut self, message: &Value) {
        let seq = message["seq"].as_u64().unwrap();
        if message["type"] == "start" && message["resumed"] == true {
            self.resumed += 1;
            return assert_eq!(seq, self.seq);
        }
        if message["type"] == "replayed" {
            assert_eq!((&message["lost_events"], &message["lost_samples"]), (&0.into(), &0.into()));
            let from = message["from_sample"].as_u64().unwrap();
            assert!(from <= self.heard, "{message}, and {} are there", self.heard);
            self.again = self.heard - from;
            return;
        }
        self.seq += 1;
        assert_eq!(seq, self.seq, "{message}");
        if message["type"] == "start" {
            self.token = message["resume"]["token"].as_str().unwrap().to_owned();
        }
        if message["type"] == "dtmf" {
            assert_eq!(message["duration_ms"], self.digits, "no event is lost or doubled");
            self.digits += 1;
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        for pair in octets.chunks_exact(2) {
            if self.again > 0 {
                self.again -= 1;
                continue;
            }
            let came = i16::from_le_bytes([pair[0], pair[1]]);
            assert_eq!(came, sample(self.heard), "sample {}", self.heard);
            self.heard += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_drops_in_an_hour_lose_nothing_and_double_nothing() {
    let seed = [23; 32];
    let mut rng = Rng::from_seed(seed);
    let mut rig = Rig::answered().await;
    let client = Some(rig.attach("out_rate=8000").await);
    let (token, dead) = (String::new(), None);
    let mut bot = Bot { client, dead, token, seq: 0, digits: 0, heard: 0, again: 0, resumed: 0 };
    let (mut pressed, mut heard, mut drops) = (0, 0, 0);
    let mut next_drop = 200;
    let mut back_at = None;
    for beat in 0..BEATS {
        let packet: Vec<i16> = (0..160).map(|n| sample(heard + n)).collect();
        heard += 160;
        assert!(rig.leg.hear(&packet));
        if rng.chance(20) {
            let duration_ms = u32::try_from(pressed).unwrap();
            rig.tell(Control::Dtmf { digit: b'1', duration_ms, method: HeardBy::Info });
            pressed += 1;
        }
        rig.beats(1).await;
        // Now and then it reads late, so that messages are on their way when the socket goes.
        if rng.chance(300) {
            bot.take(usize::MAX);
        }
        if beat == next_drop && drops < DROPS {
            drops += 1;
            let most = usize::try_from(rng.below(20)).unwrap();
            bot.take(most);
            let lost = bot.client.take();
            // Half of them are seen by the server at once, the others when the client is back.
            bot.dead = lost.filter(|_| rng.chance(500));
            back_at = Some(beat + 1 + rng.below(380));
        }
        if back_at == Some(beat) {
            back_at = None;
            next_drop = beat + 1 + rng.below(2 * BEATS / DROPS - 700);
            bot.client = Some(rig.attach(&bot.query(rng.chance(500))).await);
            bot.dead = None;
        }
        rig.reports();
    }
    if bot.client.is_none() {
        bot.client = Some(rig.attach(&bot.query(true)).await);
    }
    rig.beats(2).await;
    bot.take(usize::MAX);
    assert_eq!((bot.resumed, drops), (DROPS, DROPS), "seed {seed:?}");
    assert_eq!((bot.digits, bot.heard), (pressed, heard), "seed {seed:?}");
}
