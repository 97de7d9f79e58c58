//! The commands of the `onerouter` program. Data goes to standard output, talk to standard error.

mod core_dump;
mod dev;
mod doctor;
mod manage;
mod plugin;
mod registry;
mod sandbox;
mod serve;
mod terminal;
mod webhooks;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use onerouter_engine::{Compiler, CompilerProcess};

use crate::config::{Config, Flags};

/// One API in front of many service providers.
#[derive(Debug, Parser)]
#[command(
    name = "onerouter",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  onerouter dev                      try everything on this machine
  onerouter serve                    run the gateway
  onerouter key create --environment test --name shop
Settings come from onerouter.toml and the environment; see `onerouter doctor`.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Settings file; ./onerouter.toml when left out
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Embedded database, generated keys, compiled code, plugins [env: ONEROUTER_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Global {
    fn flags(&self) -> Flags {
        Flags {
            file: self.config.clone(),
            data_dir: self.data_dir.clone(),
            bind: None,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    #[command(after_help = "Examples:
  onerouter serve
  ONEROUTER_BIND=127.0.0.1:9000 onerouter serve
  DATABASE_URL=postgres://app@db/onerouter ENCRYPTION_KEY=… ENVIRONMENT=production onerouter serve")]
    Serve(serve::ServeArgs),
    /// Run the gateway and the provider sandbox, with everything connected
    #[command(after_help = "Examples:
  onerouter dev
  onerouter dev --json | head -1 | jq -r .api_key")]
    Dev(dev::DevArgs),
    /// Run the emulated providers alone, for gateways that run elsewhere
    #[command(after_help = "Examples:
  onerouter sandbox
  onerouter sandbox --bind 127.0.0.1:0 --json")]
    Sandbox(sandbox::SandboxArgs),
    /// Bring the database up to date
    #[command(after_help = "Example:
  ONEROUTER_MIGRATE_DATABASE_URL=postgres://owner@db/onerouter DATABASE_URL=postgres://app@db/onerouter onerouter migrate")]
    Migrate,
    /// Create and list tenants
    #[command(
        subcommand,
        after_help = "Example:\n  onerouter tenant create --name Acme"
    )]
    Tenant(manage::TenantCommand),
    /// Create, list and revoke API keys
    #[command(
        subcommand,
        after_help = "Example:\n  onerouter key create --environment test --name shop"
    )]
    Key(manage::KeyCommand),
    /// Look after the vault
    #[command(
        subcommand,
        after_help = "Example:\n  ENCRYPTION_KEY=NEW ENCRYPTION_KEY_PREVIOUS=OLD onerouter vault rotate"
    )]
    Vault(manage::VaultCommand),
    /// Make plugins, publish them, install them and take them back
    #[command(
        subcommand,
        after_help = "Examples:
  onerouter plugin new --category sms acme
  onerouter plugin inspect plugins/acme.wasm"
    )]
    Plugin(plugin::PluginCommand),
    /// Run a marketplace registry, or sign in to one
    #[command(subcommand, after_help = "Example:\n  onerouter registry serve")]
    Registry(registry::RegistryCommand),
    /// Follow events, make samples, send events again
    #[command(
        subcommand,
        after_help = "Example:\n  ONEROUTER_API_KEY=unf_test_… onerouter webhooks listen --forward-to http://127.0.0.1:3000/hook"
    )]
    Webhooks(webhooks::WebhooksCommand),
    /// Print the OpenAPI document
    #[command(after_help = "Example:\n  onerouter openapi > openapi.json")]
    Openapi,
    /// Check configuration, database, keys and plugins, and say how to mend what is wrong
    #[command(after_help = "Examples:\n  onerouter doctor\n  onerouter doctor --json")]
    Doctor(doctor::DoctorArgs),
    /// Print a completion script
    #[command(
        after_help = "Example:\n  onerouter completions bash > /etc/bash_completion.d/onerouter"
    )]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// Runs the command that the program was called with.
///
/// # Errors
/// Whatever the command fails with; the program then ends with a status other than 0.
pub async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let global = cli.global;
    // The commands that serve choose their own log and moment.
    if !matches!(cli.command, Command::Serve(_) | Command::Dev(_)) {
        terminal::start_log("error");
        core_dump::forbid()?;
    }
    match cli.command {
        // On the heap: they hold a whole gateway while it starts.
        Command::Serve(args) => Box::pin(serve::run(&global, args)).await,
        Command::Dev(args) => Box::pin(dev::run(&global, args)).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Migrate => manage::migrate(&global).await,
        Command::Tenant(command) => manage::tenant(&global, command).await,
        Command::Key(command) => manage::key(&global, command).await,
        Command::Vault(command) => manage::vault(&global, command).await,
        Command::Plugin(command) => plugin::run(&global, command).await,
        Command::Registry(command) => registry::run(&global, command).await,
        Command::Webhooks(command) => webhooks::run(command).await,
        Command::Openapi => {
            let text = crate::http::document()
                .to_pretty_json()
                .context("cannot write JSON")?;
            terminal::data(&text);
            Ok(())
        }
        Command::Doctor(args) => doctor::run(&global, args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "onerouter", &mut script);
            terminal::data(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

fn load(flags: &Flags) -> anyhow::Result<Config> {
    Ok(with_compiler(Config::load(flags)?))
}

fn with_compiler(config: Config) -> Config {
    Config {
        compiler: compiler(),
        ..config
    }
}

/// This program knows how to compile in a process of its own; see `main`.
fn compiler() -> Compiler {
    // Where the system does not say which program this is, it compiles without bounds on its time.
    CompilerProcess::this_program().map_or(Compiler::Here, Compiler::Apart)
}
