//! `onerouter migrate`, `tenant`, `key`, `vault`: what an operator does at the database.

use std::sync::Arc;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, TenantId};
use onerouter_domain::time;
use serde_json::json;

use super::{Global, load, terminal};
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{key_providers, make_private_folder, open_store};
use crate::network;
use crate::service::audit::Proof;
use crate::service::caller::{Operator, SCOPES};
use crate::service::changes::Changes;
use crate::service::keys::{CreateKey, Keys};
use crate::service::refusal::Refusal;
use crate::service::tenants::{NAME_LENGTH_MAX, Tenants};
use crate::store::DEFAULT_TENANT;
use crate::store::{Store, StoreConfig};
use crate::vault::Vault;

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant
    #[command(after_help = "Example:\n  onerouter tenant create --name Acme --json")]
    Create {
        /// Its name
        #[arg(long, value_parser = name)]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke every API key of a tenant; its data stays
    #[command(after_help = "Example:\n  onerouter tenant revoke ten_01h455vb4pex5vsknk084sn02q")]
    Revoke {
        /// Its id
        id: TenantId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a tenant with everything of it but the audit log; it cannot be undone
    #[command(after_help = "Example:
  onerouter tenant delete ten_01h455vb4pex5vsknk084sn02q --name Acme

API keys, credentials and the keys that encrypt them are destroyed first, then the rest in
pieces. Stopped halfway, it goes on when it is run again.")]
    Delete {
        /// Its id
        id: TenantId,
        /// Its name, so that it is the right one
        #[arg(long)]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List tenants
    #[command(after_help = "Example:\n  onerouter tenant list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct ForTenant {
    /// Which tenant; the default one when left out
    #[arg(long, value_name = "TENANT", env = "ONEROUTER_TENANT")]
    tenant: Option<TenantId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ForTenant {
    fn tenant(&self) -> TenantId {
        self.tenant.unwrap_or(DEFAULT_TENANT)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Create an API key; it is shown this one time
    #[command(after_help = "Examples:
  onerouter key create --environment test --name shop
  onerouter key create --environment live --name reports --scope sms:read --scope email:read")]
    Create {
        /// test or live
        #[arg(long)]
        environment: Environment,
        /// Its name
        #[arg(long, value_parser = name)]
        name: String,
        /// What it may do; everything when left out
        #[arg(long = "scope", value_parser = SCOPES)]
        scopes: Vec<String>,
        /// From where it may be used: an address or a network; from anywhere when left out
        #[arg(long = "allow-ip", value_name = "ADDRESS", value_parser = network_of)]
        allowed_ips: Vec<IpNet>,
        #[command(flatten)]
        of: ForTenant,
    },
    /// List API keys
    #[command(after_help = "Example:\n  onerouter key list --json")]
    List {
        #[command(flatten)]
        of: ForTenant,
    },
    /// Revoke an API key; running gateways notice within a second
    #[command(after_help = "Example:\n  onerouter key revoke key_01h455vb4pex5vsknk084sn02q")]
    Revoke {
        /// Its id
        id: ApiKeyId,
        #[command(flatten)]
        of: ForTenant,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum VaultCommand {
    /// Wrap every data key anew under ENCRYPTION_KEY, while traffic flows
    #[command(after_help = "Example:
  ENCRYPTION_KEY=NEW ENCRYPTION_KEY_PREVIOUS=OLD onerouter vault rotate

Give the new key as ENCRYPTION_KEY and the old one as ENCRYPTION_KEY_PREVIOUS, here and to
every running gateway. Killed halfway, it goes on where it stopped when it is run again.")]
    Rotate {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn network_of(text: &str) -> Result<IpNet, String> {
    network::parse(text).ok_or_else(|| format!("must be {}", network::RULE))
}

fn name(text: &str) -> Result<String, String> {
    if (1..=NAME_LENGTH_MAX).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(format!("a name has 1 to {NAME_LENGTH_MAX} characters"))
    }
}

async fn open(config: &Config) -> anyhow::Result<Store> {
    make_private_folder(&config.data_dir)?;
    Ok(open_store(config).await?)
}

fn refused(refusal: Refusal) -> anyhow::Error {
    anyhow::anyhow!(refusal.detail)
}

pub(super) async fn migrate(global: &Global) -> anyhow::Result<()> {
    let config = load(&global.flags())?;
    make_private_folder(&config.data_dir)?;
    let store = Store::connect(&StoreConfig::new(config.database_url.clone())).await?;
    match &config.migrate_database_url {
        Some(owner) => store.migrate_as(owner).await?,
        None => store.migrate().await?,
    }
    terminal::say("The database is up to date.");
    store.close().await;
    Ok(())
}

pub(super) async fn tenant(global: &Global, command: TenantCommand) -> anyhow::Result<()> {
    let store = open(&load(&global.flags())?).await?;
    // Nodes look for what has changed.
    let changes = Arc::new(Changes::new(store.clone()));
    let tenants = Tenants::new(store.clone(), Clock::default(), Arc::clone(&changes));
    match command {
        TenantCommand::Create { name, json } => {
            let tenant = tenants
                .create(Operator::on_command_line(DEFAULT_TENANT).actor, name)
                .await
                .map_err(refused)?;
            if json {
                terminal::json(&json!({
                    "id": tenant.id, "object": "tenant", "name": tenant.name,
                    "created_at": time::to_text(tenant.created_at),
                }))?;
            } else {
                terminal::data(&tenant.id.to_string());
            }
        }
        TenantCommand::Revoke { id, json } => {
            let is_known = store.find_tenant(id).await?.is_some();
            anyhow::ensure!(is_known, "there is no tenant {id}");
            let clock = Clock::default();
            let keys = Keys::new(store.clone(), clock, changes);
            let revoked = keys
                .revoke_all(&Operator::on_command_line(id))
                .await
                .map_err(refused)?;
            if json {
                terminal::json(&json!({ "id": id, "object": "tenant", "revoked_keys": revoked }))?;
            } else {
                terminal::say(&format!("Revoked {revoked} API key(s) of {id}."));
            }
        }
        TenantCommand::Delete { id, name, json } => {
            let operator = Operator::on_command_line(id);
            let deleted = tenants.delete(&operator, &name).await.map_err(refused)?;
            if json {
                terminal::json(&json!({ "id": id, "object": "tenant", "deleted": true }))?;
            } else {
                terminal::say(&format!("Deleted {id} and {deleted} row(s) of it."));
            }
        }
        TenantCommand::List { json } => {
            let tenants = tenants.all().await.map_err(refused)?;
            if json {
                let data: Vec<_> = tenants
                    .iter()
                    .map(|tenant| {
                        json!({
                            "id": tenant.id, "object": "tenant", "name": tenant.name,
                            "created_at": time::to_text(tenant.created_at),
                        })
                    })
                    .collect();
                terminal::json(&json!({ "object": "list", "data": data }))?;
            } else {
                let rows = tenants.into_iter().map(|tenant| {
                    vec![
                        tenant.id.to_string(),
                        tenant.name,
                        time::to_text(tenant.created_at),
                    ]
                });
                terminal::table(&["ID", "NAME", "CREATED"], rows.collect());
            }
        }
    }
    store.close().await;
    Ok(())
}

pub(super) async fn key(global: &Global, command: KeyCommand) -> anyhow::Result<()> {
    let store = open(&load(&global.flags())?).await?;
    let of = match &command {
        KeyCommand::Create { of, .. } | KeyCommand::List { of } | KeyCommand::Revoke { of, .. } => {
            of
        }
    };
    if store.find_tenant(of.tenant()).await?.is_none() {
        return Err(refused(Refusal::not_found("tenant")));
    }
    let clock = Clock::default();
    // Nodes look for what has changed.
    let changes = Arc::new(Changes::new(store.clone()));
    let keys = Keys::new(store.clone(), clock, changes);
    match command {
        KeyCommand::Create {
            environment,
            name,
            scopes,
            allowed_ips,
            of,
        } => {
            let new = CreateKey {
                name,
                environment,
                scopes: (!scopes.is_empty()).then_some(scopes),
                expires_at: None,
                rate: None,
                allowed_ips: (!allowed_ips.is_empty()).then_some(allowed_ips),
            };
            let created = keys
                .create(&Operator::on_command_line(of.tenant()), new)
                .await
                .map_err(refused)?;
            if of.json {
                terminal::json(&json!({
                    "id": created.row.id, "object": "api_key", "name": created.row.name,
                    "environment": environment, "key": created.key.expose(),
                }))?;
            } else {
                terminal::say("Keep this key; it cannot be shown again:");
                terminal::data(created.key.expose());
            }
        }
        KeyCommand::List { of } => list_keys(&keys, &of).await?,
        KeyCommand::Revoke { id, of } => {
            keys.revoke(&Operator::on_command_line(of.tenant()), id)
                .await
                .map_err(refused)?;
            if of.json {
                terminal::json(&json!({ "id": id, "object": "api_key", "revoked": true }))?;
            } else {
                terminal::say(&format!("Revoked {id}."));
            }
        }
    }
    store.close().await;
    Ok(())
}

async fn list_keys(keys: &Keys, of: &ForTenant) -> anyhow::Result<()> {
    const PAGE: u16 = 100;
    let mut rows = Vec::new();
    let mut before = None;
    loop {
        let mut page = keys
            .list(of.tenant(), PAGE, before)
            .await
            .map_err(refused)?;
        let has_more = page.len() > usize::from(PAGE);
        page.truncate(usize::from(PAGE));
        before = page.last().map(|row| row.id.uuid());
        rows.extend(page);
        if !has_more {
            break;
        }
    }
    if of.json {
        let data: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.id, "object": "api_key", "name": row.name,
                    "environment": row.environment, "prefix": row.prefix, "last4": row.last4,
                    "allowed_ips": row.allowed_ips.as_ref().map(|networks| {
                        networks.iter().map(IpNet::to_string).collect::<Vec<_>>()
                    }),
                    "created_at": time::to_text(row.created_at),
                    "last_used_at": row.last_used_at.map(time::to_text),
                    "revoked_at": row.revoked_at.map(time::to_text),
                })
            })
            .collect();
        return terminal::json(&json!({ "object": "list", "data": data }));
    }
    let rows = rows.into_iter().map(|row| {
        let state = if row.revoked_at.is_some() {
            "revoked"
        } else {
            "active"
        };
        let used = row
            .last_used_at
            .map_or_else(|| "never".to_owned(), time::to_text);
        vec![
            row.id.to_string(),
            row.name,
            format!("{}…{}", row.prefix, row.last4),
            state.to_owned(),
            used,
        ]
    });
    terminal::table(&["ID", "NAME", "KEY", "STATE", "LAST USED"], rows.collect());
    Ok(())
}

pub(super) async fn vault(global: &Global, command: VaultCommand) -> anyhow::Result<()> {
    let VaultCommand::Rotate { json } = command;
    let config = load(&global.flags())?;
    // A generated key is not chosen by anybody, and there is none before it.
    anyhow::ensure!(
        config.master_keys.is_some() || config.hashicorp_vault.is_some(),
        "set ENCRYPTION_KEY to the new master key and ENCRYPTION_KEY_PREVIOUS to the old one",
    );
    let keys = key_providers(&config)?;
    let store = open(&config).await?;
    let rotation = Vault::new(keys, store.clone())
        .rotate(&Proof::CommandLine.to_string())
        .await?;
    let previous = if config.hashicorp_vault.is_some() {
        "the keys from before"
    } else {
        "ENCRYPTION_KEY_PREVIOUS"
    };
    if json {
        terminal::json(&json!({
            "object": "vault.rotation", "tenants": rotation.tenants, "rewrapped": rotation.rewrapped,
        }))?;
    } else {
        terminal::say(&format!(
            "Wrapped {} data key(s) of {} tenant(s) anew. Not needed any longer: {previous}.",
            rotation.rewrapped, rotation.tenants
        ));
    }
    store.close().await;
    Ok(())
}
