//! Where a registry keeps its things.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use onerouter_registry::KeyPair;
use onerouter_registry::server::{self, Registry, RegistryConfig, Schema};
use secrecy::SecretString;
use url::Url;

use super::conformance::Conformance;
use crate::cli::{Global, terminal};
use crate::config::Config;
use crate::gateway::make_private_folder;

/// A URL of a database is short.
const URL_BYTES_MAX: u64 = 4 << 10;

/// What S3 and its kin are told with.
const STORE_VARIABLES: &str = "AWS_";

#[derive(Debug, Args)]
pub(in crate::cli) struct Place {
    /// File with the database's URL (sqlite:, postgres:); SQLite in the data directory when left out
    #[arg(
        long,
        value_name = "FILE",
        env = "ONEROUTER_REGISTRY_DATABASE_URL_FILE"
    )]
    database_url_file: Option<PathBuf>,
    /// The tables are brought up to date by their owner (`registry migrate`), not by this program
    #[arg(long)]
    expect_schema: bool,
    /// Where components are kept: file:///folder, or s3://bucket/prefix with credentials in AWS_…
    /// variables; a folder in the data directory when left out
    #[arg(long, value_name = "URL", env = "ONEROUTER_REGISTRY_BLOBS")]
    blobs: Option<String>,
    /// The key that the index is signed with: the registry's identity. Made in the data directory
    /// when left out
    #[arg(long, value_name = "FILE", env = "ONEROUTER_REGISTRY_KEY_FILE")]
    key: Option<PathBuf>,
}

impl Place {
    pub(super) async fn open(&self, global: &Global) -> anyhow::Result<Registry> {
        let folder = Config::data_folder(&global.flags())?.join("registry");
        make_private_folder(&folder)?;
        let folder = fs::canonicalize(&folder)
            .with_context(|| format!("cannot use {}", folder.display()))?;
        let database_url = match &self.database_url_file {
            Some(file) => url_in(file)?,
            None => format!("sqlite://{}", folder.join("registry.db").display()),
        };
        let blobs_url = match &self.blobs {
            Some(url) => url.clone(),
            None => own_folder(&folder.join("blobs"))?,
        };
        let key = match &self.key {
            Some(file) => KeyPair::read(file)?,
            None => own_key(&folder.join("registry.key"))?,
        };
        let mut config = RegistryConfig::new(database_url, blobs_url, key);
        if self.expect_schema {
            config.schema = Schema::Expect;
        }
        config.checks.push(Arc::new(Conformance::default()));
        config.blobs_options = std::env::vars()
            .filter(|(name, _)| name.starts_with(STORE_VARIABLES))
            .map(|(name, value)| (name, SecretString::from(value)))
            .collect();
        Registry::open(config)
            .await
            .context("cannot open the registry")
    }
}

fn own_folder(folder: &Path) -> anyhow::Result<String> {
    make_private_folder(folder)?;
    match Url::from_directory_path(folder) {
        Ok(url) => Ok(url.into()),
        Err(()) => bail!("{} is no absolute path", folder.display()),
    }
}

/// The key that is there, or a new one.
fn own_key(file: &Path) -> anyhow::Result<KeyPair> {
    if file.exists() {
        return Ok(KeyPair::read(file)?);
    }
    let key = KeyPair::generate();
    key.write_new(file)?;
    terminal::say(&format!(
        "Made a key for this registry in {}. Clients know the registry by it: keep a copy.",
        file.display()
    ));
    Ok(key)
}

fn url_in(file: &Path) -> anyhow::Result<String> {
    let text = super::credentials::secret_in(file, URL_BYTES_MAX)?;
    Ok(text)
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MigrateArgs {
    /// File with the URL of the database, as the owner of the tables
    #[arg(long, value_name = "FILE")]
    database_url_file: PathBuf,
    /// The role that the registry runs as
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
}

pub(super) async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let url = url_in(&args.database_url_file)?;
    server::migrate(&url, args.role.as_deref())
        .await
        .context("cannot bring the registry's tables up to date")?;
    terminal::say("The registry's tables are up to date.");
    Ok(())
}
