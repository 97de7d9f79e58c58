//! Counts the allocations of certain threads.

#![expect(unsafe_code, reason = "an allocator is unsafe to declare")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the allocations of a test are counted by; each test has one of its own.
#[derive(Debug)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Counts what this thread allocates from now on.
    pub(crate) fn watch_this_thread(&'static self) {
        METER.set(Some(self));
    }
}

thread_local! {
    /// Without a destructor, so that it can be asked for at any time of a thread's life.
    static METER: Cell<Option<&'static Meter>> = const { Cell::new(None) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note() {
    if let Some(meter) = METER.get() {
        meter.0.fetch_add(1, Relaxed);
    }
}

// SAFETY: everything is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: what the caller promises is what is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block came from there.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: what the caller promises is what is asked for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the block came from there, and the rest is the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
