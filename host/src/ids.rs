//! New ids: UUID version 7, in order even within one millisecond of one process.

use uuid::Uuid;

/// The next one.
#[must_use]
pub(crate) fn next() -> Uuid {
    Uuid::now_v7()
}
