//! `onerouter registry account`, `token`: what the registry's operator does at its database.

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::Subcommand;
use onerouter_domain::time;
use onerouter_registry::server::{Account, NewToken, Registry};
use serde_json::json;
use uuid::Uuid;

use super::place::Place;
use crate::cli::{Global, terminal};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AccountCommand {
    /// Create an account
    #[command(after_help = "Example:\n  onerouter registry account create acme")]
    Create {
        /// Its name, which is shown beside its plugins
        name: String,
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List accounts
    #[command(after_help = "Example:\n  onerouter registry account list")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenCommand {
    /// Create a token; it is shown once
    #[command(
        after_help = "Example:\n  onerouter registry token create acme --label laptop --days 90 > token"
    )]
    Create {
        /// Whose
        account: String,
        /// What it is for
        #[arg(long)]
        label: String,
        /// How long it is good; until it is revoked when left out
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens of an account
    #[command(after_help = "Example:\n  onerouter registry token list acme")]
    List {
        /// Whose
        account: String,
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token
    #[command(
        after_help = "Example:\n  onerouter registry token revoke 01939b5c-7a3e-7c52-9a5e-5f1f6f3c2a10"
    )]
    Revoke {
        /// Its id
        id: Uuid,
        #[command(flatten)]
        place: Place,
    },
}

pub(super) async fn account(global: &Global, command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Create { name, place, json } => {
            let registry = place.open(global).await?;
            let account = registry.create_account(&name).await?;
            if json {
                terminal::json(&shown(&account))?;
            } else {
                terminal::say(&format!(
                    "Created the account {name}. Give it a token: onerouter registry token create {name} --label …"
                ));
            }
            close(registry).await
        }
        AccountCommand::List { place, json } => {
            let registry = place.open(global).await?;
            let accounts = registry.list_accounts().await?;
            if json {
                let data: Vec<_> = accounts.iter().map(shown).collect();
                terminal::json(&json!({"object": "list", "data": data}))?;
            } else {
                let row = |one: &Account| vec![one.name.clone(), time::to_text(one.created_at)];
                terminal::table(&["name", "created"], accounts.iter().map(row).collect());
            }
            close(registry).await
        }
    }
}

pub(super) async fn token(global: &Global, command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create {
            account,
            label,
            days,
            place,
            json,
        } => {
            let registry = place.open(global).await?;
            let owner = find(&registry, &account).await?;
            let new = NewToken {
                label,
                lifetime: days.map(|days| TimeDelta::days(days.into())),
            };
            let (token, secret) = registry.create_token(owner.id, new).await?;
            if json {
                terminal::json(&json!({
                    "object": "registry_token",
                    "id": token.id,
                    "account": account,
                    "label": token.label,
                    "expires_at": token.expires_at.map(time::to_text),
                    "token": secret.expose(),
                }))?;
            } else {
                terminal::say(&format!("The token {} is shown this once.", token.id));
                terminal::data(secret.expose());
            }
            close(registry).await
        }
        TokenCommand::List {
            account,
            place,
            json,
        } => {
            let registry = place.open(global).await?;
            let owner = find(&registry, &account).await?;
            let tokens = registry.list_tokens(owner.id).await?;
            let moment = |at: Option<_>| at.map(time::to_text);
            if json {
                let one = |token: &onerouter_registry::server::Token| {
                    json!({
                        "object": "registry_token",
                        "id": token.id,
                        "label": token.label,
                        "created_at": time::to_text(token.created_at),
                        "expires_at": moment(token.expires_at),
                        "revoked_at": moment(token.revoked_at),
                    })
                };
                let data: Vec<_> = tokens.iter().map(one).collect();
                terminal::json(&json!({"object": "list", "data": data}))?;
            } else {
                let row = |token: &onerouter_registry::server::Token| {
                    vec![
                        token.id.to_string(),
                        token.label.clone(),
                        time::to_text(token.created_at),
                        moment(token.expires_at).unwrap_or_default(),
                        moment(token.revoked_at).unwrap_or_default(),
                    ]
                };
                let header = ["id", "label", "created", "expires", "revoked"];
                terminal::table(&header, tokens.iter().map(row).collect());
            }
            close(registry).await
        }
        TokenCommand::Revoke { id, place } => {
            let registry = place.open(global).await?;
            let was_there = registry.revoke_token(id).await?;
            close(registry).await?;
            if !was_there {
                bail!("no token has the id {id}, or it is revoked already");
            }
            terminal::say("Revoked.");
            Ok(())
        }
    }
}

pub(super) async fn find(registry: &Registry, name: &str) -> anyhow::Result<Account> {
    let found = registry.find_account(name).await?;
    found.with_context(|| {
        format!("there is no account {name}; `onerouter registry account list` shows all")
    })
}

pub(super) async fn close(registry: Registry) -> anyhow::Result<()> {
    registry.close().await.context("cannot close the registry")
}

fn shown(account: &Account) -> serde_json::Value {
    json!({
        "object": "registry_account",
        "id": account.id,
        "name": account.name,
        "blob_bytes_max": account.blob_bytes_max,
        "names_max": account.names_max,
        "created_at": time::to_text(account.created_at),
    })
}
