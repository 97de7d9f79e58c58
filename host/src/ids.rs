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

/// Another one, of the time of one that there is.
#[must_use]
pub(crate) fn at_time_of(other: Uuid) -> Uuid {
    const TIME_AND_VERSION: u128 = !0 << 76;
    const VARIANT: u128 = 0b11 << 62;
    let random = rand::random::<u128>() & !(TIME_AND_VERSION | VARIANT);
    Uuid::from_u128(other.as_u128() & TIME_AND_VERSION | 0b10 << 62 | random)
}

/// No id of this time or later is smaller, none of before is greater.
#[must_use]
pub(crate) fn first_of(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(time::to_millis(at)) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_anothers_time_is_one_of_its_own() {
        let event = next();
        let (one, other) = (at_time_of(event), at_time_of(event));
        assert_ne!(one, other);
        for id in [one, other] {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
            assert_eq!(id.get_timestamp(), event.get_timestamp());
        }
    }
}
