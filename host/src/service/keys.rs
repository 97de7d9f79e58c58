//! API keys of a tenant: made, listed, rolled, revoked.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, TenantId};
use onerouter_domain::time;
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{self, Change};
use super::authentication::unavailable;
use super::caller::{ALL_SCOPES, Operator, Rate};
use super::changes::Changes;
use super::refusal::Refusal;
use crate::api_key::ApiKey;
use crate::clock::Clock;
use crate::ids;
use crate::store::{ApiKeyRow, NewApiKey};
use crate::store::{Store, StoreError, TenantTx};

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
    /// From where it may be used; from anywhere where nothing is said.
    pub allowed_ips: Option<Vec<IpNet>>,
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
    changes: Arc<Changes>,
}

impl Keys {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, changes: Arc<Changes>) -> Self {
        Self {
            store,
            clock,
            changes,
        }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn create(&self, operator: &Operator, new: CreateKey) -> Result<CreatedKey, Refusal> {
        let failed = |error| unavailable("cannot make an API key", &error);
        let key = ApiKey::generate(new.environment);
        let row = self.row(&key, new);
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
        tx.insert_api_key(&row).await.map_err(failed)?;
        let stored = tx.find_api_key(row.id).await.map_err(failed)?;
        let row = stored.ok_or_else(|| Refusal::not_found("API key"))?;
        let change = change("api_key.created", row.id, None, Some(&row));
        audit::record(&mut tx, operator, change, row.created_at)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
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
            allowed_ips: new.allowed_ips,
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
    pub async fn revoke(&self, operator: &Operator, id: ApiKeyId) -> Result<ApiKeyRow, Refusal> {
        let failed = |error| unavailable("cannot revoke an API key", &error);
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
        let before = tx.find_api_key(id).await.map_err(failed)?;
        let before = before.ok_or_else(|| Refusal::not_found("API key"))?;
        self.revoke_in(&mut tx, operator, &before)
            .await
            .map_err(failed)?;
        let row = tx.find_api_key(id).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        self.changes.note(operator.tenant);
        row.ok_or_else(|| Refusal::not_found("API key"))
    }

    /// Ends a key; `false` when it has ended before.
    async fn revoke_in(
        &self,
        tx: &mut TenantTx,
        operator: &Operator,
        before: &ApiKeyRow,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if !tx.revoke_api_key(before.id, now).await? {
            return Ok(false);
        }
        let after = ApiKeyRow {
            revoked_at: Some(now),
            ..before.clone()
        };
        let change = change("api_key.revoked", before.id, Some(before), Some(&after));
        audit::record(tx, operator, change, now).await?;
        Ok(true)
    }

    /// Ends every key of a tenant at once: nobody can act for it any more. Its data stays. Tells how
    /// many there were.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn revoke_all(&self, operator: &Operator) -> Result<usize, Refusal> {
        let failed = |error| unavailable("cannot revoke a tenant's API keys", &error);
        let mut revoked = 0_usize;
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
        let mut before = None;
        loop {
            let page = tx.list_api_keys(before, PAGE).await.map_err(failed)?;
            for key in &page {
                let is_changed = self
                    .revoke_in(&mut tx, operator, key)
                    .await
                    .map_err(failed)?;
                revoked = revoked.saturating_add(usize::from(is_changed));
            }
            before = page.last().map(|key| key.id);
            if before.is_none() {
                break;
            }
        }
        tx.commit().await.map_err(failed)?;
        self.changes.note(operator.tenant);
        Ok(revoked)
    }

    /// Makes a key in the place of another, which works on for `overlap`.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` for a key that was revoked or has expired.
    pub async fn roll(
        &self,
        operator: &Operator,
        id: ApiKeyId,
        overlap: TimeDelta,
    ) -> Result<CreatedKey, Refusal> {
        let failed = |error| unavailable("cannot roll an API key", &error);
        let now = self.clock.now();
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
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
                allowed_ips: old.allowed_ips.clone(),
            },
        );
        tx.insert_api_key(&row).await.map_err(failed)?;
        // At once is no time: by another node's clock it may still be to come.
        let is_at_once = overlap.is_zero();
        let ends = now + overlap;
        let ends = old.expires_at.map_or(ends, |expires| expires.min(ends));
        let was_live = if is_at_once {
            tx.revoke_api_key(id, now).await
        } else {
            tx.set_api_key_expiry(id, Some(ends)).await
        };
        if !was_live.map_err(failed)? {
            // Revoked in this very moment: the new key would outlive the decision.
            return Err(Refusal::new(
                ErrorCode::InvalidState,
                "This key was revoked meanwhile; create a new one.",
            ));
        }
        let stored = tx.find_api_key(row.id).await.map_err(failed)?;
        let row = stored.ok_or_else(|| Refusal::not_found("API key"))?;
        let ending = if is_at_once {
            ApiKeyRow {
                revoked_at: Some(now),
                ..old.clone()
            }
        } else {
            ApiKeyRow {
                expires_at: Some(ends),
                ..old.clone()
            }
        };
        for change in [
            change("api_key.rolled", id, Some(&old), Some(&ending)),
            change("api_key.created", row.id, None, Some(&row)),
        ] {
            audit::record(&mut tx, operator, change, now)
                .await
                .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        self.changes.note(operator.tenant);
        Ok(CreatedKey { key, row })
    }
}

/// A key's change, as the audit log tells it.
fn change(
    action: &'static str,
    id: ApiKeyId,
    before: Option<&ApiKeyRow>,
    after: Option<&ApiKeyRow>,
) -> Change {
    Change {
        action,
        target: id.to_string(),
        before: before.map(shown),
        after: after.map(shown),
    }
}

fn shown(row: &ApiKeyRow) -> Value {
    let rate = row.rate_per_second.zip(row.rate_burst);
    json!({
        "name": row.name,
        "environment": row.environment,
        "scopes": row.scopes,
        "last4": row.last4,
        "rate_limit": rate.map(|(per_second, burst)| json!({"per_second": per_second, "burst": burst})),
        "allowed_ips": row.allowed_ips.as_ref().map(|networks| {
            networks.iter().map(IpNet::to_string).collect::<Vec<_>>()
        }),
        "expires_at": row.expires_at.map(time::to_text),
        "revoked_at": row.revoked_at.map(time::to_text),
    })
}
