//! The audit log: who has changed what, from where. An entry is written in the transaction of the change
//! that it tells of, so that neither is there without the other.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use onerouter_domain::id::{ApiKeyId, AuditId, TenantId};
use serde_json::Value;

use super::authentication::unavailable;
use super::caller::Operator;
use super::refusal::Refusal;
use crate::ids;
use crate::store::{AuditFilter, AuditRow};
use crate::store::{Store, StoreError, TenantTx};

/// By what somebody has proven that they may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The operator's token.
    Token,
    /// Access to the database, on the command line.
    CommandLine,
    /// One of the tenant's API keys.
    ApiKey(ApiKeyId),
    /// Nobody has asked: the gateway does it by itself.
    Gateway,
}

impl fmt::Display for Proof {
    /// The name in the column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => f.write_str("operator_token"),
            Self::CommandLine => f.write_str("command_line"),
            Self::ApiKey(id) => id.fmt(f),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// By what they are known.
    pub proof: Proof,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// What the request is called.
    pub request: Option<Arc<str>>,
}

/// A change that is told of. Nothing in it is secret.
#[derive(Debug)]
pub(super) struct Change {
    /// What was done: `api_key.created`.
    pub(super) action: &'static str,
    /// To what.
    pub(super) target: String,
    /// What it was.
    pub(super) before: Option<Value>,
    /// What it is now.
    pub(super) after: Option<Value>,
}

/// Notes an operator's change.
pub(super) async fn record(
    tx: &mut TenantTx,
    operator: &Operator,
    change: Change,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    record_by(tx, &operator.actor, change, now).await
}

/// Notes a change, whoever made it.
pub(super) async fn record_by(
    tx: &mut TenantTx,
    actor: &Actor,
    change: Change,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Actor {
        proof,
        address,
        request,
    } = actor;
    tx.insert_audit(&AuditRow {
        id: AuditId::from_uuid(ids::next()),
        actor: proof.to_string(),
        action: change.action.to_owned(),
        target: change.target,
        before: change.before.map(|value| value.to_string()),
        after: change.after.map(|value| value.to_string()),
        address: address.map(|address| address.to_string()),
        request_id: request.as_deref().map(str::to_owned),
        created_at: now,
    })
    .await
}

/// Reads the audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    store: Store,
}

impl Audit {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Entries, newest first; one more than the limit tells whether there are more.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(
        &self,
        tenant: TenantId,
        mut filter: AuditFilter,
    ) -> Result<Vec<AuditRow>, Refusal> {
        let failed = |error| unavailable("cannot read the audit log", &error);
        filter.limit = filter.limit.saturating_add(1);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        tx.list_audit(&filter).await.map_err(failed)
    }
}
