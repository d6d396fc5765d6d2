//! Whole calls through the SIP core: how many a second and core, and what each costs.
//!
//! `call_in` is INVITE, 100, 180, 200, ACK, BYE, 200 of a peer's call, `call_out` the same of ours,
//! `options` one transaction without a session; the time is that inside the endpoint, its deadlines
//! included, with the transactions of the last 32 s in its tables. Elements are calls, or
//! transactions. Allocations and the bytes of an idle call are printed first.
//! Run with `cargo bench --bench sip_call`.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on must stop")]
#![allow(clippy::print_stdout, reason = "criterion has no place for counts")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

#[path = "../tests/sip_cost/count.rs"]
mod count;
#[path = "../tests/sip_cost/exchange.rs"]
mod exchange;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use exchange::Exchange;

#[global_allocator]
static ALLOCATOR: count::Counting = count::Counting;

/// Calls whose transactions linger while it is measured.
const LINGERING: u32 = 32_000;
const COUNTED: u32 = 1000;

type Act = fn(&mut Exchange);

fn bench(c: &mut Criterion) {
    let acts: [(&str, Act); 3] = [
        ("call_in", Exchange::call_in),
        ("call_out", Exchange::call_out),
        ("options", Exchange::options),
    ];
    for (name, act) in acts {
        println!("{name}: {} allocations each", allocations(act));
    }
    for (name, idle) in
        [("in", idle_bytes(Exchange::answered)), ("out", idle_bytes(Exchange::dialled))]
    {
        println!("an idle call {name}: {idle} bytes");
    }
    let mut group = c.benchmark_group("sip_call");
    group.throughput(Throughput::Elements(1));
    for (name, act) in acts {
        let mut exchange = Exchange::new();
        (0..LINGERING).for_each(|_| act(&mut exchange));
        println!("{name}: {} entries in the tables", exchange.remains());
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                exchange.reset();
                (0..rounds).for_each(|_| act(&mut exchange));
                exchange.spent
            });
        });
    }
    group.finish();
}

fn allocations(act: Act) -> u64 {
    let mut exchange = Exchange::new();
    (0..COUNTED).for_each(|_| act(&mut exchange));
    exchange.reset();
    (0..COUNTED).for_each(|_| act(&mut exchange));
    exchange.allocations / u64::from(COUNTED)
}

fn idle_bytes(call: fn(&mut Exchange) -> exchange::Dialog) -> i64 {
    let mut exchange = Exchange::new();
    let before = count::held();
    (0..COUNTED).for_each(|_| drop(call(&mut exchange)));
    exchange.settle();
    (count::held() - before) / i64::from(COUNTED)
}

criterion_group!(benches, bench);
criterion_main!(benches);
