//! What a call costs the SIP core in memory: counted, and bounded here so that a leak is seen.
//!
//! `benches/sip_call.rs` measures the time of the same exchanges.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod count;
mod exchange;

use exchange::Exchange;

#[global_allocator]
static ALLOCATOR: count::Counting = count::Counting;

/// Most allocations of a whole call inside the core, either direction.
const ALLOCATIONS_MAX: u64 = 200;
/// Most bytes that an established call holds when nothing happens in it.
const IDLE_BYTES_MAX: i64 = 4096;

#[test]
fn a_call_has_a_bounded_number_of_allocations() {
    for (name, call) in
        [("in", Exchange::call_in as fn(&mut Exchange)), ("out", Exchange::call_out)]
    {
        let mut exchange = Exchange::new();
        (0..100).for_each(|_| call(&mut exchange));
        exchange.reset();
        (0..1000).for_each(|_| call(&mut exchange));
        let each = exchange.allocations / 1000;
        println!("a call {name}: {each} allocations");
        assert!(each <= ALLOCATIONS_MAX, "a call {name} has {each} allocations");
    }
}

#[test]
fn an_idle_call_holds_little() {
    for (name, call) in [
        ("in", Exchange::answered as fn(&mut Exchange) -> exchange::Dialog),
        ("out", Exchange::dialled),
    ] {
        let mut exchange = Exchange::new();
        drop(call(&mut exchange));
        exchange.settle();
        let before = count::held();
        for _ in 0..1000 {
            drop(call(&mut exchange));
        }
        exchange.settle();
        let each = (count::held() - before) / 1000;
        println!("an idle call {name}: {each} bytes");
        assert!(each <= IDLE_BYTES_MAX, "an idle call {name} holds {each} bytes");
    }
}

#[test]
fn ended_calls_hold_nothing() {
    let mut exchange = Exchange::new();
    let mut round = |calls: u32| {
        for _ in 0..calls {
            exchange.call_in();
            exchange.call_out();
            exchange.options();
        }
        exchange.settle();
        assert_eq!(exchange.remains(), 0);
        count::held()
    };
    let first = round(500);
    let second = round(500);
    assert!(second - first < 4096, "{} bytes are left of ended calls", second - first);
}
