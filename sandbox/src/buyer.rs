//! What a buyer does on a provider's page, and how the browser comes back to the merchant.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Buyer {
    Approve,
    Decline,
    /// Goes away without a decision.
    Abandon,
}

/// How the browser is sent back.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SentBack {
    /// `POST` a form with the fields, or `GET` the URL, which then has the fields in its query.
    pub(crate) method: &'static str,
    /// Null where the merchant gave no address: the buyer stays on the provider's page.
    pub(crate) url: Option<String>,
    pub(crate) fields: Map<String, Value>,
    /// What was acted on, as the provider's API shows it.
    pub(crate) object: Value,
}
