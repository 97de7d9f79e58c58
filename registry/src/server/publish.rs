//! Publishing: a component that was pushed, or is sent along, becomes a version.

use bytes::Bytes;
use onerouter_manifest::{Manifest, PluginId, Unpacked};
use semver::Version;

use super::log::By;
use super::manifests::{Reference, Tag};
use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, KeyRow, NameRow, Tx, VersionRow};
use super::{Registry, Submission};
use crate::digest::Digest;
use crate::evolution;
use crate::index::Event;
use crate::keys::KeyId;
use crate::package::{Image, ImageManifest};
use crate::statement::{STATEMENT_TYPE, is_publishable};
use crate::trust::{KeyList, KeyStanding, Trust};
use crate::verify::{Check, Listing, VerifyError, verify};

/// A version that is to be published.
struct Candidate {
    component: Bytes,
    unpacked: Unpacked,
    /// The digest of its image.
    image: Digest,
    statement: String,
}

/// The keys of one name, as a list that statements are held against.
struct Keys(Vec<KeyRow>);

impl KeyList for Keys {
    fn standing(&self, _: &PluginId, key: KeyId) -> KeyStanding {
        match self.0.iter().find(|row| row.key.id() == key) {
            None => KeyStanding::Unlisted,
            Some(row) if row.revoked_at.is_none() => KeyStanding::Active,
            Some(row) => KeyStanding::Revoked {
                reason: row.revoked_reason.clone().unwrap_or_default(),
            },
        }
    }
}

impl Registry {
    /// Publishes what was pushed under the tag of a version, with a signed statement as its
    /// referrer.
    pub(super) async fn publish_pushed(
        &self,
        account: &AccountRow,
        name: &PluginId,
        version: &Version,
    ) -> Result<VersionRow, Refusal> {
        self.own_name(account, name).await?;
        self.refuse_published(name, version).await?;
        let _place = self.place(account.id).await?;
        let tag = Reference::Tag(Tag::from(version));
        let row = self.get_manifest(name, &tag).await?;
        let wrong = |error: crate::package::PackageError| Refusal::new(Kind::Invalid, error);
        let image = ImageManifest::parse(&row.body).map_err(wrong)?;
        let layer = image.component().map_err(wrong)?;
        let component = self.component_of(name, layer.digest).await?;
        let unpacked = self.unpack(component.clone()).await?;
        let statements = self.pushed_statements(name, row.digest).await?;
        let mut refused = Refusal::new(
            Kind::SignatureRefused,
            format!(
                "nothing of type {STATEMENT_TYPE} refers to {}; sign the component and push the statement",
                row.digest
            ),
        );
        for statement in statements {
            let candidate = Candidate {
                component: component.clone(),
                unpacked: unpacked.clone(),
                image: row.digest,
                statement,
            };
            match self.vet_statement(&candidate).await {
                Ok(key) => {
                    self.vet(name, version, &candidate).await?;
                    return self.record(account, (name, version), candidate, key).await;
                }
                Err(refusal) => refused = refusal,
            }
        }
        Err(refused)
    }

    /// Publishes a component that is sent along with its signed statement.
    pub(super) async fn publish_sent(
        &self,
        account: &AccountRow,
        name: &PluginId,
        component: Bytes,
        sidecar: Bytes,
    ) -> Result<VersionRow, Refusal> {
        let unpacked = self.unpack(component.clone()).await?;
        let version = unpacked.manifest.version.clone();
        let packed = component.clone();
        let (image, _) = tokio::task::spawn_blocking(move || Image::of_component(&packed))
            .await
            .map_err(|error| Refusal::internal("read a component", &error))?
            .map_err(|error| Refusal::new(Kind::Invalid, error))?;
        let candidate = Candidate {
            component,
            unpacked,
            image: image.digest(),
            statement: String::from_utf8_lossy(&sidecar).into_owned(),
        };
        if candidate.unpacked.manifest.id != *name {
            return Err(mismatched(name, &version, &candidate.unpacked.manifest));
        }
        self.own_name(account, name).await?;
        self.refuse_published(name, &version).await?;
        let key = self.vet_statement(&candidate).await?;
        self.vet(name, &version, &candidate).await?;
        self.keep_image(account, name, &image, Some(&version))
            .await?;
        let referrer = Image::of_statement(&sidecar, &image.manifest);
        self.keep_image(account, name, &referrer, None).await?;
        self.record(account, (name, &version), candidate, key).await
    }

    /// Whose statement it is, if it holds.
    async fn vet_statement(&self, candidate: &Candidate) -> Result<KeyId, Refusal> {
        let manifest = &candidate.unpacked.manifest;
        let rows = self
            .0
            .store
            .read()
            .await?
            .list_keys(manifest.id.as_str())
            .await?;
        let keys = Keys(rows);
        // Whom operators trust is theirs to say; here it matters who may publish.
        let trust = Trust::nobody().on_first_use();
        let check = Check {
            component: Digest::of(&candidate.component),
            manifest,
            now: self.now(),
            listed: Listing::Required(&keys),
            trust: &trust,
        };
        verify(candidate.statement.as_bytes(), &check)
            .map(|verified| verified.publisher().id())
            .map_err(|error: VerifyError| Refusal::new(Kind::SignatureRefused, error))
    }

    /// All that must hold besides the signature.
    async fn vet(
        &self,
        name: &PluginId,
        version: &Version,
        candidate: &Candidate,
    ) -> Result<(), Refusal> {
        let manifest = &candidate.unpacked.manifest;
        if manifest.id != *name || manifest.version != *version || !is_publishable(version) {
            return Err(mismatched(name, version, manifest));
        }
        let mut tx = self.0.store.read().await?;
        let known = tx.list_versions(name.as_str()).await?;
        drop(tx);
        let previous = fits(&known, manifest)?;
        let submission = Submission {
            component: &candidate.component,
            manifest,
            capabilities: &candidate.unpacked.capabilities,
            previous: previous.as_ref(),
        };
        for check in &self.0.config.checks {
            check.check(submission).await.map_err(|failed| {
                Refusal::new(Kind::CheckFailed, format!("{}: {failed}", check.name()))
            })?;
        }
        Ok(())
    }

    async fn record(
        &self,
        account: &AccountRow,
        named: (&PluginId, &Version),
        candidate: Candidate,
        key: KeyId,
    ) -> Result<VersionRow, Refusal> {
        let (name, version) = named;
        let manifest = &candidate.unpacked.manifest;
        let json = |value: Result<String, serde_json::Error>| {
            value.map_err(|error| Refusal::internal("write a manifest", &error))
        };
        let row = VersionRow {
            version: version.clone(),
            component: Digest::of(&candidate.component),
            component_bytes: u64::try_from(candidate.component.len()).unwrap_or(u64::MAX),
            manifest: candidate.image,
            key,
            statement: candidate.statement,
            plugin_manifest: json(serde_json::to_string(manifest))?,
            capabilities: json(serde_json::to_string(&candidate.unpacked.capabilities))?,
            yanked_reason: None,
            published_at: self.now(),
        };
        let event = Event::Published {
            name: name.clone(),
            version: version.clone(),
            component: row.component,
            manifest: row.manifest,
            statement: row.statement.clone(),
        };
        let mut tx = self.0.store.write().await?;
        // First, so that nothing of what is checked below changes any more.
        self.append(&mut tx, By::Publisher(account), event).await?;
        let known = tx.list_versions(name.as_str()).await?;
        if known.iter().any(|known| known.version == *version) {
            return Err(published_before(name, version));
        }
        // Again: others may have been published since it was looked at.
        fits(&known, manifest)?;
        let image = tx.find_manifest(name.as_str(), row.manifest).await?;
        if image.is_none() {
            return Err(Refusal::new(
                Kind::Conflict,
                format!("the image {} was deleted a moment ago", row.manifest),
            ));
        }
        let keys = tx.list_keys(name.as_str()).await?;
        if Keys(keys).standing(name, key) != KeyStanding::Active {
            return Err(Refusal::new(
                Kind::SignatureRefused,
                format!("the key {key} was revoked a moment ago"),
            ));
        }
        tx.insert_version(name.as_str(), &row).await?;
        // Until now the tag could move.
        let tag = Tag::from(version);
        tx.set_tag(name.as_str(), tag.as_str(), row.manifest, row.published_at)
            .await?;
        describe(&mut tx, name, &candidate.unpacked, &known, &row).await?;
        tx.commit().await?;
        tracing::info!(plugin.name = %name, plugin.version = %version, "registry: version published");
        Ok(row)
    }

    async fn refuse_published(&self, name: &PluginId, version: &Version) -> Result<(), Refusal> {
        let mut tx = self.0.store.read().await?;
        match tx.find_version(name.as_str(), version).await? {
            None => Ok(()),
            Some(_) => Err(published_before(name, version)),
        }
    }
}

/// Holds a version against its neighbours: who follows a range comes to it from the one below, and goes
/// on to the one above. Gives the one below.
fn fits(known: &[VersionRow], manifest: &Manifest) -> Result<Option<Manifest>, Refusal> {
    let read = |row: &VersionRow| {
        Manifest::from_json(row.plugin_manifest.as_bytes())
            .map_err(|error| Refusal::internal("read a manifest", &error))
    };
    let (below, above): (Vec<_>, Vec<_>) = known
        .iter()
        .filter(|row| row.version != manifest.version)
        .partition(|row| row.version < manifest.version);
    let below = below
        .into_iter()
        .max_by(|one, other| one.version.cmp(&other.version));
    let above = above
        .into_iter()
        .min_by(|one, other| one.version.cmp(&other.version));
    let below = below.map(read).transpose()?;
    if let Some(below) = &below {
        evolution::check(below, manifest)
            .map_err(|error| Refusal::new(Kind::Incompatible, error))?;
    }
    if let Some(above) = above {
        evolution::check(manifest, &read(above)?).map_err(|error| {
            let reason = format!(
                "{} is there already and would break it: {error}",
                above.version
            );
            Refusal::new(Kind::Incompatible, reason)
        })?;
    }
    Ok(below)
}

/// What a search finds follows the newest version; a pre-release only while there is no other.
async fn describe(
    tx: &mut Tx,
    name: &PluginId,
    unpacked: &Unpacked,
    known: &[VersionRow],
    row: &VersionRow,
) -> Result<(), Refusal> {
    let rank = |version: &Version| (version.pre.is_empty(), version.clone());
    let newest = known.iter().map(|known| rank(&known.version)).max();
    if newest.is_some_and(|newest| newest > rank(&row.version)) {
        return Ok(());
    }
    let Some(old) = tx.find_name(name.as_str()).await? else {
        return Ok(());
    };
    let mut categories: Vec<&str> = unpacked
        .capabilities
        .iter()
        .filter_map(|capability| capability.category())
        .map(|category| category.as_str())
        .collect();
    categories.sort_unstable();
    categories.dedup();
    let described = NameRow {
        title: unpacked.manifest.name.clone(),
        summary: unpacked.manifest.description.clone(),
        // With commas around each, so that one is found as a whole.
        categories: format!(",{},", categories.join(",")),
        latest: Some(row.version.to_string()),
        updated_at: row.published_at,
        ..old
    };
    tx.describe_name(&described).await?;
    Ok(())
}

fn mismatched(name: &PluginId, version: &Version, manifest: &Manifest) -> Refusal {
    Refusal::new(
        Kind::Invalid,
        format!(
            "the component says that it is {} {}, not {name} {version}",
            manifest.id, manifest.version
        ),
    )
}

fn published_before(name: &PluginId, version: &Version) -> Refusal {
    Refusal::new(
        Kind::Immutable,
        format!("{name} {version} was published before; publish another version"),
    )
}
