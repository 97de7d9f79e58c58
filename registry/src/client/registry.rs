//! One of our registries: its index, and what publishers and people ask of it.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use onerouter_manifest::PluginId;
use secrecy::SecretString;
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::http::{Call, Login, accepted, nonsense, read};
use super::{Client, FetchError};
use crate::index::{
    COPY_BYTES_MAX, Entries, Freshness, HEAD_BYTES_MAX, Index, IndexError, SignedHead, kept_bytes,
};
use crate::keys::{KeyId, PublicKey};
use crate::package::{COMPONENT_TYPE, STATEMENT_HEADER};

/// One of our registries, and the token with which somebody publishes to it.
#[derive(Debug, Clone)]
pub struct RegistryApi {
    url: Url,
    token: Option<SecretString>,
}

impl RegistryApi {
    /// The registry at this address, whose path is not looked at.
    #[must_use]
    pub const fn new(url: Url) -> Self {
        Self { url, token: None }
    }

    /// With a publisher's token.
    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }

    /// Its address.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    pub(super) const fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    fn path(&self, rest: &str) -> Result<Url, FetchError> {
        self.url
            .join(&format!("/registry/v1{rest}"))
            .map_err(|error| nonsense(&self.url, error))
    }

    fn login(&self) -> Login {
        self.token.clone().map_or(Login::Nobody, Login::Bearer)
    }
}

/// An advisory to be published.
#[derive(Debug, Clone)]
pub struct NewAdvisory {
    /// Which versions.
    pub affected: VersionReq,
    /// What it is about, in one line.
    pub summary: String,
    /// Where more is said: `https://…`.
    pub url: Option<String>,
}

impl Client {
    /// Brings a copy of the index up to date. On error it stays as it was.
    ///
    /// # Errors
    /// The registry cannot be reached, or shows something that does not go on from what is known:
    /// [`FetchError::Index`] says what.
    pub async fn update_index(
        &self,
        registry: &RegistryApi,
        index: &mut Index,
        freshness: Freshness,
    ) -> Result<(), FetchError> {
        let updated = async {
            let url = registry.path("/index/head")?;
            let head = self.ask(registry, Call::get(url), HEAD_BYTES_MAX).await?;
            let seen = index.judge(&head, freshness)?;
            let entries = self.entries(registry, seen.from(), seen.head()).await?;
            match index.advance(seen.clone(), entries) {
                Err(IndexError::Forged { .. }) if seen.from() > 0 => {
                    let all = self.entries(registry, 0, seen.head()).await?;
                    Err(index.explain(seen.head(), &all).into())
                }
                advanced => Ok(advanced?),
            }
        };
        tokio::time::timeout(self.http.limits().total_timeout, updated)
            .await
            .map_err(|_elapsed| FetchError::TooSlow)?
    }

    /// The entries from one on, up to a head.
    async fn entries(
        &self,
        registry: &RegistryApi,
        from: u64,
        head: &SignedHead,
    ) -> Result<Vec<String>, FetchError> {
        #[derive(Deserialize)]
        struct Page {
            entries: Entries,
        }
        let limits = self.http.limits();
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        let mut next = from;
        while next < head.head().size {
            let url = registry.path(&format!("/index/entries?from={next}"))?;
            let most = limits.document_bytes_max.saturating_mul(8);
            let body = self.ask(registry, Call::get(url.clone()), most).await?;
            let page: Page =
                serde_json::from_slice(&body).map_err(|error| nonsense(&url, error))?;
            let Entries(page) = page.entries;
            if page.is_empty() {
                return Err(nonsense(&url, "it has fewer entries than its head says"));
            }
            for entry in page {
                bytes = bytes.saturating_add(kept_bytes(&entry));
                if bytes > limits.index_bytes_max {
                    return Err(FetchError::TooLarge {
                        what: "index",
                        most: limits.index_bytes_max,
                    });
                }
                // What was appended since the head was signed is for the next time.
                if next < head.head().size {
                    entries.push(entry);
                    next = next.saturating_add(1);
                }
            }
        }
        Ok(entries)
    }

    /// Publishes a component with its signed statement. Gives the version as the API shows it.
    ///
    /// # Errors
    /// The registry cannot be reached, or refuses, with its reason.
    pub async fn publish(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        component: Bytes,
        sidecar: &[u8],
    ) -> Result<Value, FetchError> {
        let url = registry.path(&format!("/plugins/{name}/versions"))?;
        let mut call = Call::send(Method::POST, url.clone(), COMPONENT_TYPE, component);
        let value = HeaderValue::from_str(&STANDARD.encode(sidecar))
            .map_err(|error| nonsense(&url, error))?;
        call.headers
            .insert(HeaderName::from_static(STATEMENT_HEADER), value);
        self.ask_json(registry, call).await
    }

    /// Publishes what was pushed by an OCI client before.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn publish_pushed(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        version: &Version,
    ) -> Result<Value, FetchError> {
        let body = json!({"version": version});
        self.post(registry, &format!("/plugins/{name}/versions"), &body)
            .await
    }

    /// Lets a key publish under a name. The first one claims the name.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn add_key(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        key: PublicKey,
    ) -> Result<Value, FetchError> {
        self.post(
            registry,
            &format!("/plugins/{name}/keys"),
            &json!({"key": key}),
        )
        .await
    }

    /// Takes a key from a name: what it has signed no longer counts.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn revoke_key(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        key: KeyId,
        reason: &str,
    ) -> Result<(), FetchError> {
        let path = format!("/plugins/{name}/keys/{key}/revoke");
        self.post(registry, &path, &json!({"reason": reason}))
            .await
            .map(drop)
    }

    /// Says that a version should no longer be chosen.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn yank(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        version: &Version,
        reason: &str,
    ) -> Result<(), FetchError> {
        let path = format!("/plugins/{name}/versions/{version}/yank");
        self.post(registry, &path, &json!({"reason": reason}))
            .await
            .map(drop)
    }

    /// Says that a version may be chosen again.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn unyank(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        version: &Version,
    ) -> Result<(), FetchError> {
        let path = format!("/plugins/{name}/versions/{version}/unyank");
        self.post(registry, &path, &json!({})).await.map(drop)
    }

    /// Publishes an advisory.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn advise(
        &self,
        registry: &RegistryApi,
        name: &PluginId,
        new: &NewAdvisory,
    ) -> Result<Value, FetchError> {
        let mut body = json!({"affected": new.affected, "summary": new.summary});
        if let (Some(url), Value::Object(body)) = (&new.url, &mut body) {
            body.insert("url".to_owned(), url.as_str().into());
        }
        self.post(registry, &format!("/plugins/{name}/advisories"), &body)
            .await
    }

    /// Something that the API shows: `/account`, `/plugins?q=…`, `/plugins/NAME`,
    /// `/plugins/NAME/versions`, `/plugins/NAME/downloads`, or the empty path for the registry.
    ///
    /// # Errors
    /// The registry cannot be reached, or has no such thing.
    pub async fn get(&self, registry: &RegistryApi, path: &str) -> Result<Value, FetchError> {
        self.ask_json(registry, Call::get(registry.path(path)?))
            .await
    }

    /// The key with which a registry says that it signs its index. It is worth something only after
    /// it was compared with what the registry's operator says elsewhere.
    ///
    /// # Errors
    /// The registry cannot be reached, or is none of ours.
    pub async fn registry_key(&self, registry: &RegistryApi) -> Result<PublicKey, FetchError> {
        let about = self.get(registry, "").await?;
        about
            .get("key")
            .and_then(Value::as_str)
            .and_then(|key| key.parse().ok())
            .ok_or_else(|| nonsense(&registry.url, "it names no key"))
    }

    async fn post(
        &self,
        registry: &RegistryApi,
        path: &str,
        body: &Value,
    ) -> Result<Value, FetchError> {
        let url = registry.path(path)?;
        let body = Bytes::from(body.to_string());
        let call = Call::send(Method::POST, url, "application/json", body);
        self.ask_json(registry, call).await
    }

    async fn ask_json(&self, registry: &RegistryApi, call: Call) -> Result<Value, FetchError> {
        let url = call.url.clone();
        let most = self.http.limits().document_bytes_max;
        let bytes = self.ask(registry, call, most).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| nonsense(&url, error))
    }

    async fn ask(
        &self,
        registry: &RegistryApi,
        call: Call,
        most: usize,
    ) -> Result<Bytes, FetchError> {
        let response = self.http.send(&call, &registry.login()).await?;
        read(accepted(response, "such plugin").await?, "answer", most).await
    }
}

/// Reads a kept copy of a registry's index; an empty one if there is none yet.
///
/// # Errors
/// It cannot be read, or is not what was kept: then somebody has changed it.
pub async fn load_index(path: &Path, registry: PublicKey) -> Result<Index, FetchError> {
    let path = path.to_owned();
    let json = match super::file::read(path, ("index", COPY_BYTES_MAX)).await {
        Err(FetchError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(Index::empty(registry));
        }
        read => read?,
    };
    let restored = tokio::task::spawn_blocking(move || Index::restore(&json, registry));
    Ok(restored.await.map_err(FetchError::stopped)??)
}

/// Keeps a copy of a registry's index, at once or not at all. A copy that knows more, which somebody
/// else has kept meanwhile, stays.
///
/// # Errors
/// It cannot be written, or the one that is there tells another history.
pub async fn save_index(path: &Path, index: &Index) -> Result<(), FetchError> {
    match load_index(path, index.registry()).await {
        Ok(kept) => {
            index.agrees_with(&kept)?;
            let known = |index: &Index| {
                let head = index.head().map(SignedHead::head);
                (index.size(), head.map(|head| head.time))
            };
            if known(&kept) > known(index) {
                return Ok(());
            }
        }
        // One that cannot be read is not worth keeping.
        Err(FetchError::Index(_)) => {}
        Err(error) => return Err(error),
    }
    let (path, json) = (path.to_owned(), index.to_json());
    let saved = tokio::task::spawn_blocking(move || {
        // A name of its own: two who keep a copy at once must not write into each other's.
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}.new", uuid::Uuid::now_v7().simple()));
        let kept = put(&path, Path::new(&beside), &json);
        if kept.is_err() {
            // Best effort: what failed is said below.
            let _gone = std::fs::remove_file(&beside);
        }
        kept.map_err(FetchError::file("write", path))
    });
    saved.await.map_err(FetchError::stopped)?
}

/// The file, then its name, both on the disk: after a power cut there is the old copy or the new one.
fn put(path: &Path, beside: &Path, json: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(beside)?;
    file.write_all(json)?;
    file.sync_all()?;
    std::fs::rename(beside, path)?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if cfg!(unix) {
        std::fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
