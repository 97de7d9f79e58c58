//! How requests are made, and what every answer has in common.

use onerouter_plugin::prelude::*;

use crate::refusal;

/// Scheme, host and the part of the path that all requests share: what `outbound` in plugin.toml allows.
const BASE: &str = "https://api.example.com/v1";

/// The URL of a collection, to be followed by more segments. What comes from outside is a segment of its
/// own, so that it is encoded.
pub(crate) fn url(collection: &str) -> Url {
    Url::new(BASE).segment(collection)
}

/// Sends a request that only reads.
pub(crate) fn read(url: Url) -> Result<Answer, CallError> {
    let answer = Request::get(url)
        .auth("token")
        .want("retry-after")
        .send()
        .map_err(failure::after_read)?;
    if !answer.is_success() {
        let (ending, failure) = refusal::of(&answer);
        return Err(ending.after_read(failure));
    }
    Ok(answer)
}

/// Sends a request that may change something. The key is the same whenever this one is repeated: the
/// provider acts once.
pub(crate) fn write(url: Url, key: &str, body: String) -> Result<Answer, CallError> {
    let answer = Request::post(url)
        .auth("token")
        .header("Idempotency-Key", key)
        .json(body)
        .want("retry-after")
        .send()
        .map_err(failure::after_write)?;
    if !answer.is_success() {
        let (ending, failure) = refusal::of(&answer);
        return Err(ending.after_write(failure));
    }
    Ok(answer)
}

/// A complete answer, without a provider.
#[cfg(test)]
pub(crate) fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}
