use super::*;

const UDP: Transport = Transport::Udp;
const TCP: Transport = Transport::Tcp;
const TLS: Transport = Transport::Tls;

/// A zone in a few words: `name A 192.0.2.1`, `name SRV 0 1 5060 target`,
/// `name NAPTR 1 2 s SIP+D2U replacement`.
fn zone(text: &str) -> BTreeMap<Question, Records> {
    let mut zone: BTreeMap<Question, Vec<Record>> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u16>().unwrap();
        let name = |at: usize| words[at].trim_end_matches('.').to_owned();
        let (kind, record) = match words[1] {
            "A" => (Kind::A, Record::Address(words[2].parse().unwrap())),
            "AAAA" => (Kind::Aaaa, Record::Address(words[2].parse().unwrap())),
            "SRV" => {
                let (priority, weight, port) = (number(2), number(3), number(4));
                (Kind::Srv, Record::Srv { priority, weight, port, target: name(5) })
            }
            _ => {
                let (flags, service) = (words[4].to_owned(), words[5].to_owned());
                let (order, preference, replacement) = (number(2), number(3), name(6));
                let record = Record::Naptr { order, preference, flags, service, replacement };
                (Kind::Naptr, record)
            }
        };
        zone.entry(Question::new(words[0], kind)).or_default().push(record);
    }
    zone.into_iter().map(|(question, records)| (question, records.into())).collect()
}

/// Asks the zone until there is an answer; says what was asked, too.
fn search(zone: &BTreeMap<Question, Records>, wanted: &Wanted, ways: Ways<'_>) -> (String, usize) {
    let mut known = BTreeMap::new();
    for round in 0..5 {
        match locate(wanted, ways, &known, &mut Rng::from_seed([7; 32])) {
            Located::Found(targets) => {
                let words: Vec<String> =
                    targets.iter().map(|(t, address)| format!("{t:?} {address}")).collect();
                return (words.join(", ").to_ascii_lowercase(), round);
            }
            Located::Ask(questions) => {
                assert!(questions.len() <= 2 * TARGETS_MAX, "{} questions", questions.len());
                for question in questions {
                    let records = zone.get(&question).cloned().unwrap_or_else(|| [].into());
                    assert!(known.insert(question, records).is_none(), "asked twice");
                }
            }
        }
    }
    panic!("no end");
}

fn wanted(host: &str, port: Option<u16>, transport: Option<Transport>) -> Wanted {
    Wanted { host: host.to_owned(), port, transport }
}

const V4: &[(Transport, bool)] = &[(UDP, true), (TCP, true), (TLS, true)];

const CARRIER: &str = "
    carrier.example NAPTR 20 1 s SIP+D2U _sip._udp.carrier.example.
    carrier.example NAPTR 10 2 s SIP+D2T _sip._tcp.carrier.example
    carrier.example NAPTR 10 1 s SIPS+D2T _sips._tcp.carrier.example
    carrier.example NAPTR 1 1 s SIP+D2S _sip._sctp.carrier.example
    carrier.example NAPTR 1 1 u E2U+sip .
    _sip._udp.carrier.example SRV 1 0 5060 gw1.carrier.example
    _sip._udp.carrier.example SRV 2 0 5070 gw2.carrier.example
    _sip._tcp.carrier.example SRV 1 0 5080 gw1.carrier.example
    _sips._tcp.carrier.example SRV 1 0 5081 gw1.carrier.example
    gw1.carrier.example A 192.0.2.1
    gw1.carrier.example AAAA 2001:db8::1
    gw2.carrier.example A 192.0.2.2
    carrier.example A 192.0.2.99
    plain.example A 192.0.2.3
    plain.example A 192.0.2.4
    plain.example AAAA 2001:db8::3
    srv.example A 192.0.2.9
    _sip._tcp.srv.example SRV 5 1 5062 plain.example
    gone.example A 192.0.2.9
    _sip._udp.gone.example SRV 0 0 0 .
";

#[test]
fn names_lead_to_addresses_by_the_book() {
    type Case = (&'static str, Option<u16>, Option<Transport>, Ways<'static>, &'static str);
    const BOTH: Ways<'static> = &[(UDP, true), (UDP, false)];
    let zone = zone(CARRIER);
    let cases: &[Case] = &[
        ("192.0.2.7", None, None, V4, "udp 192.0.2.7:5060"),
        ("[2001:db8::7]", None, Some(TLS), V4, "tls [2001:db8::7]:5061"),
        ("plain.example", Some(5090), None, V4, "udp 192.0.2.3:5090, udp 192.0.2.4:5090"),
        (
            "plain.example",
            Some(5090),
            None,
            &[(TCP, true)],
            "tcp 192.0.2.3:5090, tcp 192.0.2.4:5090",
        ),
        ("carrier.example", Some(5090), Some(TCP), V4, "tcp 192.0.2.99:5090"),
        ("carrier.example", None, Some(TCP), V4, "tcp 192.0.2.1:5080"),
        ("carrier.example", None, Some(TLS), V4, "tls 192.0.2.1:5081"),
        (
            "Carrier.Example.",
            None,
            None,
            V4,
            "tls 192.0.2.1:5081, tcp 192.0.2.1:5080, udp 192.0.2.1:5060, udp 192.0.2.2:5070",
        ),
        ("carrier.example", None, None, &[(UDP, true)], "udp 192.0.2.1:5060, udp 192.0.2.2:5070"),
        (
            "carrier.example",
            None,
            None,
            BOTH,
            "udp 192.0.2.1:5060, udp [2001:db8::1]:5060, udp 192.0.2.2:5070",
        ),
        ("carrier.example", None, None, &[(UDP, false)], "udp [2001:db8::1]:5060"),
        (
            "plain.example",
            None,
            None,
            &[(UDP, false), (UDP, true)],
            "udp [2001:db8::3]:5060, udp 192.0.2.3:5060, udp 192.0.2.4:5060",
        ),
        ("plain.example", None, None, V4, "udp 192.0.2.3:5060, udp 192.0.2.4:5060"),
        ("plain.example", None, Some(TLS), V4, "tls 192.0.2.3:5061, tls 192.0.2.4:5061"),
        ("srv.example", None, None, V4, "tcp 192.0.2.3:5062, tcp 192.0.2.4:5062"),
        ("gone.example", None, None, V4, ""),
        ("nowhere.example", None, None, V4, ""),
        ("plain.example", None, Some(TLS), &[(UDP, true)], ""),
    ];
    for (host, port, transport, ways, expected) in cases {
        let (found, _) = search(&zone, &wanted(host, *port, *transport), ways);
        assert_eq!(found, *expected, "{host} {port:?} {transport:?} {ways:?}");
    }
}

#[test]
fn each_step_of_the_walk_is_one_round() {
    let zone = zone(CARRIER);
    let rounds = |host, port| search(&zone, &wanted(host, port, None), V4).1;
    assert_eq!(rounds("192.0.2.7", None), 0);
    assert_eq!(rounds("plain.example", Some(5060)), 1);
    assert_eq!(rounds("carrier.example", None), 3);
    assert_eq!(rounds("plain.example", None), 3);
}

#[test]
fn hostile_zones_end_soon_and_give_little() {
    let mut text = String::from(
        "loop.example NAPTR 1 1 s SIP+D2U loop.example
         loop.example NAPTR 1 1 s SIP+D2U _sip._udp.loop.example
         loop.example SRV 1 1 5060 loop.example
         _sip._udp.loop.example SRV 1 1 5060 _sip._udp.loop.example
         empty.example NAPTR 1 1 s SIP+D2U .
         empty.example NAPTR 1 1 a SIP+D2U x.example
         empty.example A 192.0.2.5\n",
    );
    for n in 0..1000_u16 {
        let (high, low) = (n / 250, n % 250);
        text += &[
            format!("_sip._udp.huge.example SRV {} 1 5060 s{n}.example", n % 7),
            format!("s{n}.example A 198.51.{high}.{low}"),
            format!("many.example A 198.51.{high}.{low}"),
            format!("huge.example NAPTR {n} 1 s SIP+D2U n{n}.example"),
            format!("n{n}.example SRV {n} 1 5060 s{n}.example\n"),
        ]
        .join("\n");
    }
    let zone = zone(&text);
    let count = |host, transport| {
        let (found, rounds) = search(&zone, &wanted(host, None, transport), V4);
        assert!(rounds <= 3, "{host}");
        found.split(", ").filter(|word| !word.is_empty()).count()
    };
    assert_eq!(count("loop.example", None), 0);
    assert_eq!(count("empty.example", None), 1, "useless NAPTR records are as good as none");
    assert_eq!(count("huge.example", None), SERVICES_MAX);
    assert_eq!(count("huge.example", Some(UDP)), TARGETS_MAX);
    assert_eq!(count("many.example", None), TARGETS_MAX);
}

#[test]
fn load_is_shared_by_weight() {
    let server = |weight, target: &str| Record::Srv {
        priority: 1,
        weight,
        port: 5060,
        target: target.to_owned(),
    };
    let records = [server(0, "zero"), server(30, "small"), server(70, "big")];
    let mut rng = Rng::from_seed([3; 32]);
    let mut first = BTreeMap::new();
    for _ in 0..10_000 {
        let order = in_order(&records, &mut rng);
        assert_eq!(order.len(), 3);
        *first.entry(order[0].0.clone()).or_insert(0_u32) += 1;
    }
    let share = |name: &str| first.get(name).copied().unwrap_or(0);
    assert!((2_700..3_300).contains(&share("small")), "{first:?}");
    assert!((6_600..7_300).contains(&share("big")), "{first:?}");
    assert!((1..300).contains(&share("zero")), "{first:?}");
}

#[test]
fn equal_seeds_give_equal_orders() {
    let zone = zone(
        "_sip._udp.x.example SRV 1 10 1 a.example
         _sip._udp.x.example SRV 1 10 2 b.example
         _sip._udp.x.example SRV 1 10 3 c.example",
    );
    let records = zone.values().next().unwrap();
    let order = |seed| in_order(records, &mut Rng::from_seed([seed; 32]));
    assert_eq!(order(1), order(1));
    assert!((0..20).any(|seed| order(seed) != order(1)));
}

proptest::proptest! {
    #[test]
    fn any_answers_lead_to_an_end(
        answers in proptest::collection::vec((0_u16..3, 0_u16..3, 0_usize..6), 0..40),
        transport in 0_usize..4,
    ) {
        let names = ["x.example", "_sip._udp.x.example", "_sip._tcp.x.example", "a", "b", ""];
        let services = ["SIP+D2U", "SIP+D2T", "SIPS+D2T"];
        let mut known: BTreeMap<Question, Vec<Record>> = BTreeMap::new();
        for (priority, weight, at) in answers {
            let target = names[(at + usize::from(weight)) % names.len()].to_owned();
            let srv = Record::Srv { priority, weight, port: 5060, target: target.clone() };
            let naptr = Record::Naptr {
                order: priority,
                preference: weight,
                flags: "s".to_owned(),
                service: services[usize::from(priority)].to_owned(),
                replacement: target,
            };
            let ip = Record::Address([192, 0, 2, 1].into());
            for (kind, record) in [(Kind::Srv, srv), (Kind::Naptr, naptr), (Kind::A, ip)] {
                known.entry(Question::new(names[at], kind)).or_default().push(record);
            }
        }
        let zone = known.into_iter().map(|(question, records)| (question, records.into())).collect();
        let transport = [None, Some(UDP), Some(TCP), Some(TLS)][transport];
        let (found, rounds) = search(&zone, &wanted("x.example", None, transport), V4);
        proptest::prop_assert!(rounds <= 3);
        proptest::prop_assert!(found.split(", ").count() <= TARGETS_MAX);
    }
}
