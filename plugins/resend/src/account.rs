//! How requests are made, and whether the key works.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::failure;
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::url::Url;

use crate::bindings::exports::onerouter::account::account_check::Account;
use crate::refusal;

/// Everything happens below this.
pub(crate) const EMAILS: &str = "https://api.resend.com/emails";

/// Resend's edge answers 403 with "error code: 1010" to a request without one, before it looks at
/// the key.
const USER_AGENT: &str = concat!("onerouter-resend/", env!("CARGO_PKG_VERSION"));

/// Reads the newest e-mail: the cheapest read below `/emails`.
pub(crate) fn check() -> Result<Account, CallError> {
    let answer = authenticated(Request::get(Url::new(EMAILS).query("limit", "1")))
        .send()
        .map_err(failure::after_read)?;
    Ok(Account {
        provider_id: None,
        name: None,
        warnings: warnings(&answer)?,
        extra: Vec::new(),
    })
}

/// What works only in part.
fn warnings(answer: &Answer) -> Result<Vec<String>, CallError> {
    if answer.is_success() {
        return Ok(Vec::new());
    }
    if refusal::name(answer).as_deref() == Some(refusal::SENDING_ONLY) {
        return Ok(alloc::vec![
            "This key may send but not read or cancel: statuses come by webhook only.".to_owned()
        ]);
    }
    Err(refusal::after_read(answer))
}

/// What every request carries.
pub(crate) fn authenticated(request: Request) -> Request {
    request
        .auth("api_key")
        .header("User-Agent", USER_AGENT)
        .want("retry-after")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    #[test]
    fn a_key_that_may_only_send_is_right() {
        let restricted = r#"{"statusCode":401,"name":"restricted_api_key","message":"This API key is restricted to only send emails"}"#;
        assert_eq!(warnings(&answer(401, restricted)).unwrap().len(), 1);
        assert!(warnings(&answer(200, "{}")).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_key_is_told_from_a_fault_of_the_provider() {
        for (status, name) in [(401, "missing_api_key"), (403, "invalid_api_key")] {
            let body = alloc::format!(r#"{{"statusCode":{status},"name":"{name}","message":"m"}}"#);
            let refused = warnings(&answer(status, &body));
            assert!(matches!(refused, Err(CallError::Unauthorized(_))), "{name}");
        }
        let broken = warnings(&answer(500, ""));
        assert!(matches!(broken, Err(CallError::NotSent(_))));
    }
}
