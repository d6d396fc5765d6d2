//! The system's allocator, counting per thread: how often, and how much is held.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// Counts what this thread allocates and frees.
pub struct Counting;

fn count(times: u64, bytes: i64) {
    // During the end of a thread the cells may be gone; nobody counts there.
    _ = COUNT.try_with(|count| count.set(count.get() + times));
    _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

// SAFETY: every call is passed on to `System` unchanged, which keeps the contract of the trait;
// counting touches thread-locals without destructors and cannot allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        // SAFETY: `block` came from `System` with `layout`, as all blocks of this allocator do.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: `block` came from `System` with `layout`, as all blocks of this allocator do.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Allocations of this thread so far.
pub fn allocations() -> u64 {
    COUNT.get()
}

/// Bytes that this thread holds; blocks that move between threads count where they are freed.
pub fn held() -> i64 {
    HELD.get()
}
