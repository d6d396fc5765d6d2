use super::*;
use proptest::prelude::*;

const TCP: Transport = Transport::Tcp;
const TLS: Transport = Transport::Tls;

fn limits(total: usize, per_source: usize, handshakes: usize) -> ConnectionLimits {
    ConnectionLimits { total, per_source, handshakes, ..ConnectionLimits::default() }
}

fn peer(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

fn flow(transport: Transport, remote: SocketAddr, connection: Option<ConnectionId>) -> Flow {
    Flow { transport, local: peer(99, 5060), remote, connection }
}

fn opened(name: Option<&str>) -> Origin {
    Origin::Opened(name.map(Arc::from))
}

#[test]
fn strangers_make_room_for_newcomers_in_their_order() {
    let now = Instant::now();
    let mut table = Table::new(limits(4, 4, 9));
    for host in 1..=4 {
        table.admit(now, (TCP, peer(host, 1)), Origin::Accepted, host).unwrap();
    }
    assert_eq!(table.sending(now, ConnectionId(0)), Some(&1), "the first one is proven");
    for (host, gone) in [(5, 2), (6, 3), (7, 4), (8, 5)] {
        let admitted = table.admit(now, (TCP, peer(host, 1)), Origin::Accepted, host).unwrap();
        assert_eq!(admitted.evicted, [gone]);
        assert_eq!(table.len(), 4);
    }
    assert!(table.is_proven(ConnectionId(0)));
}

#[test]
fn ten_thousand_idle_ones_do_not_keep_a_trunk_out() {
    let now = Instant::now();
    let mut table = Table::new(limits(4096, 64, 256));
    for n in 0..10_000_u32 {
        let [_, _, high, low] = (n / 50).to_be_bytes();
        let remote = SocketAddr::from(([10, 1, high, low], 1000 + u16::try_from(n % 50).unwrap()));
        let admitted = table.admit(now, (TCP, remote), Origin::Accepted, n);
        assert!(admitted.is_some());
    }
    assert_eq!(table.len(), 4096);
    let to = peer(1, 5060);
    let ours = table.admit(now, (TCP, to), opened(None), 0).unwrap().id;
    let theirs = table.admit(now, (TCP, peer(2, 4000)), Origin::Accepted, 0).unwrap().id;
    table.sending(now, theirs);
    for n in 0..10_000_u32 {
        let [_, _, high, low] = n.to_be_bytes();
        let remote = SocketAddr::from(([10, 2, high, low], 1000));
        table.admit(now, (TCP, remote), Origin::Accepted, n).unwrap();
    }
    assert!(table.is_proven(ours) && table.is_proven(theirs));
    assert_eq!(table.find(&flow(TCP, to, None), None), Some(ours));
}

#[test]
fn one_source_has_its_share_and_drives_out_its_own_only() {
    let now = Instant::now();
    let mut table = Table::new(limits(100, 3, 9));
    let other = table.admit(now, (TCP, peer(9, 1)), Origin::Accepted, 90).unwrap().id;
    for port in 1..=3 {
        table.admit(now, (TCP, peer(1, port)), Origin::Accepted, port).unwrap();
    }
    let admitted = table.admit(now, (TCP, peer(1, 4)), Origin::Accepted, 4).unwrap();
    assert_eq!(admitted.evicted, [1]);
    for id in 2..=4 {
        table.sending(now, ConnectionId(id));
    }
    let refused = table.admit(now, (TCP, peer(1, 5)), Origin::Accepted, 5);
    assert!(refused.is_none(), "proven ones stay");
    assert!(table.admit(now, (TCP, peer(1, 5)), opened(None), 5).is_none(), "and are in use");
    let later = now + SPARE;
    table.received(later, ConnectionId(2));
    let admitted = table.admit(later, (TCP, peer(1, 5)), opened(None), 5).unwrap();
    assert_eq!(admitted.evicted, [3], "the one that is unused for long goes for ours");
    assert!(table.remove(other).is_some());
}

#[test]
fn ipv6_sources_are_networks() {
    let now = Instant::now();
    let mut table = Table::new(limits(100, 2, 9));
    for (at, address) in
        ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"].iter().enumerate()
    {
        let remote = address.parse().unwrap();
        let admitted = table.admit(now, (TCP, remote), Origin::Accepted, at).unwrap();
        assert_eq!(admitted.evicted.len(), usize::from(at == 2), "{address}");
    }
    let elsewhere = "[2001:db8:0:1::1]:1".parse().unwrap();
    let admitted = table.admit(now, (TCP, elsewhere), Origin::Accepted, 9).unwrap();
    assert!(admitted.evicted.is_empty());
}

#[test]
fn handshakes_are_bounded_by_themselves() {
    let now = Instant::now();
    let mut table = Table::new(limits(100, 100, 2));
    for host in 1..=2 {
        table.admit(now, (TLS, peer(host, 1)), Origin::Accepted, host).unwrap();
    }
    table.greeted(ConnectionId(0));
    table.greeted(ConnectionId(0));
    let third = table.admit(now, (TLS, peer(3, 1)), Origin::Accepted, 3).unwrap();
    assert!(third.evicted.is_empty());
    let fourth = table.admit(now, (TLS, peer(4, 1)), Origin::Accepted, 4).unwrap();
    assert_eq!(fourth.evicted, [2], "the oldest one under way");
    let ours = table.admit(now, (TLS, peer(5, 1)), opened(None), 5).unwrap();
    assert!(ours.evicted.is_empty());
}

#[test]
fn messages_find_the_connection_that_is_theirs() {
    let now = Instant::now();
    let mut table = Table::new(limits(100, 100, 100));
    let mut admit =
        |transport, remote, origin| table.admit(now, (transport, remote), origin, ()).unwrap().id;
    let tcp = admit(TCP, peer(1, 5060), opened(None));
    let named = admit(TLS, peer(1, 5061), opened(Some("a.test")));
    let unnamed = admit(TLS, peer(1, 5061), opened(None));
    let theirs = admit(TLS, peer(2, 5061), Origin::Accepted);
    let plain = admit(TCP, peer(2, 4000), Origin::Accepted);
    let cases = [
        (flow(TCP, peer(1, 5060), None), None, Some(tcp)),
        (flow(TCP, peer(1, 5060), Some(ConnectionId(77))), None, Some(tcp)),
        (flow(TCP, peer(1, 5061), None), None, None),
        (flow(TLS, peer(1, 5061), None), Some("A.test"), Some(named)),
        (flow(TLS, peer(1, 5061), None), Some("b.test"), None),
        (flow(TLS, peer(1, 5061), None), None, Some(unnamed)),
        (flow(TLS, peer(2, 5061), None), Some("a.test"), None),
        (flow(TLS, peer(2, 5061), Some(theirs)), None, Some(theirs)),
        (flow(TLS, peer(2, 5061), Some(theirs)), Some("a.test"), Some(theirs)),
        (flow(TCP, peer(2, 4000), None), None, Some(plain)),
        (flow(Transport::Udp, peer(1, 5060), None), None, None),
    ];
    for (flow, name, expected) in cases {
        assert_eq!(table.find(&flow, name), expected, "{flow:?} {name:?}");
    }
    table.remove(unnamed);
    let by_address = flow(TLS, peer(1, 5061), Some(unnamed));
    assert_eq!(table.find(&by_address, None), Some(named), "it has shown a name before");
    assert_eq!(table.find(&flow(TLS, peer(2, 5061), None), None), None, "but theirs have not");
    table.remove(tcp);
    assert_eq!(table.find(&flow(TCP, peer(1, 5060), Some(tcp)), None), None);
}

proptest! {
    #[test]
    fn the_bounds_hold_whatever_happens(steps in prop::collection::vec((0_u8..6, 0_u8..4, 0_u16..3), 0..200)) {
        let mut now = Instant::now();
        let mut table = Table::new(limits(6, 3, 2));
        let mut open: Vec<ConnectionId> = Vec::new();
        for (what, host, port) in steps {
            now += Duration::from_secs(u64::from(port) * 30);
            let id = ConnectionId(u64::from(host) * 3 + u64::from(port));
            let to = |transport| (transport, peer(host, port));
            let admitted = match what {
                0 => table.admit(now, to(TCP), Origin::Accepted, ()),
                1 => table.admit(now, to(TLS), Origin::Accepted, ()),
                2 => table.admit(now, to(TLS), opened(Some("x")), ()),
                3 => { table.sending(now, id); None }
                4 => { table.greeted(id); None }
                _ => { table.remove(id); open.retain(|other| *other != id); None }
            };
            open.extend(admitted.map(|admitted| admitted.id));
            prop_assert!(table.len() <= 6 && table.handshakes <= 2);
            prop_assert!(table.by_source.values().all(|count| (1..=3).contains(count)));
            prop_assert_eq!(table.by_source.values().sum::<usize>(), table.len());
            prop_assert_eq!(table.by_peer.len(), table.len());
        }
        for id in open {
            table.remove(id);
        }
        prop_assert_eq!((table.len(), table.handshakes, table.by_source.len()), (0, 0, 0));
    }
}
