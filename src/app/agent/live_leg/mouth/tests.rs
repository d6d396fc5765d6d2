use super::*;
use crate::app::fake::FakeLeg;
use proptest::prelude::*;

const WORDS: &str = "one two three four five six seven eight nine ten";

/// What happens to a mouth.
#[derive(Debug, Clone)]
enum Deed {
    /// Sound of the brain's present item.
    Sound(usize),
    /// Sound of the item before it, which nobody may hear.
    Late(usize),
    /// The present item is complete; another follows.
    Complete,
    /// The next item begins without a word about the end of this one.
    Skip,
    /// A sentence of the built-in voice.
    Fixed(usize),
    /// The caller has the word.
    Cut,
    Ticks(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => (1..4000_usize).prop_map(Deed::Sound),
        1 => (1..400_usize).prop_map(Deed::Late),
        2 => Just(Deed::Complete),
        1 => Just(Deed::Skip),
        1 => (0..3000_usize).prop_map(Deed::Fixed),
        2 => Just(Deed::Cut),
        6 => (1..30_usize).prop_map(Deed::Ticks),
    ];
    prop::collection::vec(deed, 1..60)
}

struct Rig {
    mouth: Mouth,
    leg: FakeLeg,
    playout: PlayoutWriter,
    /// Samples of each item, and of the fixed sentences.
    items: Vec<u64>,
    fixed: u64,
    opened: usize,
    said: Vec<Said>,
}

impl Rig {
    fn new(delay: Duration) -> Self {
        let (leg, playout, _) = FakeLeg::new(16_000, 160);
        let mut mouth = Mouth::new(8000, delay, false);
        mouth.start();
        let (items, said) = (vec![0], Vec::new());
        Self { mouth, leg, playout, items, fixed: 0, opened: 0, said }
    }

    fn name(&self) -> String {
        format!("i{}", self.items.len())
    }

    fn do_it(&mut self, deed: &Deed) {
        match deed {
            Deed::Sound(count) => {
                let name = self.name();
                let sound = self.mouth.sound(&name, &vec![1; *count]);
                if sound == Sound::First {
                    self.opened += 1;
                    self.mouth.text(&name, WORDS);
                }
                if matches!(sound, Sound::First | Sound::More)
                    && let Some(received) = self.items.last_mut()
                {
                    *received += *count as u64;
                }
            }
            Deed::Late(count) => {
                let late = format!("i{}", self.items.len() - 1);
                // An item that nobody knows is as good as any other.
                if self.mouth.items.iter().any(|item| item.name() == late && item.complete) {
                    let sound = self.mouth.sound(&late, &vec![9; *count]);
                    assert_eq!(sound, Sound::Unwanted);
                }
            }
            Deed::Complete => {
                self.mouth.complete(Some(&self.name()));
                self.items.push(0);
            }
            Deed::Skip => self.items.push(0),
            Deed::Fixed(count) => {
                self.mouth.begin_fixed(WORDS);
                assert!(self.mouth.fixed(&vec![2; *count], &[]));
                self.mouth.end_fixed(true);
                self.opened += 1;
                self.fixed += *count as u64;
                self.items.push(0);
            }
            Deed::Cut => {
                self.mouth.cut();
                self.items.push(0);
            }
            Deed::Ticks(count) => (0..*count).for_each(|_| self.tick()),
        }
    }

    fn tick(&mut self) {
        self.mouth.pump(&mut self.playout);
        let commands = &mut self.leg.commands;
        self.mouth.send_commands(|command| {
            commands.push_back(command);
            true
        });
        self.leg.tick();
        while let Some(event) = self.leg.events.pop_front() {
            self.mouth.handle(&event);
        }
        self.said.extend(std::iter::from_fn(|| self.mouth.next(Duration::ZERO)));
    }

    fn finish(&mut self) {
        self.mouth.end_open();
        for _ in 0..20_000 {
            if self.mouth.is_idle() {
                return;
            }
            self.tick();
        }
        panic!("something is never settled");
    }
}

proptest! {
    /// Whatever happens: every item is settled once, sentences of the built-in voice are heard
    /// whole, and what is told of the others adds up to what left.
    #[test]
    fn what_is_told_adds_up_to_what_left(deeds in deeds()) {
        let mut rig = Rig::new(Duration::ZERO);
        for deed in &deeds {
            rig.do_it(deed);
        }
        rig.finish();
        let (mut settled, mut truncated, mut lost) = (0, 0, 0);
        for said in &rig.said {
            let Said::Settled { text, cut, truncate, interrupted, .. } = said else { continue };
            settled += 1;
            prop_assert!(WORDS.starts_with(text.as_str()), "{text}");
            prop_assert!(*cut || !interrupted);
            prop_assert_eq!(*cut, truncate.is_some(), "fixed sentences are not cut");
            if let Some((name, end)) = truncate {
                let place: usize = name[1..].parse().unwrap();
                let received = rig.items[place - 1];
                prop_assert!(end * 8 <= received, "{name}: {end} ms of {received} samples");
                truncated += 1;
                lost += received - end * 8;
            }
        }
        prop_assert_eq!(settled, rig.opened);
        let left = rig.items.iter().sum::<u64>() + rig.fixed - lost;
        let sent = rig.leg.sent.len() as u64;
        prop_assert!(sent.abs_diff(left) <= 8 * truncated, "{sent} left, {left} are told");
        let fixed = rig.leg.sent.iter().filter(|sample| **sample == 2).count() as u64;
        prop_assert_eq!(fixed, rig.fixed);
        prop_assert!(!rig.leg.sent.contains(&9));
    }
}

#[test]
fn words_may_come_before_their_sound_and_never_change() {
    let mut rig = Rig::new(Duration::ZERO);
    rig.mouth.text("i1", "Good");
    rig.mouth.text("i1", "Good morning.");
    assert_eq!(rig.mouth.sound("i1", &[1; 800]), Sound::First);
    rig.mouth.text("i1", "Something else entirely.");
    rig.mouth.text("i1", "Good morning. Bye.");
    rig.mouth.complete(Some("i1"));
    rig.finish();
    let said = rig.said.last();
    assert!(matches!(said, Some(Said::Settled { text, .. }) if text == "Good morning. Bye."));
}

#[test]
fn an_item_that_is_done_does_not_end_the_one_after_it() {
    let mut rig = Rig::new(Duration::ZERO);
    assert_eq!(rig.mouth.sound("i1", &[1; 800]), Sound::First);
    assert_eq!(rig.mouth.sound("i2", &[1; 800]), Sound::First);
    rig.mouth.complete(Some("i1"));
    rig.mouth.complete(Some("nobody"));
    assert!(rig.mouth.is_unfinished());
    assert_eq!(rig.mouth.sound("i2", &[1; 800]), Sound::More);
    assert_eq!(rig.mouth.sound("i1", &[1; 800]), Sound::Unwanted);
}

#[test]
fn items_and_sound_are_bounded() {
    let mut rig = Rig::new(Duration::ZERO);
    for number in 0..ITEMS_MAX {
        assert_eq!(rig.mouth.sound(&number.to_string(), &[1; 8]), Sound::First);
    }
    assert_eq!(rig.mouth.sound("one more", &[1; 8]), Sound::Full);
    rig.mouth.begin_fixed(WORDS);
    assert!(rig.mouth.fixed(&[1; 8], &[]), "a failure can always be told");
    rig.finish();
    assert_eq!(rig.mouth.sound("long", &vec![1; 121 * 8000]), Sound::Full);
    for number in 0..1000 {
        rig.mouth.cut();
        let _ = rig.mouth.sound(&format!("c{number}"), &[1; 8]);
        rig.tick();
    }
    assert_eq!(rig.mouth.cut.len(), CUT_MAX);
}

#[test]
fn a_voice_that_fails_is_not_said_to_have_said_all() {
    let mut rig = Rig::new(Duration::ZERO);
    rig.mouth.begin_fixed(WORDS);
    assert!(rig.mouth.fixed(&[1; 1600], &[]));
    rig.mouth.end_fixed(false);
    rig.finish();
    let said = rig.said.last();
    assert!(matches!(said, Some(Said::Settled { text, .. }) if !text.contains("ten")), "{said:?}");
}
