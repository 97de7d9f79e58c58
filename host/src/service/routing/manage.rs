//! Policies: read, written, tried.

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_manifest::Category;
use serde_json::{Value, json};

use super::decide::{Decision, SkipReason};
use super::policy::{Policy, Target};
use super::{Need, hindered};
use crate::service::audit::{self, Change};
use crate::service::authentication::unavailable;
use crate::service::caller::Operator;
use crate::service::connections::Connections;
use crate::service::refusal::{FieldMistake, Refusal};
use crate::store::{ConnectionRow, RoutingPolicyRow, RoutingSlot};

/// What a policy is for.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Where.
    pub environment: Environment,
    /// For what.
    pub category: Category,
}

impl Place {
    const fn slot(&self) -> RoutingSlot<'static> {
        RoutingSlot {
            environment: self.environment,
            category: self.category.as_str(),
        }
    }
}

/// A policy as it stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What the tenant wants.
    pub policy: Policy,
    /// Grows with every change; 0 while there is none.
    pub version: u64,
    /// When it was written last.
    pub updated_at: Option<DateTime<Utc>>,
}

/// What a policy makes of a message.
#[derive(Debug)]
pub struct Simulation {
    /// What was decided.
    pub decision: Decision,
    /// Why the connection that is tried first cannot serve, where no other may instead.
    pub hindered: Option<SkipReason>,
    /// Every connection of the category.
    pub connections: Vec<SimulatedConnection>,
}

/// A connection in a simulation.
#[derive(Debug)]
pub struct SimulatedConnection {
    /// Which connection.
    pub id: ConnectionId,
    /// To whom.
    pub provider: String,
    /// Its label.
    pub label: String,
}

impl Connections {
    /// The policy of a category.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_routing(&self, tenant: TenantId, place: Place) -> Result<Standing, Refusal> {
        let during = "cannot read a routing policy";
        let failed = |error| unavailable(during, &error);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        let row = tx.find_routing_policy(place.slot()).await.map_err(failed)?;
        row.map_or_else(
            || {
                Ok(Standing {
                    policy: Policy::default(),
                    version: 0,
                    updated_at: None,
                })
            },
            |row| standing(&row),
        )
    }

    /// Writes a policy. With `expected`, only over that version.
    ///
    /// # Errors
    /// `validation_failed` for a connection that is not there, `conflict` for another version.
    pub async fn write_routing(
        &self,
        operator: &Operator,
        place: Place,
        policy: &Policy,
        expected: Option<u64>,
    ) -> Result<Standing, Refusal> {
        let Place {
            environment,
            category,
        } = place;
        let failed = |error| unavailable("cannot keep a routing policy", &error);
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
        let rows = tx
            .connection_candidates(environment, category.as_str())
            .await
            .map_err(failed)?;
        check(policy, &rows, "", category, environment)?;
        let changed = || {
            Refusal::new(
                ErrorCode::Conflict,
                "The policy is not the version that you gave. Read it and try again.",
            )
        };
        let before = tx.find_routing_policy(place.slot()).await.map_err(failed)?;
        if before.is_none() && expected.is_some_and(|version| version > 0) {
            return Err(changed());
        }
        let text = serde_json::to_string(policy)
            .map_err(|error| Refusal::internal("cannot write a routing policy", &error))?;
        let now = self.clock.now();
        let row = tx
            .write_routing_policy(place.slot(), &text, expected, now)
            .await
            .map_err(failed)?
            .ok_or_else(changed)?;
        let change = Change {
            action: "routing_policy.written",
            target: format!("{category}/{environment}"),
            before: before.as_ref().map(shown),
            after: Some(shown(&row)),
        };
        audit::record(&mut tx, operator, change, now)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        self.changes.note(operator.tenant);
        standing(&row)
    }

    /// What the stored policy, or another one, would make of a message now. Nothing is sent.
    ///
    /// # Errors
    /// `validation_failed` for a connection that is not there.
    pub async fn simulate_routing(
        &self,
        operator: &Operator,
        need: &Need<'_>,
        policy: Option<&Policy>,
        seed: u128,
    ) -> Result<Simulation, Refusal> {
        let Need {
            environment,
            category,
            ..
        } = *need;
        if let Some(policy) = policy {
            let failed = |error| unavailable("cannot read connections", &error);
            let mut tx = self
                .store
                .begin_read(operator.tenant)
                .await
                .map_err(failed)?;
            let rows = tx
                .connection_candidates(environment, category.as_str())
                .await
                .map_err(failed)?;
            check(policy, &rows, "/policy", category, environment)?;
        }
        let served = self
            .served((operator.tenant, environment, category))
            .await?;
        let now = self.clock.now();
        let policy = policy.map(|policy| (policy, 0)).or_else(|| served.policy());
        let weighed = served.weigh(&self.adapters.of(operator.tenant), need, now);
        let decision = served.decide(policy, &weighed, need, seed);
        Ok(Simulation {
            hindered: hindered(&decision, &weighed).map(|(_, reason)| reason),
            decision,
            connections: served
                .connections
                .iter()
                .map(|connection| SimulatedConnection {
                    id: connection.id,
                    provider: connection.provider.to_string(),
                    label: connection.label.clone(),
                })
                .collect(),
        })
    }
}

pub(in crate::service) fn parse(row: &RoutingPolicyRow) -> Result<Policy, Refusal> {
    serde_json::from_str(&row.policy)
        .map_err(|error| Refusal::internal("cannot understand a routing policy", &error))
}

fn shown(row: &RoutingPolicyRow) -> Value {
    let policy: Value = serde_json::from_str(&row.policy).unwrap_or_default();
    json!({"version": row.version, "policy": policy})
}

fn standing(row: &RoutingPolicyRow) -> Result<Standing, Refusal> {
    Ok(Standing {
        policy: parse(row)?,
        version: row.version,
        updated_at: Some(row.updated_at),
    })
}

/// Every connection that a policy names must be there.
fn check(
    policy: &Policy,
    rows: &[ConnectionRow],
    at: &str,
    category: Category,
    environment: Environment,
) -> Result<(), Refusal> {
    let mut mistakes = Vec::new();
    let mut look = |order: &[Target], place: String| {
        for (index, target) in order.iter().enumerate() {
            if rows.iter().all(|row| row.id != target.connection_id) {
                mistakes.push(FieldMistake::new(
                    format!("{place}/order/{index}/connection_id"),
                    "invalid",
                    format!("is no connection for {category} in the {environment} environment; GET /api/services lists them"),
                ));
            }
        }
    };
    look(&policy.order, at.to_owned());
    for (index, rule) in policy.rules.iter().enumerate() {
        look(&rule.order, format!("{at}/rules/{index}"));
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid(mistakes))
    }
}
