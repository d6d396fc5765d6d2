//! Whole examinations: what holds, and every way in which it does not.

use super::chain::{Chain, ChainError};
use super::testing::{Authority, NOW, Signer, URL, header, payload};
use super::*;
use proptest::prelude::{prop_assert, proptest};
use serde_json::{Value, json};
use std::time::Duration;

const FRESH: Duration = Duration::from_secs(60);

fn claims(fields: Vec<String>) -> Claims {
    Claims {
        fields,
        callers: vec![Party::of_uri("sip:+1-415-555-0123@carrier.example;user=phone").unwrap()],
        callees: vec![Party::of_uri("tel:+15550100").unwrap()],
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Examines these header fields with one certificate for every address.
fn examine(fields: Vec<String>, chain: &Chain, authority: &Authority) -> Finding {
    let (mut examination, mut step) = Examination::begin(at(NOW), claims(fields), FRESH);
    loop {
        match step {
            Step::Fetch(_) => {
                step = examination.certificate(at(NOW), Ok(chain), &authority.anchors());
            }
            Step::Done(finding) => return finding,
        }
    }
}

fn fault(field: String, signer: &Signer, authority: &Authority) -> Fault {
    examine(vec![field], &signer.chain(), authority).unwrap_err()
}

#[test]
fn a_good_passport_holds_and_tells_what_it_says() {
    let authority = Authority::new();
    let signer = authority.issue(2099);
    let (mut examination, step) =
        Examination::begin(at(NOW), claims(vec![signer.identity(NOW - 30)]), FRESH);
    assert_eq!(step, Step::Fetch(URL.to_owned()));
    let step = examination.certificate(at(NOW), Ok(&signer.chain()), &authority.anchors());
    let Step::Done(Ok(verified)) = step else { panic!("{step:?}") };
    assert_eq!(verified.attest, Attestation::Full);
    assert_eq!(
        (verified.orig.as_str(), verified.dest.as_slice()),
        ("14155550123", &["15550100".to_owned()][..])
    );
    assert_eq!(verified.origid, "123e4567-e89b-12d3-a456-426655440000");
    assert_eq!(refusal(&Ok(verified.clone()), Attestation::Full), None);
    let weak = Ok(Verified { attest: Attestation::Gateway, ..verified });
    assert_eq!(refusal(&weak, Attestation::Gateway), None);
    assert_eq!(refusal(&weak, Attestation::Partial).unwrap().0, 403);
}

/// Made with the Python package `cryptography`: certificates with KeyUsage and TNAuthList.
#[test]
fn a_passport_of_another_maker_holds() {
    let vector = include_str!("../../../fuzz/corpus/sip_identity/good");
    let (field, pem) = vector.split_once('\n').unwrap();
    let root = pem.rfind("-----BEGIN").unwrap();
    let (chain, anchors) = (Chain::from_pem(&pem.as_bytes()[..root]), &pem.as_bytes()[root..]);
    let claims = Claims {
        fields: vec![field.to_owned()],
        callers: vec![Party::of_number("+1 (215) 555-1212")],
        callees: vec![Party::of_number("12355551212")],
    };
    let (mut examination, step) = Examination::begin(at(1_443_208_400), claims, FRESH);
    assert!(matches!(step, Step::Fetch(_)), "{step:?}");
    let anchors = super::chain::Anchors::from_pem(anchors).unwrap();
    let step = examination.certificate(at(1_443_208_400), Ok(&chain.unwrap()), &anchors);
    assert!(matches!(step, Step::Done(Ok(_))), "{step:?}");
}

#[test]
fn a_chain_leads_over_an_authority_between() {
    let root = Authority::new();
    let between = root.below();
    let signer = between.issue(2099);
    let whole = Chain::from_pem(format!("{}{}", signer.pem, between.pem).as_bytes()).unwrap();
    assert!(examine(vec![signer.identity(NOW)], &whole, &root).is_ok());
    let fault = examine(vec![signer.identity(NOW)], &signer.chain(), &root).unwrap_err();
    assert_eq!(fault.refusal().0, 437, "{fault}");
    let turned = Chain::from_pem(format!("{}{}", between.pem, signer.pem).as_bytes()).unwrap();
    let fault = examine(vec![signer.identity(NOW)], &turned, &root).unwrap_err();
    assert_eq!(fault.refusal().0, 437, "{fault}");
}

#[test]
fn certificates_of_others_and_of_other_times_are_not_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let cases = [(theirs.issue(2099), "no authority"), (ours.issue(2020), "has expired")];
    for (signer, words) in cases {
        let fault = fault(signer.identity(NOW), &signer, &ours);
        assert!(fault.to_string().contains(words), "{fault}");
        assert_eq!((fault.refusal().0, fault.standing()), (437, Standing::Invalid));
    }
    let early = examine_at(&ours.issue(2099), &ours, 900_000_000);
    assert!(early.to_string().contains("not valid yet"), "{early}");
}

fn examine_at(signer: &Signer, authority: &Authority, now: u64) -> Fault {
    let claims = claims(vec![signer.identity(now)]);
    let (mut examination, _) = Examination::begin(at(now), claims, FRESH);
    let step = examination.certificate(at(now), Ok(&signer.chain()), &authority.anchors());
    let Step::Done(Err(fault)) = step else { panic!("{step:?}") };
    fault
}

#[test]
fn whoever_changes_a_letter_breaks_the_signature() {
    let authority = Authority::new();
    let (signer, other) = (authority.issue(2099), authority.issue(2099));
    let field = signer.identity(NOW);
    let dots: Vec<usize> = field.match_indices('.').map(|(at, _)| at).collect();
    let weaker = signer.sign(
        &header(),
        &json!({"attest": "B", "dest": {"tn": ["15550100"]},
        "iat": NOW, "orig": {"tn": "14155550123"}, "origid": "x"}),
    );
    let graft = |from: &str, to: &str| {
        let tail = from[..from.find(';').unwrap()].rsplit('.').next().unwrap().to_owned();
        let end = to.find(';').unwrap();
        let head = &to[..to[..end].rfind('.').unwrap()];
        format!("{head}.{tail}{}", &to[end..])
    };
    assert_eq!(fault(graft(&weaker, &field), &signer, &authority), Fault::Signature);
    assert_eq!(fault(field.clone(), &other, &authority), Fault::Signature);
    let mut zeros = field.clone();
    zeros.replace_range(dots[1] + 1..field.find(';').unwrap(), &"A".repeat(86));
    assert_eq!(fault(zeros, &signer, &authority), Fault::Signature);
    assert_eq!(Fault::Signature.refusal(), (438, "Invalid Identity Header"));
}

#[test]
fn calls_of_others_and_of_other_times_are_told_before_anything_is_fetched() {
    let signer = Authority::new().issue(2099);
    let with = |key: &str, value: Value| {
        let mut payload = payload(NOW);
        payload[key] = value;
        signer.sign(&header(), &payload)
    };
    let cases = [
        (with("orig", json!({"tn": "14155550124"})), 438, Fault::OtherCaller),
        (with("orig", json!({"uri": "sip:+14155550123@other.example"})), 438, Fault::OtherCaller),
        (with("dest", json!({"tn": ["15550101", "5550100"]})), 438, Fault::OtherCallee),
        (signer.identity(NOW - 61), 403, Fault::Stale(61)),
        (signer.identity(NOW + 61), 403, Fault::Stale(61)),
        (signer.identity(0), 403, Fault::Stale(NOW)),
    ];
    for (field, status, fault) in cases {
        let (_, step) = Examination::begin(at(NOW), claims(vec![field]), FRESH);
        assert_eq!(fault.refusal().0, status);
        assert_eq!(step, Step::Done(Err(fault)));
    }
    for (key, value) in [
        ("orig", json!({"uri": "sip:+1-415-555-0123@Carrier.example"})),
        ("dest", json!({"uri": ["sip:x@y"], "tn": ["1", "+1 (555) 0100"]})),
    ] {
        let (_, step) = Examination::begin(at(NOW), claims(vec![with(key, value)]), FRESH);
        assert_eq!(step, Step::Fetch(URL.to_owned()), "{key}");
    }
}

#[test]
fn passports_that_cannot_be_read_are_refused_with_a_reason() {
    let signer = Authority::new().issue(2099);
    let head = |key: &str, value: Value| {
        let mut header = header();
        header[key] = value;
        signer.sign(&header, &payload(NOW))
    };
    let body = |key: &str, value: Value| {
        let mut payload = payload(NOW);
        payload[key] = value;
        signer.sign(&header(), &payload)
    };
    let tail = format!(";info=<{URL}>;ppt=shaken");
    let good = signer.jws(&header(), &payload(NOW));
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let many: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    for (field, words) in [
        (head("alg", json!("none")), "ES256"),
        (head("alg", json!("HS256")), "ES256"),
        (head("typ", json!("JWT")), "passport"),
        (head("crit", json!(["x"])), "crit"),
        (head("ppt", json!("div")), "another type"),
        (head("x5u", Value::Null), "no x5u"),
        (body("attest", json!("D")), "attest"),
        (body("iat", json!("now")), "payload"),
        (body("iat", json!(-1)), "payload"),
        (body("orig", json!({})), "orig"),
        (body("orig", json!({"tn": "1", "uri": "sip:a@b"})), "orig"),
        (body("orig", json!({"tn": "1".repeat(300)})), "too long"),
        (body("dest", json!({})), "dest"),
        (body("dest", json!({"tn": many})), "dest"),
        (body("origid", json!("x".repeat(200))), "origid"),
        (body("origid", json!("x\ny")), "origid"),
        (format!("a.b{tail}"), "three parts"),
        (format!("{good}.x{tail}"), "three parts"),
        (format!("{good}A{tail}"), "no ES256"),
        (format!("!.!.!{tail}"), "header"),
        (format!("{}.x.y{tail}", base64_of(&deep)), "header"),
        (format!("..{}{tail}", good.rsplit('.').next().unwrap()), "compact form"),
    ] {
        let (_, step) = Examination::begin(at(NOW), claims(vec![field.clone()]), FRESH);
        let Step::Done(Err(fault)) = step else { panic!("{field}: {step:?}") };
        assert!(fault.to_string().contains(words), "{fault}, not {words}");
        assert_eq!((fault.refusal().0, fault.standing()), (438, Standing::Invalid), "{fault}");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn the_address_is_signed_too_and_must_be_https() {
    let signer = Authority::new().issue(2099);
    let jws = signer.jws(&header(), &payload(NOW));
    let moved = format!("{jws};info=<https://evil.example/a.pem>;ppt=shaken");
    let (_, step) = Examination::begin(at(NOW), claims(vec![moved]), FRESH);
    assert_eq!(step, Step::Done(Err(Fault::OtherAddress)));
    for url in ["http://cert.example/a.pem", "ftp://x/", "https://", "file:///etc/passwd", "x"] {
        let mut header = header();
        header["x5u"] = json!(url);
        let field = signer.sign(&header, &payload(NOW));
        let (_, step) = Examination::begin(at(NOW), claims(vec![field]), FRESH);
        assert_eq!(step, Step::Done(Err(Fault::Address)), "{url}");
    }
    assert_eq!(Fault::Address.refusal(), (436, "Bad Identity Info"));
}

#[test]
fn without_a_passport_of_the_type_a_call_is_not_signed() {
    let signer = Authority::new().issue(2099);
    let other = format!("{};info=<{URL}>;ppt=div", signer.jws(&header(), &payload(NOW)));
    let mut plain = header();
    plain.as_object_mut().unwrap().remove("ppt");
    let plain = format!("{};info=<{URL}>", signer.jws(&plain, &payload(NOW)));
    for (fields, fault) in [
        (Vec::new(), Fault::Missing),
        (vec![other.clone()], Fault::OtherType),
        (vec![plain], Fault::OtherType),
    ] {
        let (_, step) = Examination::begin(at(NOW), claims(fields), FRESH);
        assert_eq!((fault.refusal().0, fault.standing()), (428, Standing::None));
        assert_eq!(step, Step::Done(Err(fault)));
    }
}

#[test]
fn the_first_that_holds_counts_and_else_the_first_that_does_not() {
    let authority = Authority::new();
    let signer = authority.issue(2099);
    let (stale, good) = (signer.identity(NOW - 100), signer.identity(NOW));
    let fields = vec!["x".to_owned(), stale.clone(), good.clone()];
    assert!(examine(fields, &signer.chain(), &authority).is_ok());
    let fields = vec![stale.clone(), "x".to_owned()];
    assert_eq!(examine(fields, &signer.chain(), &authority), Err(Fault::Stale(100)));
    let fields = vec![stale.clone(), stale.clone(), stale.clone(), stale, good.clone()];
    assert_eq!(examine(fields, &signer.chain(), &authority), Err(Fault::Stale(100)), "4 at most");
    let (mut examination, _) = Examination::begin(at(NOW), claims(vec![good]), FRESH);
    let step = examination.certificate(at(NOW), Err("404".to_owned()), &authority.anchors());
    let Step::Done(Err(fault)) = step else { panic!("{step:?}") };
    assert_eq!((fault.refusal().0, fault.standing()), (436, Standing::Unavailable));
    assert_eq!(Fault::Pending(500).standing(), Standing::Pending);
}

#[test]
fn chains_are_bounded() {
    let signer = Authority::new().issue(2099);
    for (pem, error) in [
        (String::new(), ChainError::Empty),
        ("hello".to_owned(), ChainError::Empty),
        ("-----BEGIN CERTIFICATE-----\n!\n".to_owned(), ChainError::Pem),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            ChainError::Certificate,
        ),
        (signer.pem.repeat(9), ChainError::TooLarge),
        (" ".repeat(65 * 1024), ChainError::TooLarge),
    ] {
        assert_eq!(Chain::from_pem(pem.as_bytes()), Err(error));
    }
    assert!(Chain::from_pem(signer.pem.repeat(8).as_bytes()).is_ok());
}

#[test]
fn what_our_own_signer_says_must_be_of_the_call() {
    let signer = Authority::new().issue(2099);
    let field = signer.identity(NOW);
    let party = Party::of_number;
    let (caller, callee) = (party("+14155550123"), party("+15550100"));
    assert_eq!(may_be_sent(&field, &caller, &callee), Ok(()));
    assert_eq!(may_be_sent(&field, &callee, &callee), Err(Fault::OtherCaller));
    assert_eq!(may_be_sent(&field, &caller, &caller), Err(Fault::OtherCallee));
    assert!(may_be_sent(&format!("{field}\r\nX: y"), &caller, &callee).is_err());
    let other = field.replace("ppt=shaken", "ppt=rcd");
    assert_eq!(may_be_sent(&other, &caller, &callee), Err(Fault::OtherType));
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "[ -~]{0,200}", pem: Vec<u8>) {
        fuzz_entry(text.as_bytes());
        let _ = Chain::from_pem(&pem);
        let (_, step) = Examination::begin(at(NOW), claims(vec![text]), FRESH);
        prop_assert!(matches!(step, Step::Done(Err(_))));
    }

    #[test]
    fn any_letter_changed_never_holds(at in 0_usize..600, letter in "[A-Za-z0-9_.;-]") {
        static SIGNED: std::sync::OnceLock<(Authority, Signer, String)> = std::sync::OnceLock::new();
        let (authority, signer, field) = SIGNED.get_or_init(|| {
            let authority = Authority::new();
            let signer = authority.issue(2099);
            let field = signer.identity(NOW);
            (authority, signer, field)
        });
        let end = field.find(';').unwrap();
        let at = at % end;
        let mut spoilt = field.clone();
        spoilt.replace_range(at..=at, &letter);
        let finding = examine(vec![spoilt.clone()], &signer.chain(), authority);
        prop_assert!(spoilt == *field || finding.is_err(), "{spoilt}");
    }
}
