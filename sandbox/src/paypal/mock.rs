//! `PayPal-Mock-Response`: negative testing, as PayPal's own sandbox has it.

use serde_json::Value;

use super::error::PaypalError;
use crate::call::Call;

const HEADER: &str = "paypal-mock-response";

/// The error that the header asks for. One that cannot be read is refused, so that a test does not pass
/// for the wrong reason.
pub(super) fn refused(call: &Call) -> Result<(), PaypalError> {
    let Some(header) = call.header(HEADER) else {
        return Ok(());
    };
    let json: Option<Value> = serde_json::from_str(header).ok();
    let codes = json
        .as_ref()
        .and_then(|json| json.get("mock_application_codes"));
    let code = match codes {
        Some(Value::Array(codes)) => codes.first().and_then(Value::as_str),
        Some(code) => code.as_str(),
        None => None,
    };
    Err(match code {
        Some(code) => PaypalError::named(code, None),
        None => PaypalError::issue("INVALID_PARAMETER_SYNTAX").value(header),
    })
}
