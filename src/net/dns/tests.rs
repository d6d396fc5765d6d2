//! Against a name server of our own on loopback.

use super::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NAPTR, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record as Wire, RecordType};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use tokio::net::UdpSocket;

const V4: &[(Transport, bool)] = &[(Transport::Udp, true), (Transport::Tcp, true)];

/// What the server does.
#[derive(Debug, Default)]
struct Mood {
    mute: AtomicBool,
    broken: AtomicBool,
    asked: AtomicUsize,
    ttl: AtomicU32,
    last: AtomicU32,
}

struct Server {
    address: SocketAddr,
    mood: Arc<Mood>,
    _task: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mood = Arc::new(Mood::default());
        mood.ttl.store(60, Ordering::SeqCst);
        mood.last.store(1, Ordering::SeqCst);
        let mut task = JoinSet::new();
        task.spawn(serve(socket, Arc::clone(&mood)));
        Self { address, mood, _task: task }
    }

    fn resolver(&self) -> Resolver {
        let servers = vec![self.address];
        let spec = ResolverSpec { servers, hosts: false, ..ResolverSpec::default() };
        Resolver::new(spec, [1; 32]).unwrap()
    }

    fn asked(&self) -> usize {
        self.mood.asked.load(Ordering::SeqCst)
    }
}

async fn serve(socket: UdpSocket, mood: Arc<Mood>) {
    let mut buffer = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        mood.asked.fetch_add(1, Ordering::SeqCst);
        if mood.mute.load(Ordering::SeqCst) {
            continue;
        }
        let asked = Message::from_vec(&buffer[..length]).unwrap();
        let _ = socket.send_to(&reply(&asked, &mood).to_vec().unwrap(), from).await;
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn reply(asked: &Message, mood: &Mood) -> Message {
    let query = asked.queries[0].clone();
    let mut answer = asked.clone().into_response();
    answer.additionals.clear();
    answer.edns = None;
    if mood.broken.load(Ordering::SeqCst) {
        answer.metadata.response_code = ResponseCode::ServFail;
        return answer;
    }
    let ttl = mood.ttl.load(Ordering::SeqCst);
    let last = u8::try_from(mood.last.load(Ordering::SeqCst)).unwrap();
    let text = query.name().to_ascii().to_ascii_lowercase();
    let mut add = |owner: &str, ttl, data| {
        answer.add_answer(Wire::from_rdata(name(owner), ttl, data));
    };
    let naptr = |service: &str, to: &str| {
        let bytes = |text: &str| text.as_bytes().into();
        RData::NAPTR(NAPTR::new(10, 1, bytes("S"), bytes(service), bytes(""), name(to)))
    };
    match (text.as_str(), query.query_type()) {
        ("carrier.test.", RecordType::NAPTR) => {
            add(&text, ttl, naptr("SIP+D2T", "_sip._tcp.carrier.test."));
        }
        ("_sip._tcp.carrier.test.", RecordType::SRV) => {
            add(&text, ttl, RData::SRV(SRV::new(1, 1, 5070, name("gw.carrier.test."))));
        }
        ("gw.carrier.test.", RecordType::A) => add(&text, ttl, RData::A(A::new(192, 0, 2, last))),
        ("alias.test.", RecordType::A) => {
            add(&text, 7, RData::CNAME(CNAME(name("gw.carrier.test."))));
            add("gw.carrier.test.", ttl, RData::A(A::new(192, 0, 2, last)));
        }
        ("round.test.", _) => add(&text, ttl, RData::CNAME(CNAME(name("robin.test.")))),
        ("robin.test.", _) => add(&text, ttl, RData::CNAME(CNAME(name("round.test.")))),
        _ => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name("ns.test."), name("root.test."), 1, 1, 1, 1, 30);
            answer.add_authority(Wire::from_rdata(name("test."), 900, RData::SOA(soa)));
        }
    }
    answer
}

fn wanted(host: &str, port: Option<u16>) -> Wanted {
    Wanted { host: host.to_owned(), port, transport: None }
}

fn gateway(last: u8) -> Vec<(Transport, SocketAddr)> {
    vec![(Transport::Tcp, SocketAddr::from(([192, 0, 2, last], 5070)))]
}

#[tokio::test]
async fn a_domain_is_followed_to_its_gateway_and_remembered() {
    let server = Server::start().await;
    let resolver = server.resolver();
    let now = Instant::now();
    let carrier = wanted("carrier.test", None);
    assert_eq!(resolver.locate_at(now, &carrier, V4).await, gateway(1));
    assert_eq!(server.asked(), 3);
    server.mood.last.store(2, Ordering::SeqCst);
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
        let server = Server::start().await;
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
    let server = Server::start().await;
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
    let server = Server::start().await;
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
    let server = Server::start().await;
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
    let server = Server::start().await;
    let resolver = server.resolver();
    let now = Instant::now();
    let found = resolver.locate_at(now, &wanted("alias.test", Some(5060)), V4).await;
    assert_eq!(found, [(Transport::Udp, "192.0.2.1:5060".parse().unwrap())]);
    server.mood.last.store(3, Ordering::SeqCst);
    let late = now + Duration::from_secs(8);
    let found = resolver.locate_at(late, &wanted("alias.test", Some(5060)), V4).await;
    assert_eq!(found, [(Transport::Udp, "192.0.2.3:5060".parse().unwrap())], "TTL of the alias");
    let before = server.asked();
    assert_eq!(resolver.locate(&wanted("round.test", Some(5060)), V4).await, []);
    assert!(server.asked() - before < 50);
}

#[tokio::test]
async fn hosts_of_the_system_need_no_server() {
    let server = Server::start().await;
    let spec = ResolverSpec { servers: vec![server.address], ..ResolverSpec::default() };
    let resolver = Resolver::new(spec, [1; 32]).unwrap();
    let found = resolver.locate(&wanted("localhost", Some(5060)), V4).await;
    assert_eq!(found, [(Transport::Udp, "127.0.0.1:5060".parse().unwrap())]);
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn names_that_are_none_are_not_found() {
    let server = Server::start().await;
    let resolver = server.resolver();
    for host in ["", ".", "a..b", &"x".repeat(300), "\u{1F600}.test", "a b.test", "a\0b"] {
        assert_eq!(resolver.locate(&wanted(host, None), V4).await, [], "{host:?}");
    }
}
