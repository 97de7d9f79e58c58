//! New ids: UUID version 7, in order even within one millisecond of one process. They begin with the
//! time at which they were made.

use chrono::{DateTime, Utc};
use onerouter_domain::time;
use uuid::Uuid;

/// The next one.
#[must_use]
pub(crate) fn next() -> Uuid {
    Uuid::now_v7()
}

/// No id of this time or later is smaller, none of before is greater.
#[must_use]
pub(crate) fn first_of(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(time::to_millis(at)) << 80)
}
