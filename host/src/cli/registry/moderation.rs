//! `onerouter registry moderate`: what whoever runs a registry may do about every name, at its database: a
//! publisher may be gone, or be the trouble.

use clap::Subcommand;
use onerouter_manifest::PluginId;
use onerouter_registry::KeyId;
use onerouter_registry::server::NewAdvisory;
use semver::{Version, VersionReq};
use serde_json::json;

use super::accounts::{close, find};
use super::place::Place;
use super::plugin_name;
use crate::cli::{Global, terminal};
use crate::config::key_id;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ModerationCommand {
    /// End a publisher's key for a plugin, and what it has signed
    #[command(
        after_help = "Example:\n  onerouter registry moderate revoke-key acme-texts sha256:… --reason \"it was stolen\""
    )]
    RevokeKey {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: PluginId,
        /// The key, or its id
        #[arg(id = "revoked", value_name = "KEY", value_parser = parse_key)]
        key: KeyId,
        /// Why; everybody reads it
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take a version back, or let it be chosen again
    #[command(after_help = "Examples:
  onerouter registry moderate yank acme-texts 1.2.0 --reason \"sends twice\"
  onerouter registry moderate yank acme-texts 1.2.0 --undo")]
    Yank {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: PluginId,
        /// Which version
        #[arg(id = "yanked", value_name = "VERSION")]
        version: Version,
        /// Why; everybody reads it
        #[arg(long, required_unless_present = "undo")]
        reason: Option<String>,
        /// Let it be chosen again
        #[arg(long, conflicts_with = "reason")]
        undo: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Warn those who run certain versions
    #[command(after_help = "Example:
  onerouter registry moderate advise acme-texts --affected \"<1.2.1\" --summary \"sends twice after a timeout\"")]
    Advise {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: PluginId,
        /// Which versions
        #[arg(long, value_name = "RANGE")]
        affected: VersionReq,
        /// What it is about, in one line
        #[arg(long)]
        summary: String,
        /// Where more is said: https://…
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let an account do nothing any more; what it has published stays
    #[command(after_help = "Example:\n  onerouter registry moderate suspend acme")]
    Suspend {
        /// Its name
        account: String,
        #[command(flatten)]
        place: Place,
    },
    /// Let a suspended account publish again
    #[command(after_help = "Example:\n  onerouter registry moderate resume acme")]
    Resume {
        /// Its name
        account: String,
        #[command(flatten)]
        place: Place,
    },
}

fn parse_key(text: &str) -> Result<KeyId, String> {
    key_id(text).ok_or_else(|| "must be a publisher's key or its id".to_owned())
}

pub(super) async fn run(global: &Global, command: ModerationCommand) -> anyhow::Result<()> {
    match command {
        ModerationCommand::RevokeKey {
            name,
            key,
            reason,
            place,
        } => {
            let registry = place.open(global).await?;
            registry.revoke_key(&name, key, &reason).await?;
            close(registry).await?;
            terminal::say(&format!("{key} may sign {name} no more."));
        }
        ModerationCommand::Yank {
            name,
            version,
            reason,
            undo: _,
            place,
        } => {
            let registry = place.open(global).await?;
            registry
                .yank_version(&name, &version, reason.as_deref())
                .await?;
            close(registry).await?;
            terminal::say(&match reason {
                Some(_) => format!("Yanked {name} {version}."),
                None => format!("{name} {version} may be chosen again."),
            });
        }
        ModerationCommand::Advise {
            name,
            affected,
            summary,
            url,
            place,
            json,
        } => {
            let registry = place.open(global).await?;
            let advisory = NewAdvisory {
                affected,
                summary,
                url,
            };
            let id = registry.publish_advisory(&name, advisory).await?;
            close(registry).await?;
            if json {
                return terminal::json(&json!({"object": "advisory", "id": id, "plugin": name}));
            }
            terminal::say(&format!("Published {id} about {name}."));
        }
        ModerationCommand::Suspend { account, place } => {
            let registry = place.open(global).await?;
            let owner = find(&registry, &account).await?;
            registry.suspend_account(owner.id).await?;
            close(registry).await?;
            terminal::say(&format!("{account} publishes nothing any more."));
        }
        ModerationCommand::Resume { account, place } => {
            let registry = place.open(global).await?;
            let owner = find(&registry, &account).await?;
            registry.resume_account(owner.id).await?;
            close(registry).await?;
            terminal::say(&format!("{account} may publish again."));
        }
    }
    Ok(())
}
