//! Against a name server of our own on loopback.

use super::testing::{Server, name};
use super::*;
use hickory_proto::rr::rdata::{A, CNAME, NAPTR, SRV};
use hickory_proto::rr::{RData, RecordType};
use std::sync::atomic::{AtomicU8, Ordering};

const V4: &[(Transport, bool)] = &[(Transport::Udp, true), (Transport::Tcp, true)];

/// The server, and the last byte of the address that it gives the gateway.
async fn server() -> (Server, Arc<AtomicU8>) {
    let last = Arc::new(AtomicU8::new(1));
    let given = Arc::clone(&last);
    let zone = move |text: &str, kind: RecordType| {
        let last = given.load(Ordering::SeqCst);
        let naptr = |service: &str, to: &str| {
            let bytes = |text: &str| text.as_bytes().into();
            RData::NAPTR(NAPTR::new(10, 1, bytes("S"), bytes(service), bytes(""), name(to)))
        };
        let gateway = ("gw.carrier.test.".to_owned(), 60, RData::A(A::new(192, 0, 2, last)));
        let one = |ttl, content| vec![(text.to_owned(), ttl, content)];
        let alias = |ttl, to| one(ttl, RData::CNAME(CNAME(name(to))));
        match (text, kind) {
            ("carrier.test.", RecordType::NAPTR) => {
                one(60, naptr("SIP+D2T", "_sip._tcp.carrier.test."))
            }
            ("_sip._tcp.carrier.test.", RecordType::SRV) => {
                one(60, RData::SRV(SRV::new(1, 1, 5070, name("gw.carrier.test."))))
            }
            ("gw.carrier.test.", RecordType::A) => vec![gateway],
            ("alias.test.", RecordType::A) => {
                let mut records = alias(7, "gw.carrier.test.");
                records.push(gateway);
                records
            }
            ("round.test.", _) => alias(60, "robin.test."),
            ("robin.test.", _) => alias(60, "round.test."),
            _ => Vec::new(),
        }
    };
    (Server::start(Arc::new(zone)).await, last)
}

fn wanted(host: &str, port: Option<u16>) -> Wanted {
    Wanted { host: host.to_owned(), port, transport: None }
}

fn gateway(last: u8) -> Vec<(Transport, SocketAddr)> {
    vec![(Transport::Tcp, SocketAddr::from(([192, 0, 2, last], 5070)))]
}

#[tokio::test]
async fn a_domain_is_followed_to_its_gateway_and_remembered() {
    let (server, last) = server().await;
    let resolver = server.resolver();
    let now = Instant::now();
    let carrier = wanted("carrier.test", None);
    assert_eq!(resolver.locate_at(now, &carrier, V4).await, gateway(1));
    assert_eq!(server.asked(), 3);
    last.store(2, Ordering::SeqCst);
    let later = now + Duration::from_secs(50);
    assert_eq!(resolver.locate_at(later, &carrier, V4).await, gateway(1));
    assert_eq!(server.asked(), 3, "within the TTL nobody is asked");
    let late = now + Duration::from_secs(70);
    assert_eq!(resolver.locate_at(late, &carrier, V4).await, gateway(2));
    assert_eq!(server.asked(), 6);
}

#[tokio::test]
async fn old_answers_are_used_while_dns_is_down() {
    for mute in [true, false] {
        let (server, _) = server().await;
        let resolver = server.resolver();
        let now = Instant::now();
        let carrier = wanted("carrier.test", None);
        assert_eq!(resolver.locate_at(now, &carrier, V4).await, gateway(1));
        server.mood.mute.store(mute, Ordering::SeqCst);
        server.mood.broken.store(true, Ordering::SeqCst);
        let after = |secs| now + Duration::from_secs(secs);
        assert_eq!(resolver.locate_at(after(600), &carrier, V4).await, gateway(1));
        assert_eq!(resolver.locate_at(after(3000), &carrier, V4).await, gateway(1));
        let begun = Instant::now();
        assert_eq!(resolver.locate_at(after(9000), &carrier, V4).await, [], "an hour is the end");
        assert!(begun.elapsed() < Duration::from_secs(4));
        server.mood.mute.store(false, Ordering::SeqCst);
        server.mood.broken.store(false, Ordering::SeqCst);
        // The questions under way may still fail; the pause after a failure is over by then.
        let again = resolver.locate_at(after(9100), &carrier, V4).await;
        assert!(again == gateway(1) || mute, "{again:?}");
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_remembered_too() {
    let (server, _) = server().await;
    let resolver = server.resolver();
    let now = Instant::now();
    let nobody = wanted("nobody.test", None);
    assert_eq!(resolver.locate_at(now, &nobody, V4).await, []);
    let asked = server.asked();
    assert_eq!(asked, 4, "NAPTR, two SRV, A");
    let soon = now + Duration::from_secs(25);
    assert_eq!(resolver.locate_at(soon, &nobody, V4).await, []);
    assert_eq!(server.asked(), asked);
    let late = now + Duration::from_secs(35);
    assert_eq!(resolver.locate_at(late, &nobody, V4).await, []);
    assert_eq!(server.asked(), 2 * asked, "the minimum of the zone is 30 s");
}

#[tokio::test]
async fn a_mute_server_costs_two_seconds_and_no_more() {
    let (server, _) = server().await;
    server.mood.mute.store(true, Ordering::SeqCst);
    let resolver = server.resolver();
    let begun = Instant::now();
    let found = resolver.locate(&wanted("carrier.test", None), V4).await;
    assert_eq!(found, []);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn equal_questions_are_asked_once() {
    let (server, _) = server().await;
    let resolver = Arc::new(server.resolver());
    let mut searches = JoinSet::new();
    for _ in 0..20 {
        let resolver = Arc::clone(&resolver);
        searches.spawn(async move { resolver.locate(&wanted("carrier.test", None), V4).await });
    }
    for found in searches.join_all().await {
        assert_eq!(found, gateway(1));
    }
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn aliases_are_followed_but_not_in_circles() {
    let (server, last) = server().await;
    let resolver = server.resolver();
    let now = Instant::now();
    let found = resolver.locate_at(now, &wanted("alias.test", Some(5060)), V4).await;
    assert_eq!(found, [(Transport::Udp, "192.0.2.1:5060".parse().unwrap())]);
    last.store(3, Ordering::SeqCst);
    let late = now + Duration::from_secs(8);
    let found = resolver.locate_at(late, &wanted("alias.test", Some(5060)), V4).await;
    assert_eq!(found, [(Transport::Udp, "192.0.2.3:5060".parse().unwrap())], "TTL of the alias");
    let before = server.asked();
    assert_eq!(resolver.locate(&wanted("round.test", Some(5060)), V4).await, []);
    assert!(server.asked() - before < 50);
}

#[tokio::test]
async fn hosts_of_the_system_need_no_server() {
    let (server, _) = server().await;
    let spec = ResolverSpec { servers: vec![server.address], ..ResolverSpec::default() };
    let resolver = Resolver::new(spec, [1; 32]).unwrap();
    let found = resolver.locate(&wanted("localhost", Some(5060)), V4).await;
    assert_eq!(found, [(Transport::Udp, "127.0.0.1:5060".parse().unwrap())]);
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn names_that_are_none_are_not_found() {
    let (server, _) = server().await;
    let resolver = server.resolver();
    for host in ["", ".", "a..b", &"x".repeat(300), "\u{1F600}.test", "a b.test", "a\0b"] {
        assert_eq!(resolver.locate(&wanted(host, None), V4).await, [], "{host:?}");
    }
}
