//! The accounts that exist here, and who may act for them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{StatusCode, header};
use serde_json::json;

use super::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, FROM_NUMBER, SECOND_FROM_NUMBER,
    TEST_ACCOUNT_SID, TEST_AUTH_TOKEN, error::TwilioError, number,
};
use crate::{call::Call, reply::Reply};

#[derive(Debug)]
pub(super) struct Account {
    pub(super) sid: &'static str,
    /// The primary one, which signs.
    pub(super) auth_token: &'static str,
    api_keys: &'static [(&'static str, &'static str)],
    pub(super) kind: Kind,
    pub(super) numbers: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Test,
}

/// An account and the credential that opened it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) account: &'static Account,
    by_api_key: bool,
}

static ACCOUNTS: [Account; 2] = [
    Account {
        sid: ACCOUNT_SID,
        auth_token: AUTH_TOKEN,
        api_keys: &[(API_KEY_SID, API_KEY_SECRET)],
        kind: Kind::Ordinary,
        numbers: &[FROM_NUMBER, SECOND_FROM_NUMBER, number::VALID_FROM],
    },
    Account {
        sid: TEST_ACCOUNT_SID,
        auth_token: TEST_AUTH_TOKEN,
        api_keys: &[],
        kind: Kind::Test,
        numbers: &[number::VALID_FROM],
    },
];

/// The one that has numbers of its own.
pub(super) fn ordinary() -> &'static Account {
    let [ordinary, _test] = &ACCOUNTS;
    ordinary
}

/// HTTP Basic: account SID and auth token, or API key SID and secret. These credentials are printed in
/// the manual, so comparing them needs no constant time.
pub(super) fn authenticate(call: &Call) -> Result<Access, TwilioError> {
    find(call).ok_or(TwilioError::of(20003))
}

fn find(call: &Call) -> Option<Access> {
    let (scheme, credentials) = call
        .header(header::AUTHORIZATION.as_str())?
        .split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = credentials.split_once(':')?;
    ACCOUNTS.iter().find_map(|account| {
        if (account.sid, account.auth_token) == (user, password) {
            return Some(Access {
                account,
                by_api_key: false,
            });
        }
        account
            .api_keys
            .contains(&(user, password))
            .then_some(Access {
                account,
                by_api_key: true,
            })
    })
}

impl Account {
    pub(super) fn owns(&self, number: &str) -> bool {
        self.numbers.contains(&number)
    }

    /// Who sends for the Messaging Service.
    pub(super) fn pool_sender(&self) -> &'static str {
        self.numbers.first().copied().unwrap_or(number::VALID_FROM)
    }
}

impl Access {
    /// The Account resource. A standard API key may not read it. The answer holds the auth token, as
    /// the real one does: a client that stores answers has to take care.
    pub(super) fn account_reply(self) -> Result<Reply, TwilioError> {
        if self.by_api_key {
            return Err(TwilioError::of(20003));
        }
        let Account {
            sid, auth_token, ..
        } = self.account;
        let uri = format!("/2010-04-01/Accounts/{sid}");
        Ok(Reply::json(
            StatusCode::OK,
            &json!({
                "auth_token": auth_token,
                "date_created": "Thu, 30 Jul 2015 20:00:00 +0000",
                "date_updated": "Thu, 30 Jul 2015 20:00:00 +0000",
                "friendly_name": "Sandbox account",
                "owner_account_sid": sid,
                "sid": sid,
                "status": "active",
                "subresource_uris": { "messages": format!("{uri}/Messages.json") },
                "type": "Full",
                "uri": format!("{uri}.json"),
            }),
        ))
    }
}
