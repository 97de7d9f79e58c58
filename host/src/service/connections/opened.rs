//! Connections as a call needs them: chosen, and opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_engine::{Adapter, ConnectionContext, Credentials};
use onerouter_manifest::{Capability, Category, Manifest, PluginId, SettingRole};
use zeroize::Zeroizing;

use super::{Connections, ListKey, place, vault_failed};
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;
use crate::store::ConnectionRow;

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

impl Connections {
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
        let candidates = match self.lists.get(&key).await {
            Some(candidates) => candidates,
            None => Box::pin(self.lists.try_get_with(key, self.open_candidates(key)))
                .await
                .map_err(|refusal: Arc<Refusal>| Refusal::clone(&refusal))?,
        };
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
        Box::pin(self.opened.try_get_with(key, self.unseal(row)))
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
