//! From the text of an API key to a caller, and from an operator's token to its right.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::{ApiKeyId, TenantId};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::audit::Actor;
use super::caller::{Caller, Operator, Rate};
use super::changes::{Changes, Remembered};
use super::limits::{RATE_BURST, RATE_PER_SECOND};
use super::refusal::Refusal;
use crate::api_key::ApiKey;
use crate::clock::Clock;
use crate::store::DEFAULT_TENANT;
use crate::store::{ApiKeyRow, KeyUse};
use crate::store::{Store, StoreError};

/// Keys that are remembered, right and wrong ones.
const KEYS_MAX: u64 = 100_000;

/// Answers who a request comes from.
#[derive(Debug)]
pub struct Authentication {
    store: Store,
    clock: Clock,
    admin_token: Option<SecretString>,
    /// By the key's hash.
    keys: Remembered<[u8; 32], Option<Arc<ApiKeyRow>>>,
    uses: Mutex<HashMap<ApiKeyId, KeyUse>>,
}

/// Proof that a request carried the operator's token.
#[derive(Debug, Clone, Copy)]
pub struct OperatorToken(());

impl Authentication {
    /// No key is known yet.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        changes: Arc<Changes>,
        admin_token: Option<SecretString>,
    ) -> Self {
        // Who tries keys that nobody has is nobody.
        let owner = |_: &[u8; 32], row: &Option<Arc<ApiKeyRow>>| Some(row.as_ref()?.tenant_id);
        Self {
            store,
            clock,
            admin_token,
            keys: Remembered::new(changes, KEYS_MAX, owner),
            uses: Mutex::default(),
        }
    }

    /// The caller behind an `Authorization` header, at this address.
    ///
    /// # Errors
    /// `invalid_api_key`, `insufficient_scope` for a key that is not to be used from there, or the
    /// database cannot be reached.
    pub async fn caller(
        &self,
        authorization: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        let Some(text) = authorization.and_then(bearer) else {
            return Err(unauthorized(
                "Send your API key: Authorization: Bearer unf_test_… or unf_live_….",
            ));
        };
        let key = ApiKey::parse(text)
            .map_err(|error| unauthorized(format!("The API key is not valid: {error}.")))?;
        let hash = key.hash();
        let found = self.keys.get(hash, || self.find(hash)).await;
        let found = found.map_err(|error| unavailable("cannot look up an API key", &error))?;
        let row = found
            .filter(|row| row.environment == key.environment())
            .ok_or_else(|| unauthorized("There is no such API key."))?;
        let now = self.clock.now();
        // Whenever that was, by the clock of the node that did it.
        if row.revoked_at.is_some() {
            return Err(unauthorized("This API key was revoked."));
        }
        if row.expires_at.is_some_and(|at| at <= now) {
            return Err(unauthorized("This API key has expired."));
        }
        if let Some(allowed) = &row.allowed_ips
            && !address.is_some_and(|address| allowed.iter().any(|net| net.contains(&address)))
        {
            return Err(misplaced(address));
        }
        self.note_use(&row, now);
        Ok(Caller {
            tenant: row.tenant_id,
            environment: row.environment,
            key: row.id,
            scopes: row.scopes.as_slice().into(),
            rate: Rate {
                per_second: row.rate_per_second.unwrap_or(RATE_PER_SECOND),
                burst: row.rate_burst.unwrap_or(RATE_BURST),
            },
        })
    }

    async fn find(&self, hash: [u8; 32]) -> Result<Option<Arc<ApiKeyRow>>, StoreError> {
        Ok(self.store.find_api_key_by_hash(&hash).await?.map(Arc::new))
    }

    /// Whether an `Authorization` header carries the operator's token.
    ///
    /// # Errors
    /// `invalid_api_key`.
    pub fn operator_token(&self, authorization: Option<&str>) -> Result<OperatorToken, Refusal> {
        let Some(expected) = &self.admin_token else {
            return Err(unauthorized(
                "Management calls need an operator token; set ONEROUTER_ADMIN_TOKEN.",
            ));
        };
        let sent = authorization.and_then(bearer).unwrap_or_default();
        // Hashes have one length, so the comparison tells nothing about the token's.
        let matches = Sha256::digest(sent).ct_eq(&Sha256::digest(expected.expose_secret()));
        if bool::from(matches) {
            Ok(OperatorToken(()))
        } else {
            Err(unauthorized(
                "Send the operator token: Authorization: Bearer ….",
            ))
        }
    }

    /// The operator, for a tenant or the default one.
    ///
    /// # Errors
    /// `not_found` for a tenant that does not exist.
    pub async fn operator(
        &self,
        _token: OperatorToken,
        tenant: Option<TenantId>,
        actor: Actor,
    ) -> Result<Operator, Refusal> {
        let tenant = tenant.unwrap_or(DEFAULT_TENANT);
        let found = self.store.find_tenant(tenant).await;
        match found.map_err(|error| unavailable("cannot look up a tenant", &error))? {
            Some(row) => Ok(Operator {
                tenant: row.id,
                actor,
            }),
            None => Err(Refusal::not_found("tenant")),
        }
    }

    fn note_use(&self, row: &ApiKeyRow, at: DateTime<Utc>) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert(
            row.id,
            KeyUse {
                tenant_id: row.tenant_id,
                id: row.id,
                at,
            },
        );
    }

    /// Writes when keys were last used, all since the last time in one go.
    ///
    /// # Errors
    /// The database cannot be reached; the uses are kept for the next time.
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        let uses: Vec<KeyUse> = {
            let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.drain().map(|(_, key_use)| key_use).collect()
        };
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.store.touch_api_keys(&uses).await;
        if written.is_err() {
            let mut kept = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            for key_use in uses {
                kept.entry(key_use.id).or_insert(key_use);
            }
        }
        written
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn misplaced(address: Option<IpAddr>) -> Refusal {
    let from = address.map_or_else(|| "there".to_owned(), |address| address.to_string());
    Refusal::new(
        ErrorCode::InsufficientScope,
        format!("This API key may not be used from {from}."),
    )
}

fn unauthorized(detail: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidApiKey, detail)
}

pub(crate) fn unavailable(during: &str, error: &StoreError) -> Refusal {
    match error {
        StoreError::Unavailable { .. } => {
            tracing::error!(error = %error, "{during}");
            Refusal::new(
                ErrorCode::Overloaded,
                "The gateway cannot reach its database; nothing was sent. Try again.",
            )
            .retry_after(1)
        }
        _ => Refusal::internal(during, error),
    }
}
