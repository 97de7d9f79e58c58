//! HTTP Basic with the key id and the key secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header;

use super::{
    KEY_ID, KEY_SECRET,
    error::{RazorpayError, Shape},
};
use crate::call::Call;

/// The scheme must be exactly `Basic`: `basic` and `BASIC` are documented as refused. The key is
/// printed in the manual, so comparing it needs no constant time.
pub(super) fn authenticate(call: &Call) -> Result<(), RazorpayError> {
    // Some pages show a failed authentication without any further member.
    let failed = || RazorpayError::unauthorized(Shape::Bare, "Authentication failed");
    let (id, secret) = credentials(call).ok_or_else(failed)?;
    if id != KEY_ID {
        return Err(RazorpayError::unauthorized(
            Shape::NotApplicable,
            "The api key provided is invalid",
        ));
    }
    if secret != KEY_SECRET {
        return Err(RazorpayError::unauthorized(
            Shape::NotApplicable,
            "The api secret provided is invalid",
        ));
    }
    Ok(())
}

fn credentials(call: &Call) -> Option<(String, String)> {
    let encoded = call
        .header(header::AUTHORIZATION.as_str())?
        .strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
