//! Connections as a call needs them: chosen, and opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_engine::{Adapter, ConnectionContext, Credentials};
use onerouter_manifest::{Manifest, PluginId, SettingRole};
use zeroize::Zeroizing;

use super::{Connections, ListKey, place, vault_failed};
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;
use crate::service::routing::breaker::Breaker;
use crate::service::routing::{Served, ServedConnection, manage};
use crate::store::{ConnectionRow, RoutingSlot};

/// An opened connection.
#[derive(Debug)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Which provider.
    pub provider: PluginId,
    /// What an adapter's call needs.
    pub context: Arc<ConnectionContext>,
    /// When its credentials and settings were written.
    pub updated_at: DateTime<Utc>,
    /// It was taken away; what was made over it can still be asked about.
    pub is_deleted: bool,
    /// Knows whether its provider is failing. New credentials start anew.
    pub breaker: Breaker,
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

/// A connection with the adapter that serves it.
pub type Chosen = (Arc<Connection>, Arc<Adapter>);

impl Connections {
    /// What may serve a category.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub(in crate::service) async fn served(&self, key: ListKey) -> Result<Arc<Served>, Refusal> {
        let served = self.lists.get(key, || self.read_served(key)).await;
        served.map_err(|refusal| Refusal::clone(&refusal))
    }

    async fn read_served(&self, key: ListKey) -> Result<Arc<Served>, Refusal> {
        let (tenant, environment, category) = key;
        let failed = |error| unavailable("cannot read connections", &error);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        let rows = tx
            .connection_candidates(environment, category.as_str())
            .await
            .map_err(failed)?;
        let policy = tx
            .find_routing_policy(RoutingSlot {
                environment,
                category: category.as_str(),
            })
            .await
            .map_err(failed)?;
        drop(tx);
        let policy = policy
            .map(|row| manage::parse(&row).map(|policy| (policy, row.version)))
            .transpose()?;
        let mut connections = Vec::with_capacity(rows.len());
        for row in rows {
            let opened = match self.open(&row).await {
                Ok(opened) => Some(opened),
                // One that nobody can read must not take the others with it.
                Err(refusal) if refusal.code == ErrorCode::InternalError => None,
                Err(refusal) => return Err(refusal),
            };
            connections.push(ServedConnection {
                id: row.id,
                provider: provider_of(&row)?,
                label: row.label,
                opened,
            });
        }
        Ok(Arc::new(Served {
            connections,
            policy,
        }))
    }

    /// The connection of an object and its adapter, also when the connection was deleted: what was
    /// sent over it can still be asked about.
    ///
    /// # Errors
    /// `no_connection` when the plugin is gone.
    pub async fn of_object(&self, tenant: TenantId, id: ConnectionId) -> Result<Chosen, Refusal> {
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
        match self.adapters.of(tenant).get(&connection.provider) {
            Some(adapter) => Ok((connection, Arc::clone(adapter))),
            None => Err(Refusal::new(
                ErrorCode::NoConnection,
                format!(
                    "The plugin of {} is not installed on this gateway.",
                    row.provider
                ),
            )),
        }
    }

    pub(super) async fn open(&self, row: &ConnectionRow) -> Result<Arc<Connection>, Refusal> {
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
        Ok(Arc::new(Connection {
            id: row.id,
            provider: provider_of(row)?,
            updated_at: row.updated_at,
            is_deleted: row.deleted_at.is_some(),
            breaker: Breaker::default(),
            context: Arc::new(ConnectionContext {
                environment: row.environment,
                credentials,
                settings: row.settings.clone(),
                recorder: Some(self.recordings.recorder(
                    row.tenant_id,
                    row.environment,
                    (row.id, &row.provider),
                )),
            }),
        }))
    }
}

fn provider_of(row: &ConnectionRow) -> Result<PluginId, Refusal> {
    PluginId::try_from(row.provider.clone())
        .map_err(|reason| Refusal::new(ErrorCode::InternalError, reason))
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
