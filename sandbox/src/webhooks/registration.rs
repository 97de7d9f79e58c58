//! Setting webhooks up without a provider's dashboard, for all providers alike.

use serde::{Deserialize, Serialize};

use super::TargetError;

/// Where a provider is to send its events; what `POST /_sandbox/webhooks` takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    pub provider: String,
    /// The account, by the id that the provider's credentials have; absent is the ordinary one.
    #[serde(default)]
    pub account: Option<String>,
    pub url: String,
    /// Absent: the provider makes one. Twilio and PayPal sign with what they have anyway.
    #[serde(default)]
    pub secret: Option<String>,
    /// Absent: all of them.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// Twilio: only this number of the account.
    #[serde(default)]
    pub number: Option<String>,
}

/// What is to change of a webhook; absent fields stay.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    #[serde(default)]
    pub url: Option<String>,
    /// What was posted before stays signed with the secret of then.
    #[serde(default)]
    pub secret: Option<String>,
    #[serde(default)]
    pub events: Option<Vec<String>>,
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// A webhook as it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// The provider's id of it. PayPal's goes into what is signed.
    pub id: String,
    pub provider: &'static str,
    pub account: &'static str,
    pub url: String,
    /// What the signatures are made with: the secret, or the auth token of Twilio's account. PayPal has
    /// none, Razorpay may.
    pub secret: Option<String>,
    pub events: Vec<String>,
    /// False after too many failures, until it is enabled again.
    pub enabled: bool,
}

/// Why a webhook, or an inbound message, was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebhookError(pub(crate) String);

impl From<TargetError> for WebhookError {
    fn from(error: TargetError) -> WebhookError {
        WebhookError(error.to_string())
    }
}

impl WebhookError {
    pub(crate) fn new(why: impl Into<String>) -> WebhookError {
        WebhookError(why.into())
    }
}

/// The events asked for, or all; refuses what the provider does not know.
pub(crate) fn pick_events(
    asked: Option<&[String]>,
    known: &[&'static str],
) -> Result<Vec<&'static str>, WebhookError> {
    let Some(asked) = asked else {
        return Ok(known.to_vec());
    };
    if asked.is_empty() {
        return Err(WebhookError::new("at least one event"));
    }
    let find = |name: &String| {
        let found = known.iter().find(|known| *known == name);
        found.copied().ok_or_else(|| {
            WebhookError::new(format!("{name:?} is no event; known: {}", known.join(", ")))
        })
    };
    asked.iter().map(find).collect()
}
