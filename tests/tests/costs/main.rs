//! Counts that stand for what a request costs: unlike times they are the same on every machine, so
//! that a change which makes requests dearer is seen here and not in a benchmark a month later.
//!
//! Each limit is what was counted when it was last set, plus a margin; the numbers are in
//! `docs/performance.md`. A count far below its limit fails too: then the limit is to be lowered.

mod call;
mod counting;
mod guest;
mod statements;
mod webhook;
mod write;

/// Holds a count against its limit: not above, and not so far below that the limit is none.
#[track_caller]
fn within(what: &str, count: u64, limit: u64) {
    println!("{what}: {count}, {limit} at most");
    assert!(count <= limit, "{what}: {count}, and {limit} at most");
    assert!(
        count * 2 >= limit,
        "{what}: {count}; lower the limit of {limit}, so that it stays that way"
    );
}
