//! `routing_policies`: which connection serves a category, as the tenant wants it.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;

use super::backend::{Columns, FromColumns, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutingSlot<'a> {
    /// Where.
    pub environment: Environment,
    /// `sms`, `email`, …
    pub category: &'a str,
}

/// A policy as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingPolicyRow {
    /// JSON text.
    pub policy: String,
    /// Grows with every change.
    pub version: u64,
    /// When it was written last.
    pub updated_at: DateTime<Utc>,
}

statements! {
    FIND = Statement::same(
        "select policy, version, updated_at from routing_policies
         where tenant_id = $1 and environment = $2 and category = $3",
    );
    WRITE = Statement::same(
        "insert into routing_policies (tenant_id, environment, category, policy, version,
             updated_at)
         values ($1, $2, $3, $4, 1, $5)
         on conflict (tenant_id, environment, category) do update
         set policy = excluded.policy, version = routing_policies.version + 1,
             updated_at = excluded.updated_at
         where routing_policies.version = coalesce($6, routing_policies.version)
         returning policy, version, updated_at",
    );
}

impl TenantTx {
    /// The policy of a category in an environment.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_routing_policy(
        &mut self,
        slot: RoutingSlot<'_>,
    ) -> Result<Option<RoutingPolicyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(
            self,
            FIND,
            [tenant, slot.environment.as_str(), slot.category]
        )
        .during("find a routing policy")
    }

    /// Writes a policy; none when there is one whose version is not `expected`.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_routing_policy(
        &mut self,
        slot: RoutingSlot<'_>,
        policy: &str,
        expected: Option<u64>,
        at: DateTime<Utc>,
    ) -> Result<Option<RoutingPolicyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(
            self,
            WRITE,
            [
                tenant,
                slot.environment.as_str(),
                slot.category,
                policy,
                at,
                expected.map(u64::cast_signed)
            ]
        )
        .during("write a routing policy")
    }
}

impl FromColumns for RoutingPolicyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            policy: row.text("policy")?,
            version: row.integer("version")?,
            updated_at: row.time("updated_at")?,
        })
    }
}
