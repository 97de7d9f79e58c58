//! Who may publish, and with which tokens.

use chrono::{DateTime, Utc};
use sqlx::Error;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, Tx, execute, fetch_all, fetch_optional, signed};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct AccountRow {
    pub(in crate::server) id: Uuid,
    pub(in crate::server) name: String,
    pub(in crate::server) blob_bytes_max: u64,
    pub(in crate::server) names_max: u64,
    pub(in crate::server) created_at: DateTime<Utc>,
    pub(in crate::server) suspended_at: Option<DateTime<Utc>>,
}

impl FromColumns for AccountRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.uuid("id")?,
            name: row.text("name")?,
            blob_bytes_max: row.count("blob_bytes_max")?,
            names_max: row.count("names_max")?,
            created_at: row.time("created_at")?,
            suspended_at: row.optional_time("suspended_at")?,
        })
    }
}

/// A token, without what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct TokenRow {
    pub(in crate::server) id: Uuid,
    pub(in crate::server) account_id: Uuid,
    pub(in crate::server) label: String,
    pub(in crate::server) expires_at: Option<DateTime<Utc>>,
    pub(in crate::server) revoked_at: Option<DateTime<Utc>>,
    pub(in crate::server) created_at: DateTime<Utc>,
}

impl FromColumns for TokenRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.uuid("id")?,
            account_id: row.uuid("account_id")?,
            label: row.text("label")?,
            expires_at: row.optional_time("expires_at")?,
            revoked_at: row.optional_time("revoked_at")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Tx {
    /// False when there is one of that name.
    pub(in crate::server) async fn insert_account(
        &mut self,
        account: &AccountRow,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "insert into registry_accounts (id, name, blob_bytes_max, names_max, created_at)
             values ($1, $2, $3, $4, $5)
             on conflict (name) do nothing",
            [
                account.id,
                &account.name,
                signed(account.blob_bytes_max),
                signed(account.names_max),
                account.created_at
            ]
        )
        .map(|rows| rows == 1)
    }

    pub(in crate::server) async fn find_account(
        &mut self,
        id: Uuid,
    ) -> Result<Option<AccountRow>, Error> {
        fetch_optional!(
            self,
            "select id, name, blob_bytes_max, names_max, created_at, suspended_at
             from registry_accounts where id = $1",
            [id]
        )
    }

    /// False when there is no such account.
    pub(in crate::server) async fn set_suspended(
        &mut self,
        id: Uuid,
        at: Option<DateTime<Utc>>,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "update registry_accounts set suspended_at = $2 where id = $1",
            [id, at]
        )
        .map(|rows| rows == 1)
    }

    /// Makes everybody else who wants to keep something for this account wait until this transaction
    /// is over.
    pub(in crate::server) async fn lock_account(&mut self, id: Uuid) -> Result<(), Error> {
        execute!(
            self,
            "update registry_accounts set names_max = names_max where id = $1",
            [id]
        )
        .map(|_rows| ())
    }

    pub(in crate::server) async fn find_account_by_name(
        &mut self,
        name: &str,
    ) -> Result<Option<AccountRow>, Error> {
        fetch_optional!(
            self,
            "select id, name, blob_bytes_max, names_max, created_at, suspended_at
             from registry_accounts where name = $1",
            [name]
        )
    }

    pub(in crate::server) async fn list_accounts(&mut self) -> Result<Vec<AccountRow>, Error> {
        fetch_all!(
            self,
            "select id, name, blob_bytes_max, names_max, created_at, suspended_at
             from registry_accounts order by name",
            []
        )
    }

    pub(in crate::server) async fn insert_token(
        &mut self,
        token: &TokenRow,
        hash: &[u8],
    ) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_tokens (id, account_id, label, hash, expires_at, created_at)
             values ($1, $2, $3, $4, $5, $6)",
            [
                token.id,
                token.account_id,
                &token.label,
                hash,
                token.expires_at,
                token.created_at
            ]
        )
        .map(|_rows| ())
    }

    pub(in crate::server) async fn find_token(
        &mut self,
        hash: &[u8],
    ) -> Result<Option<TokenRow>, Error> {
        fetch_optional!(
            self,
            "select id, account_id, label, expires_at, revoked_at, created_at
             from registry_tokens where hash = $1",
            [hash]
        )
    }

    pub(in crate::server) async fn list_tokens(
        &mut self,
        account: Uuid,
    ) -> Result<Vec<TokenRow>, Error> {
        fetch_all!(
            self,
            "select id, account_id, label, expires_at, revoked_at, created_at
             from registry_tokens where account_id = $1 order by created_at",
            [account]
        )
    }

    /// False when there is no such token, or it was revoked before.
    pub(in crate::server) async fn revoke_token(
        &mut self,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "update registry_tokens set revoked_at = $2 where id = $1 and revoked_at is null",
            [id, at]
        )
        .map(|rows| rows == 1)
    }
}
