//! API keys of a tenant: made, listed, rolled, revoked.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, TenantId};
use uuid::Uuid;

use super::authentication::{Authentication, unavailable};
use super::caller::{ALL_SCOPES, Rate};
use super::refusal::Refusal;
use crate::api_key::ApiKey;
use crate::clock::Clock;
use crate::ids;
use crate::store::Store;
use crate::store::{ApiKeyRow, NewApiKey};

/// The old key of a roll works for this long at most.
pub const OVERLAP_MAX: TimeDelta = TimeDelta::days(30);

/// Keys that are read at a time.
const PAGE: u32 = 100;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct CreateKey {
    /// For people.
    pub name: String,
    /// Which world it opens.
    pub environment: Environment,
    /// What it may do; everything where none are named.
    pub scopes: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// How often it may be used.
    pub rate: Option<Rate>,
}

/// A key that was just made: the only time it can be seen.
#[derive(Debug)]
pub struct CreatedKey {
    /// The whole key.
    pub key: ApiKey,
    /// What is stored.
    pub row: ApiKeyRow,
}

/// Makes and ends keys.
#[derive(Debug, Clone)]
pub struct Keys {
    store: Store,
    clock: Clock,
    authentication: Arc<Authentication>,
}

impl Keys {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, authentication: Arc<Authentication>) -> Self {
        Self {
            store,
            clock,
            authentication,
        }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn create(&self, tenant: TenantId, new: CreateKey) -> Result<CreatedKey, Refusal> {
        let failed = |error| unavailable("cannot make an API key", &error);
        let key = ApiKey::generate(new.environment);
        let row = self.row(&key, new);
        let mut tx = self.store.begin(tenant).await.map_err(failed)?;
        tx.insert_api_key(&row).await.map_err(failed)?;
        let stored = tx.find_api_key(row.id).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        let row = stored.ok_or_else(|| Refusal::not_found("API key"))?;
        Ok(CreatedKey { key, row })
    }

    fn row(&self, key: &ApiKey, new: CreateKey) -> NewApiKey {
        let scopes = new.scopes.unwrap_or_else(|| vec![ALL_SCOPES.to_owned()]);
        NewApiKey {
            id: ApiKeyId::from_uuid(ids::next()),
            environment: new.environment,
            name: new.name,
            hash: key.hash(),
            prefix: key.prefix().to_owned(),
            last4: key.last4().to_owned(),
            scopes,
            rate_per_second: new.rate.map(|rate| rate.per_second),
            rate_burst: new.rate.map(|rate| rate.burst),
            expires_at: new.expires_at,
            created_at: self.clock.now(),
        }
    }

    /// Keys, newest first; one more than `limit` tells whether there are more.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(
        &self,
        tenant: TenantId,
        limit: u16,
        before: Option<Uuid>,
    ) -> Result<Vec<ApiKeyRow>, Refusal> {
        let failed = |error| unavailable("cannot list API keys", &error);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        tx.list_api_keys(before.map(ApiKeyId::from_uuid), u32::from(limit) + 1)
            .await
            .map_err(failed)
    }

    /// Ends a key at once.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn revoke(&self, tenant: TenantId, id: ApiKeyId) -> Result<ApiKeyRow, Refusal> {
        let failed = |error| unavailable("cannot revoke an API key", &error);
        let mut tx = self.store.begin(tenant).await.map_err(failed)?;
        tx.revoke_api_key(id, self.clock.now())
            .await
            .map_err(failed)?;
        let row = tx.find_api_key(id).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        self.authentication.forget_keys();
        row.ok_or_else(|| Refusal::not_found("API key"))
    }

    /// Ends every key of a tenant at once: nobody can act for it any more. Its data stays. Tells how
    /// many there were.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn revoke_all(&self, tenant: TenantId) -> Result<usize, Refusal> {
        let failed = |error| unavailable("cannot revoke a tenant's API keys", &error);
        let now = self.clock.now();
        let mut revoked = 0_usize;
        let mut tx = self.store.begin(tenant).await.map_err(failed)?;
        let mut before = None;
        loop {
            let page = tx.list_api_keys(before, PAGE).await.map_err(failed)?;
            for key in &page {
                let is_changed = tx.revoke_api_key(key.id, now).await.map_err(failed)?;
                revoked = revoked.saturating_add(usize::from(is_changed));
            }
            before = page.last().map(|key| key.id);
            if before.is_none() {
                break;
            }
        }
        tx.commit().await.map_err(failed)?;
        self.authentication.forget_keys();
        Ok(revoked)
    }

    /// Makes a key in the place of another, which works on for `overlap`.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` for a key that was revoked or has expired.
    pub async fn roll(
        &self,
        tenant: TenantId,
        id: ApiKeyId,
        overlap: TimeDelta,
    ) -> Result<CreatedKey, Refusal> {
        let failed = |error| unavailable("cannot roll an API key", &error);
        let now = self.clock.now();
        let mut tx = self.store.begin(tenant).await.map_err(failed)?;
        let old = tx
            .find_api_key(id)
            .await
            .map_err(failed)?
            .ok_or_else(|| Refusal::not_found("API key"))?;
        let is_over =
            old.revoked_at.is_some() || old.expires_at.is_some_and(|expires| expires <= now);
        if is_over {
            return Err(Refusal::new(
                ErrorCode::InvalidState,
                "This key was revoked or has expired; create a new one.",
            ));
        }
        let key = ApiKey::generate(old.environment);
        let row = self.row(
            &key,
            CreateKey {
                name: old.name.clone(),
                environment: old.environment,
                scopes: Some(old.scopes.clone()),
                expires_at: old.expires_at,
                rate: old
                    .rate_per_second
                    .zip(old.rate_burst)
                    .map(|(per_second, burst)| Rate { per_second, burst }),
            },
        );
        tx.insert_api_key(&row).await.map_err(failed)?;
        let ends = now + overlap;
        let ends = old.expires_at.map_or(ends, |expires| expires.min(ends));
        let is_live = tx
            .set_api_key_expiry(id, Some(ends))
            .await
            .map_err(failed)?;
        if !is_live {
            // Revoked in this very moment: the new key would outlive the decision.
            return Err(Refusal::new(
                ErrorCode::InvalidState,
                "This key was revoked meanwhile; create a new one.",
            ));
        }
        let stored = tx.find_api_key(row.id).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        self.authentication.forget_keys();
        let row = stored.ok_or_else(|| Refusal::not_found("API key"))?;
        Ok(CreatedKey { key, row })
    }
}
