//! `onerouter plugin keygen`, `sign`, `publish`, `yank`: from a packed plugin to one that others can get.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{TimeDelta, Utc};
use clap::Subcommand;
use onerouter_domain::time;
use onerouter_manifest::{Manifest, PluginId, unpack};
use onerouter_registry::client::{FetchError, sidecar_of};
use onerouter_registry::{Digest, KeyPair, STATEMENT_BYTES_MAX, Statement};
use semver::Version;
use serde_json::json;

use super::files::{component_bytes_max, read, replace};
use crate::cli::registry::{At, plugin_name};
use crate::cli::terminal;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PublishingCommand {
    /// Make a key to sign plugins with
    #[command(after_help = "Example:
  onerouter plugin keygen acme.key

Whoever has the file can sign in your name: keep it to yourself, and a copy of it somewhere safe.")]
    Keygen {
        /// Where to write it
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign a packed plugin: writes a statement beside it
    #[command(after_help = "Example:
  onerouter plugin sign acme.wasm --key acme.key --days 365")]
    Sign {
        /// The plugin, as `plugin pack` wrote it
        component: PathBuf,
        /// The key, as `plugin keygen` wrote it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// How long the statement holds
        #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=1_830))]
        days: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish a signed plugin
    #[command(after_help = "Example:
  onerouter plugin publish acme.wasm --registry https://registry.example.com

The key must be known there: onerouter registry key add NAME PUBLIC_KEY")]
    Publish {
        /// The plugin; its statement is the file beside it, with `.sig` at its end
        component: PathBuf,
        #[command(flatten)]
        at: At,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a version back: nobody gets it any more who does not name it exactly
    #[command(after_help = "Examples:
  onerouter plugin yank acme-texts 1.2.0 --reason \"sends twice\"
  onerouter plugin yank acme-texts 1.2.0 --undo")]
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
        at: At,
    },
}

pub(super) async fn run(command: PublishingCommand) -> anyhow::Result<()> {
    match command {
        PublishingCommand::Keygen { file, json } => keygen(&file, json),
        PublishingCommand::Sign {
            component,
            key,
            days,
            json,
        } => sign(&component, &key, days, json),
        PublishingCommand::Publish {
            component,
            at,
            json,
        } => publish(&component, &at, json).await,
        PublishingCommand::Yank {
            name,
            version,
            reason,
            undo: _,
            at,
        } => {
            let (client, registry) = at.open()?;
            match reason {
                Some(reason) => {
                    client.yank(&registry, &name, &version, &reason).await?;
                    terminal::say(&format!("Yanked {name} {version}."));
                }
                None => {
                    client.unyank(&registry, &name, &version).await?;
                    terminal::say(&format!("{name} {version} may be chosen again."));
                }
            }
            Ok(())
        }
    }
}

fn keygen(file: &Path, as_json: bool) -> anyhow::Result<()> {
    let key = KeyPair::generate();
    key.write_new(file)?;
    let public = key.public();
    if as_json {
        return terminal::json(&json!({
            "object": "publisher_key",
            "key": public,
            "id": public.id(),
        }));
    }
    terminal::say(&format!(
        "Wrote the key to {}. Its public half, and the id that people compare:",
        file.display()
    ));
    terminal::data(&format!("{public}\n{}", public.id()));
    Ok(())
}

fn sign(component: &Path, key: &Path, days: u32, as_json: bool) -> anyhow::Result<()> {
    let (manifest, bytes) = plugin(component)?;
    let key = KeyPair::read(key)?;
    let issued = time::cut(Utc::now());
    let statement = Statement {
        name: manifest.id,
        version: manifest.version,
        component: Digest::of(&bytes),
        publisher: key.public(),
        issued,
        expires: issued + TimeDelta::days(days.into()),
    };
    let sidecar = sidecar_of(component);
    let envelope = statement.sign(&key)?.to_json();
    replace(&sidecar, envelope.as_ref())?;
    if as_json {
        return terminal::json(&statement);
    }
    terminal::say(&format!(
        "Wrote {}: {} {} by {}, until {}.",
        sidecar.display(),
        statement.name,
        statement.version,
        statement.publisher.id(),
        time::to_text(statement.expires)
    ));
    Ok(())
}

async fn publish(component: &Path, at: &At, as_json: bool) -> anyhow::Result<()> {
    let (manifest, bytes) = plugin(component)?;
    let sidecar = sidecar_of(component);
    if !fs::exists(&sidecar)? {
        bail!(
            "{} is not signed: run `onerouter plugin sign {} --key FILE`",
            component.display(),
            component.display()
        );
    }
    let most = u64::try_from(STATEMENT_BYTES_MAX).unwrap_or(u64::MAX);
    let statement = read(&sidecar, most)?;
    let (client, registry) = at.open()?;
    let published = client
        .publish(&registry, &manifest.id, bytes.into(), &statement)
        .await;
    if let Err(FetchError::Absent { .. }) = &published {
        bail!(
            "the registry has no plugin {id} yet: a name begins with a key that may sign it; run `onerouter registry key add {id} {key}`",
            id = manifest.id,
            key = Statement::open(&statement)?.statement().publisher
        );
    }
    let published = published?;
    if as_json {
        return terminal::json(&published);
    }
    terminal::say(&format!(
        "Published {} {} at {}.",
        manifest.id,
        manifest.version,
        registry.url()
    ));
    Ok(())
}

fn plugin(component: &Path) -> anyhow::Result<(Manifest, Vec<u8>)> {
    let bytes = read(component, component_bytes_max())?;
    let unpacked =
        unpack(&bytes).with_context(|| format!("{} is no plugin", component.display()))?;
    Ok((unpacked.manifest, bytes))
}
