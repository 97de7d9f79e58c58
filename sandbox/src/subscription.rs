//! Steering the billing of subscriptions.

use serde::Deserialize;

/// How the charge of a billing cycle ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Charge {
    Succeed,
    Fail,
}
