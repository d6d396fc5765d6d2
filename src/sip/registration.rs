//! A registration with a trunk's registrar (RFC 3261 §10): when to ask, for how long, when to wait.
//!
//! ```text
//!              due                200             80 to 90 % of the granted time
//!   Waiting ─────────> Asking ───────────> Holding ─────────────────────────────> Asking
//!      ^                 │  └ 423: asks for longer, at once        │
//!      └──── back-off ───┘    refusal, silence                     └ Leave ─> Leaving ─> Gone
//! ```
//!
//! Owns the times and the counts. Does not shape or send the REGISTER, answer challenges or choose
//! a registrar: it asks by [`Effect::Send`] and is told what became of it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

use crate::sip::interface::RegistrationState;
use crate::sip::message::{Message, Name, NameAddr, Uri};
use crate::time::Rng;
use std::time::{Duration, Instant};

/// The unit of the back-off; the first wait is up to twice that.
const BACK_OFF_BASE: Duration = Duration::from_secs(30);
/// The longest back-off, and the wait at once after a refusal that asking again cannot mend.
const BACK_OFF_MAX: Duration = Duration::from_mins(30);
/// A registrar that grants next to nothing is not asked more often than this.
const REFRESH_MIN: Duration = Duration::from_secs(5);
/// The longest lifetime that a 423 can make us ask for.
const EXPIRES_MAX: Duration = Duration::from_hours(24 * 7);
/// How many 423 in a row are obeyed.
const STRETCHES_MAX: u8 = 3;
/// After a gateway has come back it is asked within this time: all its clients come at once.
const RETURN_SPREAD: Duration = Duration::from_secs(5);
/// A Retry-After beyond this is cut.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// Where it stands; each state holds what is true only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is under way until then.
    Waiting {
        until: Instant,
        /// Asking earlier cannot help: the registrar said no to who we are.
        hopeless: bool,
    },
    /// A REGISTER is out.
    Asking {
        /// The binding is to be taken back as soon as the answer is in.
        leave: bool,
    },
    /// The registrar knows us.
    Holding { refresh_at: Instant },
    /// The REGISTER that takes the binding back is out.
    Leaving,
    /// Taken back; for good.
    Gone,
}

/// One thing that happens to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The deadline may have passed.
    Timeout,
    /// A 2xx came.
    Granted {
        /// The lifetime of our Contact in it; `None` when it says nothing.
        expires: Option<Duration>,
        /// The registrar saw us under another address than our Contact had.
        moved: bool,
    },
    /// A final refusal came.
    Refused {
        /// 300 to 699; never a challenge that could be answered.
        code: u16,
        /// In words, for the note.
        detail: String,
        /// Min-Expires of a 423.
        min_expires: Option<Duration>,
        /// Retry-After.
        retry_after: Option<Duration>,
    },
    /// No final answer came from any registrar.
    Silent {
        /// In words, for the note.
        detail: &'static str,
    },
    /// The gateway answers again after it had been down: it may have forgotten us.
    Returned,
    /// Take it back.
    Leave,
}

/// One thing that a registration wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a REGISTER that asks for this lifetime; zero takes the binding back.
    Send(Duration),
    /// Tell how it stands, with the reason of a failure.
    Tell(RegistrationState, String),
}

/// One registration.
#[derive(Debug)]
pub struct Registration {
    state: State,
    /// The lifetime that we ask for; a 423 stretches it.
    asked: Duration,
    told: Option<RegistrationState>,
    failures: u32,
    /// Until when the registrar may hold a binding of ours.
    bound_until: Option<Instant>,
    /// 423 in a row.
    stretches: u8,
    /// Asked a second time in this round, under the address that the registrar saw.
    corrected: bool,
}

impl Registration {
    /// A registration whose first REGISTER is due at once.
    #[must_use]
    pub fn new(now: Instant, asked: Duration) -> Self {
        Self {
            state: State::Waiting { until: now, hopeless: false },
            asked: asked.clamp(Duration::from_secs(1), EXPIRES_MAX),
            told: None,
            failures: 0,
            bound_until: None,
            stretches: 0,
            corrected: false,
        }
    }

    /// Makes one step and gives back what is to be done for it, in order.
    pub fn handle(&mut self, now: Instant, rng: &mut Rng, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Timeout => self.due(now, &mut effects),
            Input::Granted { expires, moved } => {
                self.granted(now, rng, expires, moved, &mut effects);
            }
            Input::Refused { code, detail, min_expires, retry_after } => {
                if !self.stretch(code, min_expires, &mut effects) {
                    let wait = self.wait_after(rng, code, retry_after);
                    self.failed(now, wait, is_hopeless(code), detail, &mut effects);
                }
            }
            Input::Silent { detail } => {
                // The answer may be what was lost.
                self.bound_until = Some(now + self.asked);
                let wait = self.back_off(rng);
                self.failed(now, wait, false, detail.to_owned(), &mut effects);
            }
            Input::Returned => self.returned(now, rng),
            Input::Leave => self.leave(now, &mut effects),
        }
        effects
    }

    /// When to call with [`Input::Timeout`], and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            State::Waiting { until, .. } => Some((until, "register_retry")),
            State::Holding { refresh_at } => Some((refresh_at, "register_refresh")),
            State::Asking { .. } | State::Leaving | State::Gone => None,
        }
    }

    fn due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.state {
            State::Waiting { until: at, .. } | State::Holding { refresh_at: at } if now >= at => {
                if matches!(self.state, State::Waiting { .. }) {
                    self.tell(RegistrationState::Registering, String::new(), effects);
                }
                self.corrected = false;
                self.ask(effects);
            }
            State::Waiting { .. }
            | State::Holding { .. }
            | State::Asking { .. }
            | State::Leaving
            | State::Gone => {}
        }
    }

    fn ask(&mut self, effects: &mut Vec<Effect>) {
        self.state = State::Asking { leave: false };
        effects.push(Effect::Send(self.asked));
    }

    fn granted(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        expires: Option<Duration>,
        moved: bool,
        effects: &mut Vec<Effect>,
    ) {
        // A registrar may shorten what was asked for; what it adds is of no use to us.
        let granted = expires.unwrap_or(self.asked).min(self.asked);
        match self.state {
            State::Asking { leave: true } => {
                self.state = State::Leaving;
                effects.push(Effect::Send(Duration::ZERO));
            }
            State::Leaving => self.gone(String::new(), effects),
            State::Asking { leave: false } if granted.is_zero() => {
                let wait = self.back_off(rng);
                self.failed(now, wait, false, "no time was granted".to_owned(), effects);
            }
            State::Asking { leave: false } => {
                (self.failures, self.stretches) = (0, 0);
                self.bound_until = Some(now + granted);
                if moved && !std::mem::replace(&mut self.corrected, true) {
                    return self.ask(effects);
                }
                let state = RegistrationState::Registered { expires: granted };
                self.state = State::Holding { refresh_at: now + refresh_after(granted, rng) };
                self.tell(state, String::new(), effects);
            }
            State::Waiting { .. } | State::Holding { .. } | State::Gone => {}
        }
    }

    /// Obeys a 423; false if it is none, or one too many.
    //= RFC 3261 §10.2.8: retry after making the expiration equal to or greater than Min-Expires
    fn stretch(
        &mut self,
        code: u16,
        min_expires: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let longer = min_expires.filter(|min| (self.asked..=EXPIRES_MAX).contains(min));
        let (423, Some(longer), State::Asking { leave: false }) = (code, longer, self.state) else {
            return false;
        };
        if self.stretches >= STRETCHES_MAX || longer == self.asked {
            return false;
        }
        self.stretches += 1;
        self.asked = longer;
        self.ask(effects);
        true
    }

    fn failed(
        &mut self,
        now: Instant,
        wait: Duration,
        hopeless: bool,
        detail: String,
        effects: &mut Vec<Effect>,
    ) {
        match self.state {
            State::Asking { leave: false } => {
                self.failures = self.failures.saturating_add(1);
                self.stretches = 0;
                self.state = State::Waiting { until: now + wait, hopeless };
                self.tell(RegistrationState::Failed { retry_in: wait }, detail, effects);
            }
            // Whatever the registrar still holds runs out by itself.
            State::Asking { leave: true } | State::Leaving => self.gone(detail, effects),
            State::Waiting { .. } | State::Holding { .. } | State::Gone => {}
        }
    }

    fn wait_after(&self, rng: &mut Rng, code: u16, retry_after: Option<Duration>) -> Duration {
        let wait = if is_hopeless(code) {
            BACK_OFF_MAX + part_of(BACK_OFF_MAX / 10, rng)
        } else {
            self.back_off(rng)
        };
        //= RFC 3261 §20.33: Retry-After says how long the service is expected to be unavailable
        wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    //= RFC 5626 §4.5: wait min(max-time, base-time * 2^failures), between 50 and 100 % of it, with
    //= a base of 30 s and a maximum of 1800 s
    fn back_off(&self, rng: &mut Rng) -> Duration {
        let doubled = BACK_OFF_BASE * 2_u32.saturating_pow(self.failures.saturating_add(1).min(10));
        let half = doubled.min(BACK_OFF_MAX) / 2;
        half + part_of(half, rng)
    }

    fn returned(&mut self, now: Instant, rng: &mut Rng) {
        let soon = now + part_of(RETURN_SPREAD, rng);
        match &mut self.state {
            State::Waiting { until, hopeless: false } => *until = soon.min(*until),
            State::Holding { refresh_at } => *refresh_at = soon.min(*refresh_at),
            State::Waiting { hopeless: true, .. }
            | State::Asking { .. }
            | State::Leaving
            | State::Gone => {}
        }
    }

    fn leave(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match &mut self.state {
            //= RFC 3261 §10.2: no REGISTER until the answer to the one before is in or it timed out
            State::Asking { leave } => *leave = true,
            State::Waiting { .. } | State::Holding { .. } => {
                if self.bound_until.is_some_and(|until| until > now) {
                    self.state = State::Leaving;
                    effects.push(Effect::Send(Duration::ZERO));
                } else {
                    self.gone(String::new(), effects);
                }
            }
            State::Leaving | State::Gone => {}
        }
    }

    fn gone(&mut self, detail: String, effects: &mut Vec<Effect>) {
        self.state = State::Gone;
        self.bound_until = None;
        self.tell(RegistrationState::Unregistered, detail, effects);
    }

    /// Tells a state that differs from the one that was told last.
    fn tell(&mut self, state: RegistrationState, detail: String, effects: &mut Vec<Effect>) {
        if self.told.replace(state) != Some(state) {
            effects.push(Effect::Tell(state, detail));
        }
    }
}

/// Whether the registrar has said no to who we are, or does not know what we require of it: only
/// its operator can change that.
fn is_hopeless(code: u16) -> bool {
    matches!(code, 401 | 403 | 404 | 407 | 410 | 420 | 604)
}

/// 80 to 90 % of what was granted: early enough for a retry, and not all trunks at once.
fn refresh_after(granted: Duration, rng: &mut Rng) -> Duration {
    (granted * 4 / 5 + part_of(granted / 10, rng)).max(REFRESH_MIN)
}

/// A random part of `whole`.
fn part_of(whole: Duration, rng: &mut Rng) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.below(millis.saturating_add(1)))
}

/// The lifetime that a 2xx to REGISTER gives to `contact`; `None` when it says nothing.
///
/// Cost: linear in the Contacts, of which a head holds few.
//= RFC 3261 §10.2.4: the 2xx lists all current bindings, each with its own expiration interval
pub fn lifetime_of(answer: &Message<'_>, contact: &str) -> Option<Duration> {
    let ours = Uri::parse(contact).ok();
    let expires = |listed: &NameAddr<'_>| {
        let seconds = listed.params.get("expires")?.parse().ok()?;
        Some(Duration::from_secs(seconds).min(EXPIRES_MAX))
    };
    let listed = || answer.contacts().filter_map(Result::ok);
    let exactly = listed().find(|c| ours.as_ref().is_some_and(|ours| same_place(&c.uri, ours)));
    // A registrar that writes Contacts anew, as NAT fixing does, keeps the user; that of a Contact
    // for all numbers is none (RFC 6140).
    let user = ours.as_ref().and_then(|ours| ours.user);
    let ours = exactly.and_then(|c| expires(&c)).or_else(|| {
        let alike = listed().filter(|c| exactly.is_none() && c.uri.user == user);
        alike.filter_map(|c| expires(&c)).min()
    });
    let header = || answer.seconds(Name::Expires).ok();
    ours.or_else(|| Some(Duration::from_secs(header()?.into()).min(EXPIRES_MAX)))
}

/// The same user at the same host and port; registrars add and drop parameters.
fn same_place(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let default = |uri: &Uri<'_>| uri.port.unwrap_or(5060);
    a.user_unescaped() == b.user_unescaped() && a.host == b.host && default(a) == default(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    const HOUR: Duration = Duration::from_hours(1);

    struct Bench {
        start: Instant,
        now: Instant,
        rng: Rng,
        machine: Registration,
    }

    impl Bench {
        fn new() -> Self {
            #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
            let now = Instant::now();
            let machine = Registration::new(now, HOUR);
            Self { start: now, now, rng: Rng::from_seed([3; 32]), machine }
        }

        fn put(&mut self, input: Input) -> Vec<Effect> {
            self.machine.handle(self.now, &mut self.rng, input)
        }

        /// Goes on to the deadline; gives how long that took and what came of it.
        fn wait(&mut self) -> (Duration, Vec<Effect>) {
            let (at, _) = self.machine.deadline().unwrap();
            let waited = at - self.now;
            self.now = at;
            (waited, self.put(Input::Timeout))
        }

        fn refuse(&mut self, code: u16) -> Vec<Effect> {
            let (min_expires, retry_after) = (None, None);
            self.put(Input::Refused { code, detail: "no".into(), min_expires, retry_after })
        }

        fn grant(&mut self, seconds: u64) -> Vec<Effect> {
            let expires = Some(Duration::from_secs(seconds));
            self.put(Input::Granted { expires, moved: false })
        }
    }

    fn sends(effects: &[Effect]) -> Vec<u64> {
        let of = |effect: &Effect| match effect {
            Effect::Send(expires) => Some(expires.as_secs()),
            Effect::Tell(..) => None,
        };
        effects.iter().filter_map(of).collect()
    }

    fn told(effects: &[Effect]) -> Option<RegistrationState> {
        effects.iter().rev().find_map(|effect| match effect {
            Effect::Tell(state, _) => Some(*state),
            Effect::Send(_) => None,
        })
    }

    #[test]
    fn refreshes_lie_between_80_and_90_per_cent() {
        let mut bench = Bench::new();
        let (at_once, effects) = bench.wait();
        assert_eq!((at_once, sends(&effects)), (Duration::ZERO, vec![3600]));
        assert_eq!(told(&effects), Some(RegistrationState::Registering));
        let mut waits = std::collections::BTreeSet::new();
        for round in 0..50 {
            let effects = bench.grant(600);
            let expires = Duration::from_secs(600);
            let first = (round == 0).then_some(RegistrationState::Registered { expires });
            assert_eq!(told(&effects), first, "what does not change is told once");
            let (waited, effects) = bench.wait();
            assert!((480..=540).contains(&waited.as_secs()), "{waited:?}");
            assert_eq!(sends(&effects), [3600]);
            waits.insert(waited);
        }
        assert!(waits.len() > 40, "with jitter");
    }

    #[test]
    fn back_off_doubles_to_half_an_hour() {
        let mut bench = Bench::new();
        bench.wait();
        let mut last = 0;
        for (round, longest) in [60, 120, 240, 480, 960, 1800, 1800, 1800].into_iter().enumerate() {
            let effects = if round % 2 == 0 {
                bench.put(Input::Silent { detail: "silence" })
            } else {
                bench.refuse(500)
            };
            assert!(matches!(told(&effects), Some(RegistrationState::Failed { .. })));
            let (waited, effects) = bench.wait();
            assert!((longest / 2..=longest).contains(&waited.as_secs()), "{round}: {waited:?}");
            assert_eq!(sends(&effects), [3600]);
            last = waited.as_secs();
        }
        assert!(last >= 900);
        bench.grant(3600);
        bench.wait();
        bench.refuse(500);
        assert!(bench.wait().0 <= Duration::from_mins(1), "a success forgets the failures");
    }

    #[test]
    fn refusals_of_who_we_are_are_not_hammered() {
        for code in [401, 403, 404, 407, 410, 604] {
            let mut bench = Bench::new();
            bench.wait();
            bench.refuse(code);
            bench.put(Input::Returned);
            let (waited, _) = bench.wait();
            assert!((1800..=1980).contains(&waited.as_secs()), "{code}: {waited:?}");
        }
    }

    #[test]
    fn too_brief_is_stretched_a_bounded_number_of_times() {
        let brief = |seconds| Input::Refused {
            code: 423,
            detail: String::new(),
            min_expires: Some(Duration::from_secs(seconds)),
            retry_after: None,
        };
        let mut bench = Bench::new();
        bench.wait();
        assert_eq!(sends(&bench.put(brief(7200))), [7200]);
        assert_eq!(sends(&bench.put(brief(7201))), [7201]);
        assert_eq!(sends(&bench.put(brief(7202))), [7202]);
        let effects = bench.put(brief(7203));
        assert!(matches!(told(&effects), Some(RegistrationState::Failed { .. })));
        for useless in [3600, 60, 4_000_000_000] {
            let mut bench = Bench::new();
            bench.wait();
            assert_eq!(sends(&bench.put(brief(useless))), [0_u64; 0], "{useless}");
        }
    }

    #[test]
    fn retry_after_lengthens_the_wait() {
        let mut bench = Bench::new();
        bench.wait();
        let retry_after = Some(Duration::from_secs(300));
        let detail = String::new();
        bench.put(Input::Refused { code: 503, detail, min_expires: None, retry_after });
        assert_eq!(bench.wait().0.as_secs(), 300);
    }

    #[test]
    fn address_is_corrected_once_a_round() {
        let mut bench = Bench::new();
        bench.wait();
        let moved = || Input::Granted { expires: Some(HOUR), moved: true };
        assert_eq!(sends(&bench.put(moved())), [3600]);
        let effects = bench.put(moved());
        assert_eq!(sends(&effects), [0_u64; 0]);
        assert_eq!(told(&effects), Some(RegistrationState::Registered { expires: HOUR }));
        bench.wait();
        assert_eq!(sends(&bench.put(moved())), [3600]);
    }

    #[test]
    fn gateway_that_comes_back_is_asked_soon() {
        let mut bench = Bench::new();
        bench.wait();
        bench.grant(3600);
        bench.put(Input::Returned);
        assert!(bench.wait().0 <= RETURN_SPREAD);
        bench.put(Input::Silent { detail: "" });
        bench.put(Input::Returned);
        assert!(bench.wait().0 <= RETURN_SPREAD);
    }

    #[test]
    fn leaving_takes_back_what_may_be_there() {
        let gone = Some(RegistrationState::Unregistered);
        // Never bound.
        let mut bench = Bench::new();
        let effects = bench.put(Input::Leave);
        assert_eq!((sends(&effects), told(&effects)), (vec![], gone));
        // Bound.
        let mut bench = Bench::new();
        bench.wait();
        bench.grant(3600);
        assert_eq!(sends(&bench.put(Input::Leave)), [0]);
        assert!(bench.put(Input::Leave).is_empty());
        assert_eq!(told(&bench.grant(0)), gone);
        assert_eq!(bench.machine.deadline(), None);
        // While asking: the answer is waited for.
        let mut bench = Bench::new();
        bench.wait();
        assert!(bench.put(Input::Leave).is_empty());
        assert_eq!(sends(&bench.grant(3600)), [0]);
        assert_eq!(told(&bench.put(Input::Silent { detail: "silence" })), gone);
        // Refused while asking, and refused when leaving.
        let mut bench = Bench::new();
        bench.wait();
        bench.put(Input::Leave);
        assert_eq!(told(&bench.refuse(403)), gone);
        // The registrar's silence may hide a binding; a binding that has run out needs nothing.
        let mut bench = Bench::new();
        bench.wait();
        bench.put(Input::Silent { detail: "silence" });
        assert_eq!(sends(&bench.put(Input::Leave)), [0]);
        assert_eq!(told(&bench.refuse(500)), gone);
    }

    #[test]
    fn lifetime_is_that_of_our_contact() {
        let cases: &[(&str, Option<u64>)] = &[
            ("Contact: <sip:u@10.0.0.1:5060>;expires=100\r\n", Some(100)),
            ("Contact: <sip:u@10.0.0.9>;expires=7, <sip:u@10.0.0.1>;expires=100\r\n", Some(100)),
            ("Expires: 50\r\nContact: <sip:u@10.0.0.1>;expires=100\r\n", Some(100)),
            ("Expires: 50\r\nContact: <sip:u@10.0.0.1>;q=1\r\n", Some(50)),
            ("Contact: <sip:u@10.0.0.1:5060;transport=udp;ob>;expires=\"x\"\r\n", None),
            ("Expires: 50\r\n", Some(50)),
            ("Contact: <sip:u@198.51.100.1:1024>;expires=60\r\n", Some(60)),
            ("Contact: <sip:other@10.0.0.1>;expires=60\r\n", None),
            ("Contact: *\r\n", None),
            ("Contact: <sip:u@10.0.0.1>;expires=99999999999999999999\r\n", None),
            ("Contact: <sip:u@10.0.0.1>;expires=0\r\n", Some(0)),
            ("", None),
        ];
        for (fields, expected) in cases {
            let text = format!("SIP/2.0 200 OK\r\n{fields}\r\n");
            let answer = Message::parse(text.as_bytes()).unwrap();
            let found = lifetime_of(&answer, "sip:u@10.0.0.1:5060");
            assert_eq!(found.map(|d| d.as_secs()), *expected, "{fields}");
        }
    }

    proptest! {
        #[test]
        fn any_contacts_are_survived(contacts in "[ -~]{0,80}", expires in "[0-9a-z;]{0,12}") {
            let text = format!("SIP/2.0 200 OK\r\nContact: {contacts}\r\nExpires: {expires}\r\n\r\n");
            let answer = Message::parse(text.as_bytes()).unwrap();
            let found = lifetime_of(&answer, "sip:u@10.0.0.1:5060");
            prop_assert!(found.is_none_or(|found| found <= EXPIRES_MAX));
        }

        /// Whatever the registrar does: never two REGISTERs at once, never more than one in 5 s
        /// without an answer that calls for it, and always an end after `Leave`.
        #[test]
        fn any_registrar_is_survived(steps in proptest::collection::vec((0u8..8, 0u64..5000), 0..80)) {
            let mut bench = Bench::new();
            let mut out = 0_u32;
            for (kind, n) in steps {
                let duration = Some(Duration::from_secs(n));
                let input = match kind {
                    0 => { bench.now += Duration::from_secs(n); Input::Timeout }
                    1 => Input::Granted { expires: duration, moved: n % 2 == 0 },
                    2 => Input::Granted { expires: None, moved: false },
                    3 => Input::Refused { code: 423, detail: String::new(), min_expires: duration,
                        retry_after: None },
                    4 => Input::Refused { code: 400 + u16::try_from(n % 20).unwrap(),
                        detail: String::new(), min_expires: None, retry_after: duration },
                    5 => Input::Silent { detail: "" },
                    6 => Input::Returned,
                    _ => Input::Leave,
                };
                if (1..6).contains(&kind) {
                    if out == 0 { continue; }
                    out -= 1;
                }
                out += u32::try_from(sends(&bench.put(input)).len()).unwrap();
                prop_assert!(out <= 1, "two REGISTERs at once");
                prop_assert!(out == 0 || bench.machine.deadline().is_none());
            }
            bench.put(Input::Leave);
            for _ in 0..3 {
                bench.put(Input::Silent { detail: "" });
            }
            prop_assert!(bench.machine.deadline().is_none());
            prop_assert!(bench.now >= bench.start);
        }
    }
}
