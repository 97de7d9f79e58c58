//! `POST /v1/notifications/verify-webhook-signature`

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    super::{State, error::PaypalError, outcome::Outcome},
    transmission::{ALGORITHM, message},
};
use crate::{call::Call, lock};

#[derive(Deserialize)]
struct Question<'a> {
    auth_algo: String,
    cert_url: String,
    transmission_id: String,
    transmission_sig: String,
    transmission_time: String,
    webhook_id: String,
    /// Its bytes count, not what they mean: who writes the event anew gets another checksum.
    #[serde(borrow)]
    webhook_event: &'a RawValue,
}

/// A signature that does not hold is an answer, not an error.
pub(in super::super) fn verify(state: &State, call: &Call) -> Result<Outcome, PaypalError> {
    let question: Question<'_> = serde_json::from_slice(&call.body).map_err(|error| {
        let issue = match error.classify() {
            serde_json::error::Category::Data => "MISSING_REQUIRED_PARAMETER",
            _ => "MALFORMED_REQUEST_JSON",
        };
        PaypalError::issue(issue).at("/")
    })?;
    let verdict = if holds(state, &question) {
        "SUCCESS"
    } else {
        "FAILURE"
    };
    Ok(Outcome::Shown(json!({ "verification_status": verdict })))
}

fn holds(state: &State, question: &Question<'_>) -> bool {
    let signed = message(
        &question.transmission_id,
        &question.transmission_time,
        &question.webhook_id,
        question.webhook_event.get().as_bytes(),
    );
    // One message has one such signature, so making it again is a way to check it. Nothing is secret
    // here: no need for constant time.
    let is_signature = || {
        let expected = state.identity.sign(&signed)?;
        Some(STANDARD.encode(expected) == question.transmission_sig)
    };
    question.auth_algo == ALGORITHM
        && lock(&state.notifications)
            .webhooks
            .has(&question.webhook_id)
        && state.identity.url().as_deref() == Some(question.cert_url.as_str())
        && is_signature() == Some(true)
}
