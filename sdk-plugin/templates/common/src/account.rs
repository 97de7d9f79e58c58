//! Whether the credentials work.

use onerouter_plugin::prelude::*;

use crate::api;
use crate::bindings::account_check::Account;

/// `GET /v1/account`: `{"id": …, "name": …}`
pub(crate) fn check() -> Result<Account, CallError> {
    let answer = api::read(api::url("account"))?;
    account(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

fn account(answer: &Answer) -> Option<Account> {
    let account = answer.object()?;
    Some(Account {
        provider_id: Some(account.text("id")?),
        name: account.text("name"),
        warnings: Vec::new(),
        extra: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_an_id_and_perhaps_a_name() {
        let named = account(&api::answer(200, r#"{"id":"acc_1","name":"Ada"}"#)).unwrap();
        assert_eq!(named.provider_id.as_deref(), Some("acc_1"));
        assert_eq!(named.name.as_deref(), Some("Ada"));
        assert!(account(&api::answer(200, r#"{"name":"Ada"}"#)).is_none());
        assert!(account(&api::answer(200, "<html>")).is_none());
    }
}
