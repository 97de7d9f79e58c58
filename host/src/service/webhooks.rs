//! Outbound webhooks: where tenants want to hear of events, and what is told to them.
//!
//! - [`delivery`]: telling it, with [`schedule`] and [`signing`]
//! - [`endpoints`]: endpoints, from their making to their end
//! - [`events`]: what happened, as a list, as a feed, and told once more
//! - [`secrets`]: what an endpoint's deliveries are signed and sent with
//! - [`target`]: which URLs an endpoint may have
//! - [`samples`]: events that have not happened, to try things with
//! - [`view`]: what of all that is shown
//! - `reach`: of which events a key may hear
//! - `repeats`: a request that is sent twice is answered twice and done once

pub mod delivery;
pub mod endpoints;
pub mod events;
mod reach;
mod repeats;
pub mod samples;
pub mod schedule;
pub mod secrets;
pub mod signing;
pub mod target;
pub mod view;

use chrono::{DateTime, Utc};
use onerouter_domain::id::WebhookEndpointId;

use super::audit::{self, Actor, Change};
use super::authentication::unavailable;
use super::caller::Caller;
use super::objects::Intent;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::config::WebhookTargets;
use crate::store::{Store, TenantTx, WebhookEndpointRow};
use crate::vault::{Vault, VaultError};
use secrets::{EndpointPlace, EndpointSecrets, SecretsError};

/// What a person calls an endpoint.
const NOUN: &str = "webhook endpoint";

/// Who asks for something, and by which request: the same one again is answered as the first was.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// For whom.
    pub caller: &'a Caller,
    /// Who it is, for the audit log.
    pub actor: &'a Actor,
    /// By what the request is known again.
    pub intent: &'a Intent,
}

/// Endpoints and events of tenants.
#[derive(Debug, Clone)]
pub struct Webhooks {
    store: Store,
    vault: Vault,
    clock: Clock,
    targets: WebhookTargets,
}

impl Webhooks {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store, vault: Vault, clock: Clock, targets: WebhookTargets) -> Self {
        Self {
            store,
            vault,
            clock,
            targets,
        }
    }

    /// Where webhooks may be sent.
    #[must_use]
    pub const fn targets(&self) -> WebhookTargets {
        self.targets
    }

    /// One of the caller's endpoints.
    async fn endpoint(
        &self,
        caller: &Caller,
        id: WebhookEndpointId,
    ) -> Result<WebhookEndpointRow, Refusal> {
        let failed = |error| unavailable("cannot find a webhook endpoint", &error);
        let mut tx = self.store.begin_read(caller.tenant).await.map_err(failed)?;
        let found = tx.find_webhook_endpoint(id).await.map_err(failed)?;
        found
            .filter(|row| row.environment == caller.environment)
            .ok_or_else(|| Refusal::not_found(NOUN))
    }

    /// The same with its secrets.
    async fn opened(
        &self,
        caller: &Caller,
        id: WebhookEndpointId,
    ) -> Result<(WebhookEndpointRow, EndpointSecrets), Refusal> {
        let row = self.endpoint(caller, id).await?;
        let secrets = self.open(&row).await?;
        Ok((row, secrets))
    }

    async fn open(&self, row: &WebhookEndpointRow) -> Result<EndpointSecrets, Refusal> {
        EndpointSecrets::open(&self.vault, place_of(row), &row.secrets)
            .await
            .map_err(|error| sealing_failed("cannot open a webhook endpoint", &error))
    }
}

/// Notes what was done, keeps the answer, and commits.
async fn finish(
    mut tx: TenantTx,
    asked: Asked<'_>,
    change: Change,
    answer: (u16, &[u8]),
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let failed = |error| unavailable("cannot finish a request about webhooks", &error);
    audit::record_by(&mut tx, asked.actor, change, now)
        .await
        .map_err(failed)?;
    repeats::keep(&mut tx, asked, answer, now).await?;
    tx.commit().await.map_err(failed)
}

const fn place_of(row: &WebhookEndpointRow) -> EndpointPlace {
    EndpointPlace {
        tenant: row.tenant_id,
        environment: row.environment,
        endpoint: row.id,
    }
}

fn sealing_failed(during: &str, error: &SecretsError) -> Refusal {
    match error {
        SecretsError::Vault(VaultError::Store(error)) => unavailable(during, error),
        SecretsError::Vault(VaultError::ProviderUnavailable(_)) => Refusal::overloaded(
            during,
            error,
            "The gateway cannot reach the keys of its vault; nothing was changed. Try again.",
        ),
        SecretsError::Vault(_) | SecretsError::Random | SecretsError::Unreadable => {
            Refusal::internal(during, error)
        }
    }
}
