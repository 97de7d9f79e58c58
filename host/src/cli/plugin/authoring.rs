//! `onerouter plugin new`, `build`, `check`, `dev`: from an empty folder to a plugin in a gateway's folder.

mod advice;
mod building;
mod check;
mod dev;
mod finding;
mod project;
mod sources;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use onerouter_manifest::{Category, PluginId};

use crate::cli::Global;
use crate::cli::registry::plugin_name;

pub(super) use self::building::Recipe;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuthoringCommand {
    /// Start a plugin: a project that builds, with tests
    #[command(after_help = "Examples:
  onerouter plugin new --category sms acme-texts
  onerouter plugin new --category payments acme-pay --path work/acme

Then: cd acme-texts && cargo test && onerouter plugin build")]
    New {
        /// The plugin's id: the `provider` in paths and objects
        #[arg(value_parser = plugin_name)]
        name: PluginId,
        /// What the provider is for
        #[arg(long)]
        category: ProjectCategory,
        /// Where to write it; a folder of the plugin's name when left out
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
    },
    /// Compile a project and pack it into one file
    #[command(after_help = "Examples:
  onerouter plugin build
  onerouter plugin build work/acme --output plugins/acme.wasm
  onerouter plugin build --json | jq -r .sha256

A project with a Cargo.toml is built by cargo. One of another language has a build.toml:
  command = [\"npm\", \"run\", \"build\"]
  component = \"dist/acme.wasm\"")]
    Build {
        /// The project's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Where to write the plugin; target/ID.wasm in the project when left out
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with a plugin, and what could be better, without running it
    #[command(after_help = "Examples:
  onerouter plugin check
  onerouter plugin check plugins/acme.wasm
  onerouter plugin check --json | jq '.findings[] | select(.severity == \"warning\")'

Ends with 1 where there is an error: the plugin would not load.")]
    Check {
        /// A packed plugin, or the folder of a project that was built
        #[arg(default_value = ".", value_name = "FILE|DIR")]
        plugin: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Build, check and install a project at each change, until Ctrl-C
    #[command(after_help = "Examples:
  onerouter plugin dev
  onerouter plugin dev work/acme --into plugins
  onerouter plugin dev --json | jq -r .outcome

A build that fails leaves what runs in its place.")]
    Dev {
        /// The project's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// The gateway's plugins folder; that of the settings when left out [env: ONEROUTER_PLUGINS_DIR]
        #[arg(long, value_name = "PLUGINS_DIR")]
        into: Option<PathBuf>,
        /// Print a line of JSON for each build
        #[arg(long)]
        json: bool,
    },
}

/// What there are templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ProjectCategory {
    /// Text messages
    Sms,
    /// E-mail
    Email,
    /// Payments and refunds
    Payments,
}

impl From<ProjectCategory> for Category {
    fn from(category: ProjectCategory) -> Self {
        match category {
            ProjectCategory::Sms => Self::Sms,
            ProjectCategory::Email => Self::Email,
            ProjectCategory::Payments => Self::Payments,
        }
    }
}

/// How a command says what it has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

impl From<bool> for Output {
    /// The flag `--json`.
    fn from(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

pub(super) async fn run(global: &Global, command: AuthoringCommand) -> anyhow::Result<()> {
    match command {
        AuthoringCommand::New {
            name,
            category,
            path,
        } => project::create(&name, category.into(), path),
        AuthoringCommand::Build { dir, output, json } => {
            building::run(&dir, output, json.into()).await
        }
        AuthoringCommand::Check { plugin, json } => check::run(&plugin, json.into()).await,
        AuthoringCommand::Dev { dir, into, json } => {
            dev::run(global, &dir, into, json.into()).await
        }
    }
}
