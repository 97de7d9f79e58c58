//! `onerouter registry`: a marketplace registry, who may publish there, and signing in to one.

mod accounts;
mod conformance;
mod credentials;
mod keys;
mod moderation;
mod place;
mod serve;

use clap::Subcommand;
use onerouter_manifest::PluginId;

use super::Global;

pub(super) use credentials::At;

#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// Run a registry: an OCI registry with an index of plugins that clients can check
    #[command(after_help = "Examples:
  onerouter registry serve
  onerouter registry serve --bind 127.0.0.1:0 --json
  onerouter registry serve --database-url-file /run/secrets/registry-db --blobs s3://bucket/plugins --key /etc/onerouter/registry.key")]
    Serve(serve::ServeArgs),
    /// Bring a registry's tables up to date as their owner, for a registry that owns none
    #[command(
        after_help = "Example:\n  onerouter registry migrate --database-url-file owner-url --role registry"
    )]
    Migrate(place::MigrateArgs),
    /// Create and list accounts of publishers
    #[command(
        subcommand,
        after_help = "Example:\n  onerouter registry account create acme"
    )]
    Account(accounts::AccountCommand),
    /// Create, list and revoke tokens of an account
    #[command(
        subcommand,
        after_help = "Example:\n  onerouter registry token create acme --label laptop > token"
    )]
    Token(accounts::TokenCommand),
    /// Look after what strangers publish
    #[command(
        subcommand,
        after_help = "Example:\n  onerouter registry moderate yank acme-texts 1.2.0 --reason \"sends twice\""
    )]
    Moderate(moderation::ModerationCommand),
    /// Remember a registry's key and a token for it
    #[command(after_help = "Examples:
  onerouter registry login https://registry.example.com < token
  onerouter registry login https://registry.example.com --token-file token

The registry's key is shown: compare it with what its operator says elsewhere. A registry that shows
another key later is refused.")]
    Login(credentials::LoginArgs),
    /// Say whose signatures count for a plugin
    #[command(
        subcommand,
        after_help = "Example:\n  onerouter registry key add acme-texts ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    )]
    Key(keys::KeyCommand),
}

pub(super) async fn run(global: &Global, command: RegistryCommand) -> anyhow::Result<()> {
    match command {
        RegistryCommand::Serve(args) => serve::run(global, args).await,
        RegistryCommand::Migrate(args) => place::migrate(args).await,
        RegistryCommand::Account(command) => accounts::account(global, command).await,
        RegistryCommand::Token(command) => accounts::token(global, command).await,
        RegistryCommand::Moderate(command) => moderation::run(global, command).await,
        RegistryCommand::Login(args) => credentials::login(args).await,
        RegistryCommand::Key(command) => keys::run(command).await,
    }
}

/// A plugin's name in an argument.
pub(super) fn plugin_name(text: &str) -> Result<PluginId, String> {
    PluginId::try_from(text.to_owned())
}
