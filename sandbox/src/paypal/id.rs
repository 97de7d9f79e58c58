//! Identifiers in the shapes that PayPal's have.

use rand::RngExt as _;

const UPPER: &[u8] = b"0123456789ABCDEFGHJKLMNPRSTUVWXY";

/// Orders and everything that is paid: `5O190127TN364715T`.
pub(super) fn payment() -> String {
    random(17)
}

pub(super) fn product() -> String {
    format!("PROD-{}", random(17))
}

pub(super) fn plan() -> String {
    format!("P-{}", random(24))
}

pub(super) fn subscription() -> String {
    format!("I-{}", random(12))
}

/// What stands for a subscription on the buyer's page.
pub(super) fn consent() -> String {
    format!("BA-{}", random(17))
}

pub(super) fn access_token() -> String {
    format!("A21AA{}", random(92))
}

/// Of one answer.
pub(super) fn debug() -> String {
    format!("f{:012x}", rand::random::<u64>() >> 16)
}

fn random(length: usize) -> String {
    let mut random = rand::rng();
    (0..length)
        .filter_map(|_| UPPER.get(random.random_range(0..UPPER.len())))
        .map(|byte| char::from(*byte))
        .collect()
}
