//! Reading a message allocates nothing: counted, not claimed.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use bellwire::sip::message::{Capabilities, Method};
use bellwire::sip::message::{
    Limits, Message, MessageWriter, Name, ResponseSpec, Uri, frame, validate,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting per thread.
struct Counting;

fn count() {
    // During the end of a thread the cell may be gone; nobody counts there.
    _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to `System` unchanged, which keeps the contract of the trait;
// counting touches a thread-local without a destructor and cannot allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from `System` with `layout`, as all blocks of this allocator do.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` with `layout`, as all blocks of this allocator do.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `run` runs.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    run();
    COUNT.get() - before
}

fn messages() -> Vec<(String, Vec<u8>)> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let names = [
        "sip/invite",
        "sip/ok",
        "rfc4475/wsinv",
        "rfc4475/intmeth",
        "rfc4475/longreq",
        "rfc4475/esc01",
        "rfc4475/semiuri",
        "rfc5118/ipv6-good",
        "rfc4475/unksm2",
    ];
    let read = |name: &str| std::fs::read(format!("{data}/{name}.dat")).unwrap();
    names.into_iter().map(|name| (name.to_owned(), read(name))).collect()
}

const ABLE: Capabilities<'_> = Capabilities {
    methods: &[Method::Invite, Method::Register, Method::Options],
    extensions: &["timer"],
    bodies: &["application/sdp"],
    body_max: 65_535,
};

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(7)))), 1);
    assert_eq!(allocations(|| drop(black_box(Vec::<u8>::new()))), 0);
}

#[test]
fn reading_allocates_nothing() {
    for (name, bytes) in messages() {
        let count = allocations(|| {
            let message = Message::parse(&bytes).unwrap();
            black_box((message.from().unwrap(), message.to().unwrap(), message.via().unwrap()));
            black_box((message.cseq().unwrap(), message.call_id().unwrap()));
            for address in message.contacts().chain(message.routes()) {
                black_box(address.unwrap());
            }
            for via in message.vias() {
                black_box(via.unwrap());
            }
            black_box((message.max_forwards().is_ok(), message.content_type().is_ok()));
            black_box(message.lists(Name::Supported, "timer"));
            _ = black_box(validate(&message, &ABLE));
            black_box(frame(&bytes, &Limits::DATAGRAM));
        });
        assert_eq!(count, 0, "{name}");
    }
}

#[test]
fn comparing_plain_uris_allocates_nothing() {
    let count = allocations(|| {
        let a = Uri::parse("sip:alice@[2001:db8::1]:5060;transport=tcp;lr").unwrap();
        let b = Uri::parse("sip:alice@[2001:DB8::1]:5060;lr;Transport=TCP").unwrap();
        assert!(black_box(a.same_as(&b)));
    });
    assert_eq!(count, 0);
}

#[test]
fn answering_into_a_used_buffer_allocates_nothing() {
    let mut out = Vec::with_capacity(8192);
    for (name, bytes) in messages() {
        // Folds must be joined for an echo, and that takes memory; wsinv is all folds.
        if name.contains("wsinv") {
            continue;
        }
        out.clear();
        let message = Message::parse(&bytes).unwrap();
        let spec = ResponseSpec {
            code: 200,
            to_tag: Some("t"),
            source: Some("192.0.2.1:5060".parse().unwrap()),
            record_route: true,
            ..ResponseSpec::default()
        };
        let count = allocations(|| {
            MessageWriter::respond(&mut out, &message, &spec).finish().unwrap();
        });
        assert_eq!(count, 0, "{name}");
    }
}
