//! `onerouter registry key`: whose signatures count for a plugin.

use clap::Subcommand;
use onerouter_manifest::PluginId;
use onerouter_registry::{KeyId, PublicKey};

use super::{At, plugin_name};
use crate::cli::terminal;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Let a key sign versions of a plugin; a name that is free is yours from then on
    #[command(
        after_help = "Example:\n  onerouter registry key add acme-texts ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    )]
    Add {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: PluginId,
        /// The public key, as `onerouter plugin keygen` prints it
        key: PublicKey,
        #[command(flatten)]
        at: At,
    },
    /// Nothing that a key has signed counts any more
    #[command(
        after_help = "Example:\n  onerouter registry key revoke acme-texts KEY_ID --reason \"laptop stolen\""
    )]
    Revoke {
        /// The plugin
        #[arg(value_parser = plugin_name)]
        name: PluginId,
        /// The key's id
        key_id: KeyId,
        /// Why; everybody reads it
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        at: At,
    },
}

pub(super) async fn run(command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Add { name, key, at } => {
            let (client, registry) = at.open()?;
            let id = key.id();
            client.add_key(&registry, &name, key).await?;
            terminal::say(&format!("{id} may sign {name}."));
        }
        KeyCommand::Revoke {
            name,
            key_id,
            reason,
            at,
        } => {
            let (client, registry) = at.open()?;
            client.revoke_key(&registry, &name, key_id, &reason).await?;
            terminal::say(&format!("{key_id} does not count for {name} any more."));
        }
    }
    Ok(())
}
