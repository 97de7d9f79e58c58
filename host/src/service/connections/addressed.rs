//! Connections as their webhooks' paths name them: by anybody, before anything is known of who it is.
//!
//! What it takes to judge a request is remembered, and that there is nothing to judge it by as well: whoever
//! sends many makes the database do nothing. Ids of which there is nothing to remember are asked about in the
//! same steps, whether they are nobody's or another provider's, so that the time tells nothing either.

use std::sync::Arc;

use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_engine::Adapter;
use onerouter_manifest::{Capability, PluginId};
use uuid::Uuid;

use super::{Chosen, Connection, Connections};
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;

/// Paths that are remembered, right and wrong ones.
pub(super) const ADDRESSED_MAX: u64 = 20_000;

/// Whose rows nobody has.
const NOBODY: TenantId = TenantId::from_uuid(Uuid::nil());

/// What a path names.
pub(super) type AddressKey = (PluginId, ConnectionId);

/// A connection and whose it is; none where its provider has no such connection.
pub(super) type Addressed = Option<(TenantId, Arc<Connection>)>;

/// Whose changes count for what is remembered of a path.
pub(super) fn owner(_: &AddressKey, found: &Addressed) -> Option<TenantId> {
    found.as_ref().map(|(tenant, _)| *tenant)
}

impl Connections {
    /// The connection that a webhook's path names, with its adapter; none for one that is not there, was taken
    /// away, or is another provider's.
    ///
    /// # Errors
    /// The database or the vault cannot be reached.
    pub async fn of_webhook(
        &self,
        provider: &str,
        id: ConnectionId,
    ) -> Result<Option<(TenantId, Chosen)>, Refusal> {
        // Before anything is asked: the same for every id.
        let Ok(provider) = PluginId::try_from(provider.to_owned()) else {
            return Ok(None);
        };
        let can = |adapter: &Adapter| adapter.can(Capability::Webhooks);
        if !self.adapters.any(&provider, can) {
            return Ok(None);
        }
        let key = (provider, id);
        let found = self
            .addressed
            .get(key.clone(), || self.read_addressed(&key));
        let found = found.await.map_err(|refusal| Refusal::clone(&refusal))?;
        Ok(found.and_then(|(tenant, connection)| {
            let adapter = self
                .adapters
                .of(tenant)
                .get(&connection.provider)
                .cloned()?;
            adapter
                .can(Capability::Webhooks)
                .then_some((tenant, (connection, adapter)))
        }))
    }

    async fn read_addressed(&self, (provider, id): &AddressKey) -> Result<Addressed, Refusal> {
        let failed = |error| unavailable("look up a connection", &error);
        let tenant = self.store.find_connection_tenant(*id).await;
        let tenant = tenant.map_err(failed)?.unwrap_or(NOBODY);
        let mut tx = self.store.begin_read(tenant).await.map_err(failed)?;
        let row = tx.find_connection(*id).await.map_err(failed)?;
        drop(tx);
        let row = row.filter(|row| row.deleted_at.is_none() && row.provider == provider.as_str());
        match row {
            Some(row) => Ok(Some((row.tenant_id, self.open(&row).await?))),
            None => Ok(None),
        }
    }
}
