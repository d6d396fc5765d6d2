//! Verifying who calls: an examination of `sip::stir` with certificates from the desk, in time.
//!
//! Owns how long a call waits. Decides nothing: `identity::Vetting` does.

use super::certificates::CertificateDesk;
use crate::sip::stir::chain::Anchors;
use crate::sip::stir::{Claims, Examination, Fault, Finding, Step};
use std::sync::Arc;
use std::time::Duration;

/// What callers are verified with; cheap to clone.
#[derive(Clone)]
pub(super) struct Verifier {
    /// Who is trusted.
    pub anchors: Arc<Anchors>,
    /// Where certificates come from.
    pub desk: CertificateDesk,
    /// How far from now a PASSporT may have been made.
    pub fresh: Duration,
    /// Longest that a call waits.
    pub timeout: Duration,
}

impl Verifier {
    /// Verifies a call; `unix` is the time since the Unix epoch. Ends within the timeout.
    pub(super) async fn verify(&self, claims: Claims, unix: Duration) -> Finding {
        let until = tokio::time::Instant::now() + self.timeout;
        let (mut examination, mut step) = Examination::begin(unix, claims, self.fresh);
        loop {
            let url = match step {
                Step::Done(finding) => return finding,
                Step::Fetch(url) => url,
            };
            let known = tokio::time::timeout_at(until, self.desk.certificate(&url)).await;
            let Ok(known) = known else {
                let waited = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
                return Err(Fault::Pending(waited));
            };
            let chain = known.as_deref().map_err(ToString::to_string);
            step = examination.certificate(unix, chain, &self.anchors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::certificates::{Fetch, Fetched};
    use crate::sip::stir::testing::{Authority, NOW, Signer};
    use crate::sip::stir::{Attestation, Party};

    fn verifier(authority: &Authority, signer: &Signer, lasts: Duration) -> Verifier {
        let chain = signer.chain();
        let fetch: Fetch = Arc::new(move |_| {
            let fetched = Fetched { chain: chain.clone(), max_age: None };
            Box::pin(async move {
                tokio::time::sleep(lasts).await;
                Ok(fetched)
            })
        });
        Verifier {
            anchors: Arc::new(authority.anchors()),
            desk: CertificateDesk::start(fetch),
            fresh: Duration::from_secs(60),
            timeout: Duration::from_millis(500),
        }
    }

    fn claims(signer: &Signer) -> Claims {
        Claims {
            fields: vec![signer.identity(NOW)],
            callers: vec![Party::of_number("+14155550123")],
            callees: vec![Party::of_number("+15550100")],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_in_time_verifies_a_call() {
        let authority = Authority::new();
        let signer = authority.issue(2099);
        let verifier = verifier(&authority, &signer, Duration::from_millis(499));
        let found = verifier.verify(claims(&signer), Duration::from_secs(NOW)).await.unwrap();
        assert_eq!(found.attest, Attestation::Full);
        let late = verifier.verify(claims(&signer), Duration::from_secs(NOW + 61)).await;
        assert_eq!(late, Err(Fault::Stale(61)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_so_long_and_the_next_one_finds_the_certificate() {
        let authority = Authority::new();
        let signer = authority.issue(2099);
        let verifier = verifier(&authority, &signer, Duration::from_secs(2));
        let begun = tokio::time::Instant::now();
        let now = Duration::from_secs(NOW);
        assert_eq!(verifier.verify(claims(&signer), now).await, Err(Fault::Pending(500)));
        assert_eq!(begun.elapsed().as_millis(), 500);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(verifier.verify(claims(&signer), now).await.is_ok());
    }
}
