//! Connections: a tenant's credentials for a provider in one environment, checked, sealed, and
//! opened again for a call.

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
    SECRET_BYTES_MAX, SECRET_BYTES_MIN,
};
use onerouter_manifest::{Capability, Category, FieldKind, Manifest, PluginId, SettingRole};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::authentication::unavailable;
use super::caller::Operator;
use super::outcome;
use super::refusal::{FieldMistake, Refusal};
use crate::clock::Clock;
use crate::ids;
use crate::store::Store;
use crate::store::{
    ConnectionGroup, ConnectionRow, ConnectionSlot, ConnectionWrite, NewConnection,
};
use crate::vault::{SecretPlace, Vault, VaultError};

/// A connection that was changed on another node is used for this long at most.
const LIST_TTL: Duration = Duration::from_secs(1);
/// Opened connections in memory.
const OPENED_MAX: u64 = 50_000;
/// How long the provider may take to check credentials.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);
/// The vault's name for the sealed fields of a connection.
const SEALED_FIELD: &str = "credentials";
/// Label of a connection that was given none.
pub const DEFAULT_LABEL: &str = "default";
/// Characters of a credential or a setting.
const VALUE_LENGTH_MAX: usize = 4_096;

/// An opened connection.
#[derive(Debug)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Which provider.
    pub provider: PluginId,
    /// What an adapter's call needs.
    pub context: Arc<ConnectionContext>,
}

impl Connection {
    /// Whether a setting names a sender, so that a message needs none of its own.
    #[must_use]
    pub fn has_sender(&self, manifest: &Manifest) -> bool {
        manifest.settings.iter().any(|setting| {
            setting.role == Some(SettingRole::Sender)
                && self.context.settings.contains_key(&setting.name)
        })
    }

    /// The sender, where the plugin knows one setting only that could name it.
    #[must_use]
    pub fn only_sender(&self, manifest: &Manifest) -> Option<&str> {
        let mut senders = manifest
            .settings
            .iter()
            .filter(|setting| setting.role == Some(SettingRole::Sender));
        match (senders.next(), senders.next()) {
            (Some(only), None) => self.context.settings.get(&only.name).map(String::as_str),
            _ => None,
        }
    }
}

/// What is needed of a provider.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// In which world.
    pub environment: Environment,
    /// For what.
    pub category: Category,
    /// What the adapter must be able to do.
    pub capability: Capability,
    /// The provider that the caller named.
    pub provider: Option<&'a PluginId>,
}

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
    store: Store,
    vault: Vault,
    adapters: Arc<Adapters>,
    clock: Clock,
    lists: Cache<ListKey, Arc<[Arc<Connection>]>>,
    opened: Cache<(ConnectionId, DateTime<Utc>), Arc<Connection>>,
}

impl Connections {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(store: Store, vault: Vault, adapters: Arc<Adapters>, clock: Clock) -> Self {
        Self {
            store,
            vault,
            adapters,
            clock,
            lists: Cache::builder()
                .max_capacity(OPENED_MAX)
                .time_to_live(LIST_TTL)
                .build(),
            opened: Cache::builder()
                .max_capacity(OPENED_MAX)
                .time_to_idle(Duration::from_secs(600))
                .build(),
        }
    }

    /// The connection that serves a need, with its adapter: the oldest one that can.
    ///
    /// # Errors
    /// `no_connection` with the reasons, `unsupported_by_provider` where only the ability is
    /// missing.
    pub async fn choose(
        &self,
        tenant: TenantId,
        need: Need<'_>,
    ) -> Result<(Arc<Connection>, Arc<Adapter>), Refusal> {
        let key = (tenant, need.environment, need.category);
        let candidates = self
            .lists
            .try_get_with(key, self.open_candidates(key))
            .await
            .map_err(|refusal: Arc<Refusal>| Refusal::clone(&refusal))?;
        let mut unable: Option<&PluginId> = None;
        let mut missing: Option<&PluginId> = None;
        for connection in candidates.iter() {
            if need
                .provider
                .is_some_and(|provider| *provider != connection.provider)
            {
                continue;
            }
            match self.adapters.get(&connection.provider) {
                Some(adapter) if adapter.can(need.capability) => {
                    return Ok((Arc::clone(connection), adapter));
                }
                Some(_) => unable = unable.or(Some(&connection.provider)),
                None => missing = missing.or(Some(&connection.provider)),
            }
        }
        let Need {
            environment,
            category,
            ..
        } = need;
        Err(match (unable, missing, need.provider) {
            (Some(provider), _, _) => Refusal::new(
                ErrorCode::UnsupportedByProvider,
                format!("{provider} is connected but cannot do this."),
            ),
            (None, Some(provider), _) => Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "{provider} is connected, but its plugin is not installed on this gateway."
                ),
            ),
            (None, None, Some(provider)) => Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "{provider} is not connected for {category} in the {environment} environment; connect it with POST /api/services/{category}/{provider}/connect."
                ),
            ),
            (None, None, None) => Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "No provider is connected for {category} in the {environment} environment; connect one with POST /api/services/{category}/{{provider}}/connect."
                ),
            ),
        })
    }

    async fn open_candidates(&self, key: ListKey) -> Result<Arc<[Arc<Connection>]>, Refusal> {
        let (tenant, environment, category) = key;
        let during = "cannot read connections";
        let mut tx = self
            .store
            .begin_read(tenant)
            .await
            .map_err(|error| unavailable(during, &error))?;
        let rows = tx
            .connection_candidates(environment, category.as_str())
            .await
            .map_err(|error| unavailable(during, &error))?;
        drop(tx);
        let mut connections = Vec::with_capacity(rows.len());
        for row in rows {
            connections.push(self.open(&row).await?);
        }
        Ok(connections.into())
    }

    /// The connection of an object and its adapter, also when the connection was deleted: what was
    /// sent over it can still be asked about.
    ///
    /// # Errors
    /// `no_connection` when the plugin is gone.
    pub async fn of_object(
        &self,
        tenant: TenantId,
        id: ConnectionId,
    ) -> Result<(Arc<Connection>, Arc<Adapter>), Refusal> {
        let during = "cannot read a connection";
        let mut tx = self
            .store
            .begin_read(tenant)
            .await
            .map_err(|error| unavailable(during, &error))?;
        let row = tx
            .find_connection(id)
            .await
            .map_err(|error| unavailable(during, &error))?;
        drop(tx);
        let row = row.ok_or_else(|| Refusal::not_found("connection"))?;
        let connection = self.open(&row).await?;
        match self.adapters.get(&connection.provider) {
            Some(adapter) => Ok((connection, adapter)),
            None => Err(Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "The plugin of {} is not installed on this gateway.",
                    row.provider
                ),
            )),
        }
    }

    async fn open(&self, row: &ConnectionRow) -> Result<Arc<Connection>, Refusal> {
        let key = (row.id, row.updated_at);
        self.opened
            .try_get_with(key, self.unseal(row))
            .await
            .map_err(|refusal: Arc<Refusal>| Refusal::clone(&refusal))
    }

    async fn unseal(&self, row: &ConnectionRow) -> Result<Arc<Connection>, Refusal> {
        let during = "cannot open a connection";
        let sealed = self
            .vault
            .decrypt(&place(row.tenant_id, row.environment, row.id), &row.secrets)
            .await
            .map_err(|error| vault_failed(during, &error))?;
        let secrets: BTreeMap<String, Zeroizing<String>> = parse_secrets(&sealed)
            .ok_or_else(|| Refusal::new(ErrorCode::InternalError, "A connection is unreadable."))?;
        let credentials = Credentials::new(row.public.clone(), secrets)
            .map_err(|error| Refusal::internal(during, &error))?;
        let provider = PluginId::try_from(row.provider.clone())
            .map_err(|reason| Refusal::new(ErrorCode::InternalError, reason))?;
        Ok(Arc::new(Connection {
            id: row.id,
            provider,
            context: Arc::new(ConnectionContext {
                environment: row.environment,
                credentials,
                settings: row.settings.clone(),
            }),
        }))
    }

    /// Checks credentials, with the provider where the adapter can, and keeps them sealed.
    ///
    /// # Errors
    /// `validation_failed` for the shape, `provider_auth_failed` when the provider refuses them;
    /// nothing is stored then.
    pub async fn connect(
        &self,
        operator: Operator,
        category: Category,
        provider: &PluginId,
        connect: Connect,
    ) -> Result<Connected, Refusal> {
        let adapter = self
            .adapters
            .get(provider)
            .filter(|adapter| {
                adapter
                    .capabilities()
                    .iter()
                    .any(|can| can.category() == Some(category))
            })
            .ok_or_else(|| {
                Refusal::new(
                    ErrorCode::NotFound,
                    format!(
                        "No plugin \"{provider}\" for {category} is installed on this gateway."
                    ),
                )
            })?;
        let (public, secret) = sort_fields(adapter.manifest(), &connect)?;
        let sealed = Zeroizing::new(write_secrets(&secret));
        let context = Arc::new(ConnectionContext {
            environment: connect.environment,
            credentials: Credentials::new(public.clone(), secret)
                .map_err(|error| Refusal::internal("cannot take credentials", &error))?,
            settings: connect.settings.clone(),
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
        };
        let (row, is_new) = self.write(operator.tenant, &new).await?;
        self.lists
            .invalidate(&(operator.tenant, connect.environment, category))
            .await;
        Ok(Connected {
            row,
            warnings,
            is_new,
        })
    }

    async fn write(
        &self,
        tenant: TenantId,
        new: &Sealable<'_>,
    ) -> Result<(ConnectionRow, bool), Refusal> {
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
            let mut tx = self.store.begin(tenant).await.map_err(failed)?;
            let written = tx
                .write_connection(&NewConnection {
                    id,
                    slot: new.slot,
                    public: new.public,
                    settings: new.settings,
                    secrets: &secrets,
                    account: new.account,
                    at: self.clock.now(),
                })
                .await
                .map_err(failed)?;
            if let ConnectionWrite::TakenBy(winner) = written {
                id = winner;
                continue;
            }
            let row = tx.find_connection(id).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            let row = row.ok_or_else(|| Refusal::not_found("connection"))?;
            return Ok((row, written == ConnectionWrite::Inserted));
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
        operator: Operator,
        environment: Environment,
        category: Category,
        provider: &PluginId,
        label: Option<&str>,
    ) -> Result<u64, Refusal> {
        let failed = |error| unavailable("cannot delete a connection", &error);
        let mut tx = self.store.begin(operator.tenant).await.map_err(failed)?;
        let deleted = tx
            .delete_connections(
                &ConnectionGroup {
                    environment,
                    category: category.as_str(),
                    provider: provider.as_str(),
                    label,
                },
                self.clock.now(),
            )
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        self.lists
            .invalidate(&(operator.tenant, environment, category))
            .await;
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

type Sorted = (
    BTreeMap<String, String>,
    BTreeMap<String, Zeroizing<String>>,
);

/// Public and secret fields, checked against the manifest, all mistakes at once.
fn sort_fields(manifest: &Manifest, connect: &Connect) -> Result<Sorted, Refusal> {
    let mut mistakes = Vec::new();
    let mut public = BTreeMap::new();
    let mut secret = BTreeMap::new();
    for field in &manifest.credentials {
        let pointer = format!("/credentials/{}", field.name);
        let Some(value) = connect
            .credentials
            .get(&field.name)
            .filter(|value| !value.is_empty())
        else {
            if !field.optional {
                let detail = format!("is required: {}. {}", field.label, field.help);
                mistakes.push(FieldMistake::new(
                    pointer,
                    "required",
                    detail.trim().to_owned(),
                ));
            }
            continue;
        };
        let is_secret = field.kind == FieldKind::Secret;
        let least = if is_secret { SECRET_BYTES_MIN } else { 1 };
        if value.len() > SECRET_BYTES_MAX.min(VALUE_LENGTH_MAX) || value.len() < least {
            let detail = format!("must have {least} to {VALUE_LENGTH_MAX} characters");
            mistakes.push(FieldMistake::new(pointer, "invalid_length", detail));
        } else if !value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            let detail = "may hold printable ASCII characters only, without spaces";
            mistakes.push(FieldMistake::new(pointer, "invalid", detail));
        } else if !field.accepts(value) {
            let detail = format!("does not look like a {}. {}", field.label, field.help);
            mistakes.push(FieldMistake::new(
                pointer,
                "invalid",
                detail.trim().to_owned(),
            ));
        } else if is_secret {
            secret.insert(field.name.clone(), value.clone());
        } else {
            public.insert(field.name.clone(), value.to_string());
        }
    }
    for name in connect.credentials.keys() {
        if manifest.credential(name).is_none() {
            let known = manifest.credentials.iter().map(|field| field.name.as_str());
            mistakes.push(unknown("credentials", name, known));
        }
    }
    for (name, value) in &connect.settings {
        let pointer = format!("/settings/{name}");
        match manifest
            .settings
            .iter()
            .find(|setting| setting.name == *name)
        {
            None => {
                let known = manifest
                    .settings
                    .iter()
                    .map(|setting| setting.name.as_str());
                mistakes.push(unknown("settings", name, known));
            }
            Some(setting) if value.len() > VALUE_LENGTH_MAX || !setting.accepts(value) => {
                let detail = format!("does not look like a {}. {}", setting.label, setting.help);
                mistakes.push(FieldMistake::new(
                    pointer,
                    "invalid",
                    detail.trim().to_owned(),
                ));
            }
            Some(_) => {}
        }
    }
    if mistakes.is_empty() {
        Ok((public, secret))
    } else {
        Err(Refusal::invalid(mistakes))
    }
}

fn unknown<'a>(list: &str, name: &str, known: impl Iterator<Item = &'a str>) -> FieldMistake {
    let known: Vec<&str> = known.collect();
    let pointer = format!("/{list}/{}", name.replace('~', "~0").replace('/', "~1"));
    let detail = if known.is_empty() {
        format!("this plugin has no {list}")
    } else {
        format!("is not one of this plugin's {list}: {}", known.join(", "))
    };
    FieldMistake::new(pointer, "unknown_field", detail)
}

fn write_secrets(secrets: &BTreeMap<String, Zeroizing<String>>) -> Vec<u8> {
    let plain: BTreeMap<&str, &str> = secrets
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    serde_json::to_vec(&plain).unwrap_or_default()
}

fn parse_secrets(sealed: &[u8]) -> Option<BTreeMap<String, Zeroizing<String>>> {
    let plain: BTreeMap<String, String> = serde_json::from_slice(sealed).ok()?;
    Some(
        plain
            .into_iter()
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .collect(),
    )
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

fn vault_failed(during: &str, error: &VaultError) -> Refusal {
    Refusal::internal(during, error)
}
