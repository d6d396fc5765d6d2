//! One call's Identity header fields, looked at one after the other until one holds.
//!
//! ```text
//!  begin ──> Fetch(url) ──certificate──> Done(finding)
//!    └─────────────────────────────────────^
//! ```
//!
//! Owns the order: what needs no certificate is checked first, so that a PASSporT for another call
//! makes nobody fetch anything.

use super::chain::{Anchors, Chain};
use super::passport::Passport;
use super::{Fault, Finding, Party, Verified};
use std::time::Duration;

/// Most Identity header fields that are looked at.
const FIELDS_MAX: usize = 4;

/// What an INVITE says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Values of Identity, in order; at most 4 are looked at.
    pub fields: Vec<String>,
    /// From and P-Asserted-Identity: the PASSporT must speak of one of them.
    pub callers: Vec<Party>,
    /// To and the Request-URI: the PASSporT must speak of one of them.
    pub callees: Vec<Party>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Get the certificate at this https URL and say [`Examination::certificate`].
    Fetch(String),
    /// The examination is over.
    Done(Finding),
}

/// An examination under way.
#[derive(Debug)]
pub struct Examination {
    claims: Claims,
    fresh: Duration,
    /// The next header field.
    next: usize,
    /// Waits for its certificate.
    waiting: Option<Passport>,
    /// What was wrong with the first one of type shaken.
    first: Option<Fault>,
}

impl Examination {
    /// Begins. `unix` is the time since the Unix epoch; a PASSporT may be `fresh` away from it.
    ///
    /// Cost: parses up to 16 KiB of JSON.
    #[must_use]
    pub fn begin(unix: Duration, claims: Claims, fresh: Duration) -> (Self, Step) {
        let mut examination = Self { claims, fresh, next: 0, waiting: None, first: None };
        let step = examination.advance(unix);
        (examination, step)
    }

    /// The certificate of the last [`Step::Fetch`], or why there is none.
    ///
    /// Cost: one signature per certificate of the chain and one for the PASSporT, some 100 µs each.
    pub fn certificate(
        &mut self,
        unix: Duration,
        chain: Result<&Chain, String>,
        anchors: &Anchors,
    ) -> Step {
        let Some(passport) = self.waiting.take() else { return self.advance(unix) };
        let held = chain.map_err(Fault::Unavailable).and_then(|chain| {
            chain.verify(anchors, unix, passport.input.as_bytes(), &passport.signature)
        });
        match held {
            Ok(()) => Step::Done(Ok(Verified {
                attest: passport.attest,
                orig: passport.orig.into_text(),
                dest: passport.dest.into_iter().map(super::passport::Signed::into_text).collect(),
                origid: passport.origid,
            })),
            Err(fault) => {
                self.first.get_or_insert(fault);
                self.advance(unix)
            }
        }
    }

    fn advance(&mut self, unix: Duration) -> Step {
        let mut other = false;
        while let Some(field) = self.claims.fields.get(self.next).filter(|_| self.next < FIELDS_MAX)
        {
            self.next += 1;
            match Passport::read(field).map(|read| read.map(|passport| self.fit(unix, passport))) {
                Ok(Some(Ok(passport))) => {
                    let url = passport.x5u.clone();
                    self.waiting = Some(passport);
                    return Step::Fetch(url);
                }
                Ok(Some(Err(fault))) | Err(fault) => {
                    self.first.get_or_insert(fault);
                }
                Ok(None) => other = true,
            }
        }
        let none = if other { Fault::OtherType } else { Fault::Missing };
        Step::Done(Err(self.first.take().unwrap_or(none)))
    }

    /// Whether a PASSporT is of this call, its certificate aside.
    fn fit(&self, unix: Duration, passport: Passport) -> Result<Passport, Fault> {
        //= RFC 8224 §6.2: iat must lie within the freshness that local policy sets; 60 s is
        //= recommended
        let age = unix.as_secs().abs_diff(passport.iat);
        if age > self.fresh.as_secs() {
            return Err(Fault::Stale(age));
        }
        passport.is_of(&self.claims.callers, &self.claims.callees)?;
        Ok(passport)
    }
}
