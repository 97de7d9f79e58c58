//! Which account a connection stands for, and whether its credentials work.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::context;
use onerouter_plugin::failure;
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::url::Url;

use crate::bindings::exports::onerouter::account::account_check::Account;
use crate::refusal;

/// Scheme and host of every request.
pub(crate) const HOST: &str = "https://api.twilio.com";

const ACCOUNTS: &str = "https://api.twilio.com/2010-04-01/Accounts";

/// Reads the newest message: the cheapest read that the messaging resources have.
pub(crate) fn check() -> Result<Account, CallError> {
    let url = account_url()
        .segment("Messages.json")
        .query("PageSize", "1");
    let answer = authenticated(Request::get(url))
        .send()
        .map_err(failure::after_read)?;
    Ok(Account {
        provider_id: context::credential("account_sid"),
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
    match refusal::after_read(answer) {
        // Test credentials are right, but may only create; a restricted API key can be alike.
        CallError::Declined(failure) if failure.code == "permission_denied" => Ok(alloc::vec![
            "These credentials may not read messages, as Twilio's test credentials: statuses are not updated, and lost answers are not found again.".to_owned()
        ]),
        error => Err(error),
    }
}

/// `…/Accounts/{sid}`.
pub(crate) fn account_url() -> Url {
    Url::new(ACCOUNTS).segment(&context::credential("account_sid").unwrap_or_default())
}

/// Attaches the API key where the connection has one, else the account's auth token, and asks for
/// the headers that errors are read from.
pub(crate) fn authenticated(request: Request) -> Request {
    let profile = match context::credential("api_key_sid") {
        Some(_) => "api_key",
        None => "auth_token",
    };
    request.auth(profile).want("retry-after")
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
    fn credentials_that_may_not_read_are_right() {
        let test = r#"{"code":20008,"message":"Resource not accessible with Test Account Credentials","status":403}"#;
        assert_eq!(warnings(&answer(403, test)).unwrap().len(), 1);
        assert_eq!(warnings(&answer(403, "{}")).unwrap().len(), 1);
        assert!(warnings(&answer(200, "{}")).unwrap().is_empty());
    }

    #[test]
    fn refused_credentials_are_told_from_a_fault_of_the_provider() {
        let refused = warnings(&answer(401, r#"{"code":20003,"message":"Authenticate"}"#));
        assert!(matches!(refused, Err(CallError::Unauthorized(_))));
        let closed = warnings(&answer(
            403,
            r#"{"code":20005,"message":"Account not active"}"#,
        ));
        assert!(matches!(closed, Err(CallError::Declined(_))));
        let broken = warnings(&answer(503, ""));
        assert!(matches!(broken, Err(CallError::NotSent(_))));
    }
}
