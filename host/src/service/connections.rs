//! Connections: a tenant's credentials for a provider in one environment, checked, sealed, and
//! opened again for a call.

mod addressed;
pub(crate) mod form;
mod opened;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::future::Cache;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_engine::{
    Adapter, Adapters, CallContext, ConnectionContext, Credentials, NotSent, Outcome,
};
use onerouter_manifest::{Capability, Category, Manifest, PluginId};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::addressed::{ADDRESSED_MAX, AddressKey, Addressed};
pub use self::opened::{Chosen, Connection};
use super::audit::{self, Change};
use super::authentication::unavailable;
use super::caller::Operator;
use super::changes::{Changes, Remembered};
use super::outcome;
use super::recordings::Recordings;
use super::refusal::Refusal;
use super::routing::Served;
use crate::clock::Clock;
use crate::ids;
use crate::store::Store;
use crate::store::{
    ConnectionGroup, ConnectionRow, ConnectionSlot, ConnectionWrite, NewConnection,
};
use crate::vault::{SecretPlace, Vault, VaultError};

/// Opened connections in memory.
const OPENED_MAX: u64 = 50_000;
/// How long the provider may take to check credentials.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);
/// The vault's name for the sealed fields of a connection.
const SEALED_FIELD: &str = "credentials";
/// Label of a connection that was given none.
pub const DEFAULT_LABEL: &str = "default";

/// What a tenant gives to connect.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Where it is to be used.
    pub environment: Environment,
    /// Tells connections to one provider apart.
    pub label: String,
    /// Values by field.
    pub credentials: BTreeMap<String, Zeroizing<String>>,
    /// Values by field.
    pub settings: BTreeMap<String, String>,
}

/// Which connections a tenant takes away.
#[derive(Debug, Clone, Copy)]
pub struct Disconnect<'a> {
    /// Where they are used.
    pub environment: Environment,
    /// For what.
    pub category: Category,
    /// To whom.
    pub provider: &'a PluginId,
    /// The one with this label; all where there is none.
    pub label: Option<&'a str>,
}

/// A connection that was just made.
#[derive(Debug)]
pub struct Connected {
    /// As it is stored.
    pub row: ConnectionRow,
    /// What works only in part.
    pub warnings: Vec<String>,
    /// There was none before.
    pub is_new: bool,
}

type ListKey = (TenantId, Environment, Category);

/// Keeps and opens connections.
#[derive(Debug)]
pub struct Connections {
    pub(super) store: Store,
    vault: Vault,
    pub(super) adapters: Arc<Adapters>,
    pub(super) clock: Clock,
    pub(super) changes: Arc<Changes>,
    recordings: Recordings,
    lists: Remembered<ListKey, Arc<Served>>,
    addressed: Remembered<AddressKey, Addressed>,
    opened: Cache<(ConnectionId, DateTime<Utc>), Arc<Connection>>,
}

impl Connections {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Vault,
        adapters: Arc<Adapters>,
        clock: Clock,
        changes: Arc<Changes>,
        recordings: Recordings,
    ) -> Self {
        Self {
            store,
            vault,
            adapters,
            clock,
            recordings,
            lists: Remembered::new(Arc::clone(&changes), OPENED_MAX, |(tenant, ..), _| {
                Some(*tenant)
            }),
            addressed: Remembered::new(Arc::clone(&changes), ADDRESSED_MAX, addressed::owner),
            changes,
            opened: Cache::builder()
                .max_capacity(OPENED_MAX)
                .time_to_idle(Duration::from_secs(600))
                .build(),
        }
    }

    /// The adapter that a provider is connected with.
    ///
    /// # Errors
    /// `not_found` where no plugin of this name serves the category.
    pub fn connectable(
        &self,
        tenant: TenantId,
        category: Category,
        provider: &PluginId,
    ) -> Result<Arc<Adapter>, Refusal> {
        let serves = |adapter: &Arc<Adapter>| {
            let mut capabilities = adapter.capabilities().iter();
            capabilities.any(|can| can.category() == Some(category))
        };
        let adapter = self.adapters.of(tenant).get(provider).cloned();
        adapter.filter(serves).ok_or_else(|| {
            Refusal::new(
                ErrorCode::NotFound,
                format!("No plugin \"{provider}\" for {category} is installed on this gateway."),
            )
        })
    }

    /// Checks credentials, with the provider where the adapter can, and keeps them sealed.
    ///
    /// # Errors
    /// `validation_failed` for the shape, `provider_auth_failed` when the provider refuses them;
    /// nothing is stored then.
    pub async fn connect(
        &self,
        operator: &Operator,
        category: Category,
        provider: &PluginId,
        connect: Connect,
    ) -> Result<Connected, Refusal> {
        let adapter = self.connectable(operator.tenant, category, provider)?;
        let (public, secret) = sorted(adapter.manifest(), &connect)?;
        let sealed = Zeroizing::new(write_secrets(&secret));
        let kept: Vec<String> = secret.keys().cloned().collect();
        let context = Arc::new(ConnectionContext {
            environment: connect.environment,
            credentials: Credentials::new(public.clone(), secret)
                .map_err(|error| Refusal::internal("cannot take credentials", &error))?,
            settings: connect.settings.clone(),
            // Nobody's yet.
            recorder: None,
        });
        let (account, warnings) = check(&adapter, provider, context).await?;
        let slot = ConnectionSlot {
            environment: connect.environment,
            category: category.as_str(),
            provider: provider.as_str(),
            label: &connect.label,
        };
        let new = Sealable {
            slot,
            public: &public,
            settings: &connect.settings,
            sealed: &sealed,
            account: account.as_deref(),
            kept: &kept,
        };
        let (row, is_new) = self.write(operator, &new).await?;
        self.changes.note(operator.tenant);
        Ok(Connected {
            row,
            warnings,
            is_new,
        })
    }

    async fn write(
        &self,
        operator: &Operator,
        new: &Sealable<'_>,
    ) -> Result<(ConnectionRow, bool), Refusal> {
        let tenant = operator.tenant;
        let during = "cannot keep a connection";
        let environment = new.slot.environment;
        let failed = |error| unavailable(during, &error);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        let existing = tx.find_connection_in(&new.slot).await.map_err(failed)?;
        drop(tx);
        let mut id = existing.map_or_else(|| ConnectionId::from_uuid(ids::next()), |row| row.id);
        // The secrets are bound to the connection's id: whoever loses a race for the slot seals
        // them again for the winner's.
        for _ in 0..3 {
            let secrets = self
                .vault
                .encrypt(&place(tenant, environment, id), new.sealed)
                .await
                .map_err(|error| vault_failed(during, &error))?;
            let at = self.clock.now();
            let mut tx = self.store.begin(tenant).await.map_err(failed)?;
            let before = tx.find_connection(id).await.map_err(failed)?;
            let written = tx
                .write_connection(&NewConnection {
                    id,
                    slot: new.slot,
                    public: new.public,
                    settings: new.settings,
                    secrets: &secrets,
                    account: new.account,
                    at,
                })
                .await
                .map_err(failed)?;
            if let ConnectionWrite::TakenBy(winner) = written {
                id = winner;
                continue;
            }
            let row = tx.find_connection(id).await.map_err(failed)?;
            let row = row.ok_or_else(|| Refusal::not_found("connection"))?;
            let is_new = written == ConnectionWrite::Inserted;
            let mut after = shown(&row);
            if let Value::Object(after) = &mut after {
                after.insert("secrets".to_owned(), json!(new.kept));
            }
            let change = Change {
                action: if is_new {
                    "connection.created"
                } else {
                    "connection.replaced"
                },
                target: id.to_string(),
                before: before.as_ref().map(shown),
                after: Some(after),
            };
            audit::record(&mut tx, operator, change, at)
                .await
                .map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            return Ok((row, is_new));
        }
        Err(Refusal::new(
            ErrorCode::Conflict,
            "Others change this connection at the same moment. Try again.",
        ))
    }

    /// Every connection of a tenant.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(
        &self,
        tenant: TenantId,
        environment: Option<Environment>,
    ) -> Result<Vec<ConnectionRow>, Refusal> {
        let failed = |error| unavailable("cannot list connections", &error);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        tx.list_connections(environment).await.map_err(failed)
    }

    /// Takes connections away: the labelled one, or all of the provider. Tells how many.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub async fn disconnect(
        &self,
        operator: &Operator,
        disconnect: Disconnect<'_>,
    ) -> Result<u64, Refusal> {
        let Disconnect {
            environment,
            category,
            provider,
            label,
        } = disconnect;
        let failed = |error| unavailable("cannot delete a connection", &error);
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
        let now = self.clock.now();
        let listed = tx.list_connections(Some(environment)).await;
        let mut gone = listed.map_err(failed)?;
        gone.retain(|row| {
            row.category == category.as_str()
                && row.provider == provider.as_str()
                && label.is_none_or(|label| row.label == label)
        });
        let group = ConnectionGroup {
            environment,
            category: category.as_str(),
            provider: provider.as_str(),
            label,
        };
        let deleted = tx.delete_connections(&group, now).await.map_err(failed)?;
        for row in &gone {
            let change = Change {
                action: "connection.deleted",
                target: row.id.to_string(),
                before: Some(shown(row)),
                after: None,
            };
            audit::record(&mut tx, operator, change, now)
                .await
                .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        self.changes.note(operator.tenant);
        if deleted == 0 {
            Err(Refusal::not_found("connection"))
        } else {
            Ok(deleted)
        }
    }

    /// The adapters that could be connected.
    #[must_use]
    pub fn available(&self) -> Vec<Arc<Adapter>> {
        self.adapters.list()
    }
}

/// What goes into a connection's row.
struct Sealable<'a> {
    slot: ConnectionSlot<'a>,
    public: &'a BTreeMap<String, String>,
    settings: &'a BTreeMap<String, String>,
    sealed: &'a [u8],
    account: Option<&'a str>,
    /// Names of what is sealed.
    kept: &'a [String],
}

/// A connection as the audit log tells of it. What is secret is not in it.
fn shown(row: &ConnectionRow) -> Value {
    json!({
        "service": row.category,
        "provider": row.provider,
        "label": row.label,
        "environment": row.environment,
        "account": row.account,
        "credentials": row.public,
        "settings": row.settings,
    })
}

/// Asks the provider, where the adapter can: its name for the account, and warnings.
async fn check(
    adapter: &Arc<Adapter>,
    provider: &PluginId,
    connection: Arc<ConnectionContext>,
) -> Result<(Option<String>, Vec<String>), Refusal> {
    if !adapter.can(Capability::AccountCheck) {
        return Ok((None, Vec::new()));
    }
    let deadline = Instant::now()
        .checked_add(CHECK_TIMEOUT)
        .unwrap_or_else(Instant::now);
    let report = adapter
        .account_check(&CallContext {
            connection,
            deadline,
        })
        .await;
    outcome::log(provider, "account.check", &report);
    match report.outcome {
        Outcome::Accepted(account) => Ok((account.provider_id.or(account.name), account.warnings)),
        Outcome::Declined(refusal) => Err(outcome::declined(provider, refusal)),
        Outcome::NotSent(reason) => Err(outcome::not_sent(provider, reason)),
        Outcome::Unknown(_) => Err(outcome::not_sent(provider, NotSent::Unreachable(None))),
    }
}

fn sorted(manifest: &Manifest, connect: &Connect) -> Result<form::Sorted, Refusal> {
    let sorted = form::sort_credentials(manifest, &connect.credentials);
    let settings = form::check_settings(manifest, &connect.settings);
    match sorted {
        Ok(sorted) if settings.is_empty() => Ok(sorted),
        sorted => {
            let mistakes = sorted.err().unwrap_or_default();
            Err(Refusal::invalid(
                mistakes.into_iter().chain(settings).collect(),
            ))
        }
    }
}

fn write_secrets(secrets: &BTreeMap<String, Zeroizing<String>>) -> Vec<u8> {
    let plain: BTreeMap<&str, &str> = secrets
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    serde_json::to_vec(&plain).unwrap_or_default()
}

const fn place(
    tenant: TenantId,
    environment: Environment,
    connection: ConnectionId,
) -> SecretPlace<'static> {
    SecretPlace {
        tenant,
        environment,
        connection,
        field: SEALED_FIELD,
    }
}

pub(super) fn vault_failed(during: &str, error: &VaultError) -> Refusal {
    match error {
        VaultError::Store(error) => unavailable(during, error),
        VaultError::ProviderUnavailable(_) => Refusal::overloaded(
            during,
            error,
            "The gateway cannot reach the keys of its vault; nothing was sent. Try again.",
        ),
        _ => Refusal::internal(during, error),
    }
}
