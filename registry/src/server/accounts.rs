//! Accounts of publishers and their tokens. Operators make them; there is no sign-up.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::store::{AccountRow, TokenRow};
use super::{Registry, RegistryError};
use crate::digest::Digest;

/// So that a token is recognised wherever it turns up.
const PREFIX: &str = "orr_";
const NAME_CHARACTERS_MAX: usize = 40;

/// A publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// Its name, which is shown beside its plugins.
    pub name: String,
    /// How much it may keep.
    pub blob_bytes_max: u64,
    /// How many names it may have.
    pub names_max: u64,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing any more.
    pub suspended_at: Option<DateTime<Utc>>,
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            blob_bytes_max: row.blob_bytes_max,
            names_max: row.names_max,
            created_at: row.created_at,
            suspended_at: row.suspended_at,
        }
    }
}

/// A token, without what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id, by which it can be revoked.
    pub id: Uuid,
    /// What it is for.
    pub label: String,
    /// Until when it is good; none: until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            label: row.label,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            created_at: row.created_at,
        }
    }
}

/// A token to be made.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// What it is for.
    pub label: String,
    /// How long it is good.
    pub lifetime: Option<TimeDelta>,
}

/// What a publisher sends to be recognised. Shown once; only its hash is kept.
pub struct TokenSecret(SecretString);

impl TokenSecret {
    fn generate() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

/// Random enough that one hash suffices.
fn hash(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

impl Registry {
    /// Makes an account.
    ///
    /// # Errors
    /// The name is taken or is none, or the database failed.
    pub async fn create_account(&self, name: &str) -> Result<Account, RegistryError> {
        let shaped = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !shaped {
            return Err(RegistryError::Refused(format!(
                "\"{name}\" is no name of an account: 1 to {NAME_CHARACTERS_MAX} lower-case letters, digits and hyphens"
            )));
        }
        let account = AccountRow {
            id: self.new_id(),
            name: name.to_owned(),
            blob_bytes_max: self.limits().account_bytes_max,
            names_max: self.limits().account_names_max,
            created_at: self.now(),
            suspended_at: None,
        };
        let mut tx = self.0.store.write().await?;
        if !tx.insert_account(&account).await? {
            return Err(RegistryError::Refused(format!(
                "there is an account {name} already"
            )));
        }
        tx.commit().await?;
        Ok(account.into())
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, RegistryError> {
        let rows = self.0.store.read().await?.list_accounts().await?;
        Ok(rows.into_iter().map(Account::from).collect())
    }

    /// The account of this name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_account(&self, name: &str) -> Result<Option<Account>, RegistryError> {
        let row = self
            .0
            .store
            .read()
            .await?
            .find_account_by_name(name)
            .await?;
        Ok(row.map(Account::from))
    }

    /// Makes a token for an account.
    ///
    /// # Errors
    /// There is no such account, or the database failed.
    pub async fn create_token(
        &self,
        account: Uuid,
        new: NewToken,
    ) -> Result<(Token, TokenSecret), RegistryError> {
        let secret = TokenSecret::generate();
        let now = self.now();
        let token = TokenRow {
            id: self.new_id(),
            account_id: account,
            label: new.label,
            expires_at: new.lifetime.map(|lifetime| now + lifetime),
            revoked_at: None,
            created_at: now,
        };
        let mut tx = self.0.store.write().await?;
        if tx.find_account(account).await?.is_none() {
            return Err(RegistryError::Refused(
                "there is no such account".to_owned(),
            ));
        }
        tx.insert_token(&token, hash(secret.expose()).as_bytes())
            .await?;
        tx.commit().await?;
        Ok((token.into(), secret))
    }

    /// The tokens of an account, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_tokens(&self, account: Uuid) -> Result<Vec<Token>, RegistryError> {
        let rows = self.0.store.read().await?.list_tokens(account).await?;
        Ok(rows.into_iter().map(Token::from).collect())
    }

    /// Ends a token. False when there is none, or it was revoked before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_token(&self, token: Uuid) -> Result<bool, RegistryError> {
        let mut tx = self.0.store.write().await?;
        let revoked = tx.revoke_token(token, self.now()).await?;
        tx.commit().await?;
        Ok(revoked)
    }

    /// Whose token this is, if it is good.
    pub(super) async fn account_of(&self, token: &str) -> Result<Option<AccountRow>, sqlx::Error> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let mut tx = self.0.store.read().await?;
        let Some(row) = tx.find_token(hash(token).as_bytes()).await? else {
            return Ok(None);
        };
        let expired = row.expires_at.is_some_and(|at| at <= self.now());
        if expired || row.revoked_at.is_some() {
            return Ok(None);
        }
        tx.find_account(row.account_id).await
    }
}
