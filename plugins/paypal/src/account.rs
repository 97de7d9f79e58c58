//! Whether the credentials work.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;

use crate::api;
use crate::bindings::exports::onerouter::account::account_check::Account;

/// Reads the newest product: the cheapest read that names no object. Orders cannot be listed.
pub(crate) fn check() -> Result<Account, CallError> {
    let answer = api::read(api::url("/v1/catalogs/products").query("page_size", "1"));
    Ok(Account {
        provider_id: None,
        name: None,
        warnings: warnings(answer.err())?,
        extra: Vec::new(),
    })
}

/// What works only in part.
fn warnings(error: Option<CallError>) -> Result<Vec<String>, CallError> {
    match error {
        None => Ok(Vec::new()),
        // The token was accepted, so the credentials are right.
        Some(CallError::Declined(failure)) if failure.code == "permission_denied" => {
            Ok(alloc::vec![
                "This app may not use subscriptions: switch them on in its settings at PayPal, or leave plans and subscriptions alone.".to_owned()
            ])
        }
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::answer;
    use crate::refusal;

    fn checked(status: u16, body: &str) -> Result<Vec<String>, CallError> {
        warnings(Some(refusal::after_read(&answer(status, body))))
    }

    #[test]
    fn an_app_without_subscriptions_is_right() {
        let refused = r#"{"name":"NOT_AUTHORIZED","message":"m","details":[{"issue":"PERMISSION_DENIED","description":"d"}]}"#;
        assert_eq!(checked(403, refused).unwrap().len(), 1);
        assert!(warnings(None).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_client_is_told_from_a_fault_of_the_provider() {
        let client =
            r#"{"error":"invalid_client","error_description":"Client Authentication failed"}"#;
        assert!(matches!(
            checked(401, client),
            Err(CallError::Unauthorized(_))
        ));
        assert!(matches!(checked(503, ""), Err(CallError::NotSent(_))));
    }
}
