//! `onerouter registry login`: which key a registry has, and who one is there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use onerouter_registry::PublicKey;
use onerouter_registry::client::{Client, ClientConfig, RegistryApi};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cli::terminal;

/// A token has some 50 bytes.
const TOKEN_BYTES_MAX: u64 = 4 << 10;
/// One registry takes some 200 bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// At which registry something is done, and as whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct At {
    /// The registry
    #[arg(long, value_name = "URL", env = "ONEROUTER_REGISTRY_URL")]
    registry: Url,
    #[command(flatten)]
    file: CredentialsFile,
}

#[derive(Debug, Args)]
struct CredentialsFile {
    /// Where keys and tokens of registries are remembered;
    /// ~/.config/onerouter/registries.json when left out
    #[arg(long, value_name = "FILE", env = "ONEROUTER_REGISTRY_CREDENTIALS")]
    credentials: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LoginArgs {
    /// The registry
    url: Url,
    /// File with the token; standard input when left out
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Forget the key that the registry had before
    #[arg(long)]
    new_key: bool,
    #[command(flatten)]
    file: CredentialsFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is remembered of registries, by their URLs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered(BTreeMap<String, Known>);

/// What is remembered of one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    key: PublicKey,
    token: String,
}

impl At {
    /// A client, and the registry as the one who has signed in there.
    pub(in crate::cli) fn open(&self) -> anyhow::Result<(Client, RegistryApi)> {
        let remembered = Remembered::read(&self.file.path()?)?;
        let Some(known) = remembered.0.get(self.registry.as_str()) else {
            bail!(
                "nobody has signed in to {url}: run `onerouter registry login {url}`",
                url = self.registry
            );
        };
        let token = SecretString::from(known.token.clone());
        let registry = RegistryApi::new(self.registry.clone()).with_token(token);
        Ok((client()?, registry))
    }
}

fn client() -> anyhow::Result<Client> {
    Client::new(ClientConfig::default()).context("cannot set up the registry's client")
}

pub(super) async fn login(args: LoginArgs) -> anyhow::Result<()> {
    let token = match &args.token_file {
        Some(file) => secret_in(file, TOKEN_BYTES_MAX)?,
        None => {
            if io::stdin().is_terminal() {
                terminal::say("Paste the token and end with Ctrl-D:");
            }
            secret_of(io::stdin(), TOKEN_BYTES_MAX).context("cannot read standard input")?
        }
    };
    let file = args.file.path()?;
    let mut remembered = Remembered::read(&file)?;
    let registry = RegistryApi::new(args.url.clone());
    let client = client()?;
    // Before the token: another registry at this address has no use for it but a bad one.
    let key = client.registry_key(&registry).await?;
    if let Some(known) = remembered.0.get(args.url.as_str()) {
        ensure!(
            known.key == key || args.new_key,
            "{} had the key {} and now says {key}: ask its operator. If it is right, sign in with --new-key",
            args.url,
            known.key
        );
    }
    let registry = registry.with_token(SecretString::from(token.clone()));
    let account = client.get(&registry, "/account").await?;
    let name = account
        .get("name")
        .and_then(serde_json::Value::as_str)
        .context("the registry does not say whose the token is")?;
    let shown = serde_json::json!({
        "object": "registry_login",
        "registry": args.url.as_str(),
        "account": name,
        "key": key,
    });
    remembered.0.insert(args.url.into(), Known { key, token });
    remembered.write(&file)?;
    if args.json {
        return terminal::json(&shown);
    }
    terminal::say(&format!(
        "Signed in as {name}. The registry's key is {key}: compare it with what its operator says."
    ));
    Ok(())
}

impl CredentialsFile {
    fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.credentials {
            return Ok(path.clone());
        }
        let home = std::env::home_dir().context("no home directory; say --credentials FILE")?;
        Ok(home.join(".config/onerouter/registries.json"))
    }
}

impl Remembered {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let text = match fs::File::open(file) {
            Ok(open) => read_bounded(open, FILE_BYTES_MAX),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => Err(error),
        }
        .with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not what `registry login` writes", file.display()))
    }

    /// In one piece, for its owner only.
    fn write(&self, file: &Path) -> anyhow::Result<()> {
        let folder = file.parent().context("the file has no folder")?;
        let written = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            // Made with mode 0600.
            let mut new = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut new, self)?;
            new.flush()?;
            new.as_file().sync_all()?;
            new.persist(file)?;
            Ok(())
        };
        written().with_context(|| format!("cannot write {}", file.display()))
    }
}

/// What a file holds, without the end of its line.
pub(super) fn secret_in(file: &Path, most: u64) -> anyhow::Result<String> {
    fs::File::open(file)
        .and_then(|open| secret_of(open, most))
        .with_context(|| format!("cannot read {}", file.display()))
}

fn secret_of(from: impl io::Read, most: u64) -> io::Result<String> {
    let text = read_bounded(from, most)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "there is nothing in it",
        ));
    }
    Ok(text.to_owned())
}

fn read_bounded(from: impl io::Read, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let length = from.take(most + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length <= most) {
        return Ok(text);
    }
    let told = format!("it has more than {most} bytes");
    Err(io::Error::new(ErrorKind::InvalidData, told))
}
