//! Routing: which connection serves a message.
//!
//! `policy` is what the tenant wants, `decide` applies it, `breaker` knows which providers are
//! failing, `manage` reads, writes and tries policies. Without a policy the oldest connection that
//! can serves alone.

pub mod breaker;
pub mod decide;
pub mod manage;
pub mod policy;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_domain::money::Currency;
use onerouter_engine::{Adapter, NotSent, Outcome, TenantAdapters};
use onerouter_manifest::{Capability, Category, Manifest, PluginId};

use self::breaker::Health;
use self::decide::{Candidate, Decision, Question, SkipReason, decide};
use self::policy::{Facts, Policy};
use super::connections::{Chosen, Connection, Connections};
use super::refusal::{FieldMistake, Refusal};

/// What is needed of a connection.
#[derive(Debug, Clone)]
pub struct Need<'a> {
    /// In which world.
    pub environment: Environment,
    /// For what.
    pub category: Category,
    /// What the adapter must be able to do.
    pub capability: Capability,
    /// The provider that the caller named.
    pub provider: Option<&'a PluginId>,
    /// Whether the message names its own sender.
    pub has_sender: bool,
    /// The request field that could.
    pub sender_pointer: &'static str,
    /// Phone numbers or e-mail addresses.
    pub recipients: Vec<&'a str>,
    /// In which currency somebody pays.
    pub currency: Option<Currency>,
    /// The connection that alone can serve: the one that an earlier object went over.
    pub only: Option<ConnectionId>,
    /// The caller's pairs.
    pub metadata: &'a BTreeMap<String, String>,
}

/// A tenant's connections for a category in an environment, oldest first, with the policy.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) connections: Vec<ServedConnection>,
    pub(super) policy: Option<(Policy, u64)>,
}

/// A connection that may serve.
#[derive(Debug)]
pub(super) struct ServedConnection {
    pub(super) id: ConnectionId,
    pub(super) provider: PluginId,
    pub(super) label: String,
    /// None where its credentials cannot be decrypted.
    pub(super) opened: Option<Arc<Connection>>,
}

/// Over which connections a message goes: the first, and those that are tried when it has not sent.
#[derive(Debug, Clone)]
pub struct Route {
    /// Serves now.
    pub chosen: Chosen,
    others: VecDeque<Chosen>,
    reasons: Option<String>,
}

impl Route {
    /// Why it goes this way: JSON. None where there was no choice.
    #[must_use]
    pub fn reasons(&self) -> Option<String> {
        self.reasons.clone()
    }

    /// Goes on to the next connection whose breaker is not open.
    pub fn advance(&mut self, now: DateTime<Utc>) -> bool {
        while let Some(next) = self.others.pop_front() {
            if next.0.breaker.open_for(now).is_none() {
                self.chosen = next;
                return true;
            }
        }
        false
    }
}

impl Connections {
    /// The way of a message. `seed` decides between weights.
    ///
    /// # Errors
    /// `no_connection`, `unsupported_by_provider`, `provider_unavailable`, or `validation_failed`
    /// where only a sender is missing.
    pub async fn route(
        &self,
        tenant: TenantId,
        need: &Need<'_>,
        seed: u128,
    ) -> Result<Route, Refusal> {
        let served = self
            .served((tenant, need.environment, need.category))
            .await?;
        let now = self.clock.now();
        // What belongs to an earlier object goes where that went, whatever the policy says today.
        let policy = served.policy().filter(|_| need.only.is_none());
        let weighed = served.weigh(&self.adapters.of(tenant), need, now);
        let decision = served.decide(policy, &weighed, need, seed);
        if let Some((id, reason)) = hindered(&decision, &weighed) {
            return Err(served.refusal_of(id, reason, need, now));
        }
        let mut ways = decision
            .candidates
            .iter()
            .filter_map(|target| served.way(target.connection_id, &weighed));
        match ways.next() {
            Some(chosen) => Ok(Route {
                chosen,
                others: ways.collect(),
                reasons: reasons(&decision),
            }),
            None => Err(served.refusal(&decision, need, now)),
        }
    }

    /// Whether an opened connection is what its row says now. When nobody can tell, it is not.
    pub(super) async fn is_current(&self, tenant: TenantId, opened: &Connection) -> bool {
        let row = async {
            let mut tx = self.store.begin_read(tenant).await?;
            tx.find_connection(opened.id).await
        };
        match row.await {
            Ok(row) => row
                .is_some_and(|row| row.deleted_at.is_none() && row.updated_at == opened.updated_at),
            Err(error) => {
                tracing::warn!(%error, connection.id = %opened.id, "cannot look at a connection");
                false
            }
        }
    }
}

/// As it is kept with the attempt; nothing where there was no choice.
fn reasons(decision: &Decision) -> Option<String> {
    let was_choice = decision.policy_version > 0
        || decision.candidates.len() > 1
        || !decision.skipped.is_empty();
    was_choice
        .then(|| serde_json::to_string(decision).ok())
        .flatten()
}

impl SkipReason {
    /// Whether it lasts as long as connection and plugin are what they are.
    const fn is_for_ever(self) -> bool {
        match self {
            Self::Currency
            | Self::Unsupported
            | Self::PluginMissing
            | Self::OtherProvider
            | Self::OtherConnection
            | Self::NotInPolicy
            | Self::NotFirst
            | Self::Disconnected => true,
            Self::Unavailable | Self::NoSender | Self::Unreadable => false,
        }
    }
}

impl<'a> Need<'a> {
    fn question(&self, seed: u128) -> Question<'a> {
        Question {
            facts: Facts {
                recipients: self.recipients.clone(),
                currency: self.currency,
                metadata: self.metadata,
            },
            provider: self.provider.map(PluginId::as_str),
            seed,
        }
    }
}

impl ServedConnection {
    /// Why it cannot serve now.
    fn hindrance(
        &self,
        adapter: Option<&Adapter>,
        need: &Need<'_>,
        now: DateTime<Utc>,
    ) -> Option<SkipReason> {
        let Some(adapter) = adapter else {
            return Some(SkipReason::PluginMissing);
        };
        if need.only.is_some_and(|only| only != self.id) {
            return Some(SkipReason::OtherConnection);
        }
        if !adapter.can(need.capability) {
            return Some(SkipReason::Unsupported);
        }
        if !takes(adapter.manifest(), need) {
            return Some(SkipReason::Currency);
        }
        let Some(opened) = &self.opened else {
            return Some(SkipReason::Unreadable);
        };
        if opened.breaker.open_for(now).is_some() {
            return Some(SkipReason::Unavailable);
        }
        let has_sender = need.has_sender || opened.has_sender(adapter.manifest());
        (!has_sender).then_some(SkipReason::NoSender)
    }
}

/// A connection with its adapter, weighed for one message.
#[derive(Debug)]
pub(super) struct Weighed {
    id: ConnectionId,
    adapter: Option<Arc<Adapter>>,
    hindrance: Option<SkipReason>,
}

/// Whether the provider takes the currency: one whose manifest names none takes all.
fn takes(manifest: &Manifest, need: &Need<'_>) -> bool {
    let taken = manifest.currencies.get(&need.category);
    match (need.currency, taken) {
        (Some(currency), Some(taken)) => taken.contains(currency.code()),
        _ => true,
    }
}

/// The connection that would serve, and why it cannot.
pub(super) fn hindered(
    decision: &Decision,
    weighed: &[Weighed],
) -> Option<(ConnectionId, SkipReason)> {
    let first = decision.candidates.first()?;
    let one = weighed.iter().find(|one| one.id == first.connection_id)?;
    one.hindrance.map(|reason| (one.id, reason))
}

impl Served {
    pub(super) fn policy(&self) -> Option<(&Policy, u64)> {
        self.policy
            .as_ref()
            .map(|(policy, version)| (policy, *version))
    }

    pub(super) fn weigh(
        &self,
        adapters: &TenantAdapters,
        need: &Need<'_>,
        now: DateTime<Utc>,
    ) -> Vec<Weighed> {
        self.connections
            .iter()
            .map(|connection| {
                let adapter = adapters.get(&connection.provider).cloned();
                let hindrance = connection.hindrance(adapter.as_deref(), need, now);
                Weighed {
                    id: connection.id,
                    adapter,
                    hindrance,
                }
            })
            .collect()
    }

    pub(super) fn decide(
        &self,
        policy: Option<(&Policy, u64)>,
        weighed: &[Weighed],
        need: &Need<'_>,
        seed: u128,
    ) -> Decision {
        // Where nothing else may serve instead, only what an adapter can do counts.
        let fails_over = policy.is_some_and(|(policy, _)| policy.failover);
        let candidates: Vec<Candidate<'_>> = self
            .connections
            .iter()
            .zip(weighed)
            .map(|(connection, one)| Candidate {
                id: connection.id,
                provider: connection.provider.as_str(),
                unable: one
                    .hindrance
                    .filter(|reason| fails_over || reason.is_for_ever()),
            })
            .collect();
        decide(policy, &candidates, &need.question(seed))
    }

    fn way(&self, id: ConnectionId, weighed: &[Weighed]) -> Option<Chosen> {
        let (connection, one) = self
            .connections
            .iter()
            .zip(weighed)
            .find(|(connection, _)| connection.id == id)?;
        let opened = connection.opened.as_ref()?;
        let adapter = one.adapter.as_ref()?;
        Some((Arc::clone(opened), Arc::clone(adapter)))
    }

    /// Why nobody serves: the reason that most likely passes, else the one that says most.
    fn refusal(&self, decision: &Decision, need: &Need<'_>, now: DateTime<Utc>) -> Refusal {
        let nearest = decision
            .skipped
            .iter()
            .filter(|skipped| {
                !matches!(
                    skipped.reason,
                    SkipReason::OtherProvider
                        | SkipReason::OtherConnection
                        | SkipReason::NotInPolicy
                        | SkipReason::NotFirst
                        | SkipReason::Disconnected
                )
            })
            .min_by_key(|skipped| skipped.reason);
        match nearest {
            Some(skipped) => self.refusal_of(skipped.connection_id, skipped.reason, need, now),
            None => nobody(decision, need),
        }
    }

    fn refusal_of(
        &self,
        id: ConnectionId,
        reason: SkipReason,
        need: &Need<'_>,
        now: DateTime<Utc>,
    ) -> Refusal {
        let connection = self
            .connections
            .iter()
            .find(|connection| connection.id == id);
        let provider = connection.map_or("the provider", |found| found.provider.as_str());
        match reason {
            SkipReason::Unavailable => {
                let open_for = connection
                    .and_then(|found| found.opened.as_ref())
                    .and_then(|opened| opened.breaker.open_for(now));
                let seconds = open_for.map_or(1, |left| left.num_seconds().saturating_add(1));
                Refusal::new(
                    ErrorCode::ProviderUnavailable,
                    format!("{provider} has failed again and again and is left alone for a moment; nothing was sent."),
                )
                .retry_after(u64::try_from(seconds).unwrap_or(1))
            }
            SkipReason::NoSender => Refusal::invalid(vec![FieldMistake::new(
                need.sender_pointer,
                "required",
                format!(
                    "is required: the connection to {provider} has no setting that names a sender"
                ),
            )]),
            SkipReason::Unreadable => Refusal::new(
                ErrorCode::InternalError,
                format!(
                    "The credentials of the connection to {provider} cannot be decrypted. Nothing was sent; connect {provider} again."
                ),
            ),
            SkipReason::Currency => Refusal::new(
                ErrorCode::UnsupportedByProvider,
                match need.currency {
                    Some(currency) => format!("{provider} takes no {currency}."),
                    None => format!("{provider} does not take this currency."),
                },
            ),
            SkipReason::Unsupported => Refusal::new(
                ErrorCode::UnsupportedByProvider,
                format!("{provider} is connected but cannot do this."),
            ),
            SkipReason::PluginMissing => Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "{provider} is connected, but its plugin is not installed on this gateway."
                ),
            ),
            SkipReason::OtherProvider
            | SkipReason::OtherConnection
            | SkipReason::NotInPolicy
            | SkipReason::NotFirst
            | SkipReason::Disconnected => Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "The routing policy leaves nobody for this {}.",
                    need.category
                ),
            ),
        }
    }
}

fn nobody(decision: &Decision, need: &Need<'_>) -> Refusal {
    let Need {
        environment,
        category,
        provider,
        ..
    } = need;
    let left_out = decision
        .skipped
        .iter()
        .any(|skipped| skipped.reason != SkipReason::OtherProvider);
    let detail = match provider {
        Some(provider) => format!(
            "{provider} is not connected for {category} in the {environment} environment; connect it with POST /api/services/{category}/{provider}/connect."
        ),
        None if left_out => {
            let rule = decision
                .rule
                .as_ref()
                .map_or_else(String::new, |rule| format!(" in its rule \"{rule}\""));
            format!(
                "The routing policy for {category} in the {environment} environment names no connection{rule} that still exists; see GET /api/services/{category}/routing."
            )
        }
        None => format!(
            "No provider is connected for {category} in the {environment} environment; connect one with POST /api/services/{category}/{{provider}}/connect."
        ),
    };
    Refusal::new(ErrorCode::NoConnection, detail)
}

/// Asks a connection's breaker right before a call: why it is not made, where another one is the
/// probe.
pub(super) fn hold_back(connection: &Connection, now: DateTime<Utc>) -> Option<NotSent> {
    (!connection.breaker.admits(now)).then_some(NotSent::Unreachable(None))
}

/// Tells a connection's breaker what a call said about the health of its provider.
pub(super) fn record<T>(connection: &Connection, outcome: &Outcome<T>, now: DateTime<Utc>) {
    if connection.breaker.record(Health::of(outcome), now) {
        tracing::warn!(
            connection.id = %connection.id,
            provider = %connection.provider,
            "a provider keeps failing; its connection is left alone for a moment"
        );
        metrics::counter!(
            "onerouter_breakers_opened_total",
            "provider" => connection.provider.to_string(),
        )
        .increment(1);
    }
}
