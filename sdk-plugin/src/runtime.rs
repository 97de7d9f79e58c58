//! What a guest without the standard library needs to stand on.

#![expect(
    unsafe_code,
    reason = "an allocator, and a function that the component model names, are unsafe to declare"
)]

use alloc::alloc::{alloc, handle_alloc_error, realloc};
use alloc::string::String;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::log::{self, Level};
use crate::time;

/// Bytes in a page of WebAssembly memory.
const PAGE_BYTES: usize = 64 << 10;

/// Hands out memory upwards and takes nothing back.
///
/// An instance serves one call and is thrown away whole, so there is nothing to be gained from
/// keeping lists of free blocks. This costs a few instructions an allocation, touches every page
/// once, and lets the compiler leave out most of the code that drops things.
struct Bump {
    /// First free address; 0 before the first allocation.
    top: AtomicUsize,
    /// End of the memory that there is.
    end: AtomicUsize,
}

#[global_allocator]
static ALLOCATOR: Bump = Bump {
    top: AtomicUsize::new(0),
    end: AtomicUsize::new(0),
};

// The compiler emits calls of `memcmp`, and its own library has none for this target. Of the C library
// that comes with the target the linker takes that one function.
#[link(name = "c")]
unsafe extern "C" {}

unsafe extern "C" {
    /// Placed by the linker after stack and static data. Only its address means anything.
    static __heap_base: u8;
}

impl Bump {
    fn top(&self) -> usize {
        match self.top.load(Relaxed) {
            0 => {
                self.end
                    .store(wasm32::memory_size(0).saturating_mul(PAGE_BYTES), Relaxed);
                (&raw const __heap_base).addr()
            }
            top => top,
        }
    }

    /// Makes `top` the first free address, with more memory where that is needed.
    fn move_top(&self, top: usize) -> Option<()> {
        let end = self.end.load(Relaxed);
        if top > end {
            let pages = top.saturating_sub(end).div_ceil(PAGE_BYTES);
            if wasm32::memory_grow(0, pages) == usize::MAX {
                return None;
            }
            let grown = pages.saturating_mul(PAGE_BYTES);
            self.end.store(end.saturating_add(grown), Relaxed);
        }
        self.top.store(top, Relaxed);
        Some(())
    }

    fn is_last(&self, pointer: *mut u8, layout: Layout) -> bool {
        pointer.addr().saturating_add(layout.size()) == self.top.load(Relaxed)
    }
}

// SAFETY: every block lies between `__heap_base` and the end of memory and is aligned. No two overlap:
// a block begins at or above `top`, and `top` moves down only when the block right below it shrinks.
// A guest has one thread.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self
            .top()
            .checked_next_multiple_of(layout.align())
            .unwrap_or(usize::MAX);
        match start
            .checked_add(layout.size())
            .and_then(|top| self.move_top(top))
        {
            Some(()) => ptr::with_exposed_provenance_mut(start),
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.is_last(pointer, layout) {
            // A buffer that grows at the top grows in place.
            let top = pointer.addr().checked_add(size);
            return match top.and_then(|top| self.move_top(top)) {
                Some(()) => pointer,
                None => ptr::null_mut(),
            };
        }
        if size <= layout.size() {
            return pointer;
        }
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return ptr::null_mut();
        };
        // SAFETY: the caller promises that `size` is not 0.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks hold `layout.size()` bytes, and a new block overlaps no old one.
            unsafe { ptr::copy_nonoverlapping(pointer, moved, layout.size()) };
        }
        moved
    }
}

/// Where the host puts texts and lists that it passes in.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_bytes: usize,
    align: usize,
    bytes: usize,
) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(bytes, align) else {
        wasm32::unreachable()
    };
    if bytes == 0 {
        return ptr::without_provenance_mut(align);
    }
    let pointer = if old_bytes == 0 {
        // SAFETY: the size is not 0.
        unsafe { alloc(layout) }
    } else {
        let Ok(old_layout) = Layout::from_size_align(old_bytes, align) else {
            wasm32::unreachable()
        };
        // SAFETY: by the canonical ABI `old` came from here with these bytes and this alignment.
        unsafe { realloc(old, old_layout, bytes) }
    };
    if pointer.is_null() {
        handle_alloc_error(layout);
    }
    pointer
}

/// Says where, then ends the call. The text of a panic is left out: it may hold what must not be
/// logged.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    // Without memory the line cannot be written either.
    if let Some(location) = info.location()
        && !PANICKED.swap(true, Relaxed)
    {
        let mut line = String::from("the plugin panicked at ");
        line.push_str(location.file());
        line.push(':');
        time::push(&mut line, location.line().into(), 1);
        log::write(Level::Error, &line);
    }
    wasm32::unreachable()
}
