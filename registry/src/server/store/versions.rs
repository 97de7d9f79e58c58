//! Publisher keys, published versions, advisories.

use chrono::{DateTime, Utc};
use semver::Version;
use sqlx::Error;

use super::backend::{
    Columns, Count, FromColumns, Text, Tx, decode, execute, fetch_all, fetch_one, fetch_optional,
    signed,
};
use crate::digest::Digest;
use crate::keys::{KeyId, PublicKey};

/// A publisher's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct KeyRow {
    pub(in crate::server) key: PublicKey,
    pub(in crate::server) added_at: DateTime<Utc>,
    pub(in crate::server) revoked_at: Option<DateTime<Utc>>,
    pub(in crate::server) revoked_reason: Option<String>,
}

impl FromColumns for KeyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            key: row.parsed("public_key")?,
            added_at: row.time("added_at")?,
            revoked_at: row.optional_time("revoked_at")?,
            revoked_reason: row.optional_text("revoked_reason")?,
        })
    }
}

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct VersionRow {
    pub(in crate::server) version: Version,
    pub(in crate::server) component: Digest,
    pub(in crate::server) component_bytes: u64,
    pub(in crate::server) manifest: Digest,
    pub(in crate::server) key: KeyId,
    pub(in crate::server) statement: String,
    /// The plugin's own manifest: JSON.
    pub(in crate::server) plugin_manifest: String,
    /// JSON.
    pub(in crate::server) capabilities: String,
    pub(in crate::server) yanked_reason: Option<String>,
    pub(in crate::server) published_at: DateTime<Utc>,
}

impl FromColumns for VersionRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            version: row.parsed("version")?,
            component: row.parsed("component")?,
            component_bytes: row.count("component_bytes")?,
            manifest: row.parsed("manifest")?,
            key: row.parsed("key_id")?,
            statement: row.text("statement")?,
            plugin_manifest: row.text("plugin_manifest")?,
            capabilities: row.text("capabilities")?,
            yanked_reason: row.optional_text("yanked_reason")?,
            published_at: row.time("published_at")?,
        })
    }
}

/// An advisory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct AdvisoryRow {
    pub(in crate::server) id: String,
    pub(in crate::server) affected: String,
    pub(in crate::server) summary: String,
    pub(in crate::server) url: Option<String>,
    pub(in crate::server) created_at: DateTime<Utc>,
}

impl FromColumns for AdvisoryRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.text("id")?,
            affected: row.text("affected")?,
            summary: row.text("summary")?,
            url: row.optional_text("url")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Tx {
    pub(in crate::server) async fn list_keys(&mut self, name: &str) -> Result<Vec<KeyRow>, Error> {
        fetch_all!(
            self,
            "select public_key, added_at, revoked_at, revoked_reason
             from registry_keys where name = $1 order by added_at, key_id",
            [name]
        )
    }

    /// False when the name had the key before.
    pub(in crate::server) async fn insert_key(
        &mut self,
        name: &str,
        key: PublicKey,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "insert into registry_keys (name, key_id, public_key, added_at)
             values ($1, $2, $3, $4)
             on conflict (name, key_id) do nothing",
            [name, key.id().to_string(), key.to_string(), now]
        )
        .map(|rows| rows == 1)
    }

    /// False when there is no such key, or it was revoked before.
    pub(in crate::server) async fn revoke_key(
        &mut self,
        name: &str,
        key: KeyId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "update registry_keys set revoked_at = $3, revoked_reason = $4
             where name = $1 and key_id = $2 and revoked_at is null",
            [name, key.to_string(), now, reason]
        )
        .map(|rows| rows == 1)
    }

    pub(in crate::server) async fn list_versions(
        &mut self,
        name: &str,
    ) -> Result<Vec<VersionRow>, Error> {
        fetch_all!(
            self,
            "select version, component, component_bytes, manifest, key_id, statement,
                    plugin_manifest, capabilities, yanked_reason, published_at
             from registry_versions where name = $1",
            [name]
        )
    }

    /// The numbers alone, the newest first.
    pub(in crate::server) async fn list_version_numbers(
        &mut self,
        name: &str,
    ) -> Result<Vec<Version>, Error> {
        let rows: Vec<Text> = fetch_all!(
            self,
            "select version as value from registry_versions where name = $1",
            [name]
        )?;
        let parsed = rows.iter().map(|Text(version)| Version::parse(version));
        let mut versions: Vec<Version> = parsed
            .collect::<Result<_, _>>()
            .map_err(|error| decode("version", error))?;
        versions.sort_by(|one, other| other.cmp(one));
        Ok(versions)
    }

    pub(in crate::server) async fn find_version(
        &mut self,
        name: &str,
        version: &Version,
    ) -> Result<Option<VersionRow>, Error> {
        fetch_optional!(
            self,
            "select version, component, component_bytes, manifest, key_id, statement,
                    plugin_manifest, capabilities, yanked_reason, published_at
             from registry_versions where name = $1 and version = $2",
            [name, version.to_string()]
        )
    }

    /// The version that a component was published as.
    pub(in crate::server) async fn find_version_of(
        &mut self,
        name: &str,
        component: Digest,
    ) -> Result<Option<VersionRow>, Error> {
        fetch_optional!(
            self,
            "select version, component, component_bytes, manifest, key_id, statement,
                    plugin_manifest, capabilities, yanked_reason, published_at
             from registry_versions where name = $1 and component = $2",
            [name, component.to_string()]
        )
    }

    /// How many versions stand on a manifest.
    pub(in crate::server) async fn count_versions_on(
        &mut self,
        name: &str,
        manifest: Digest,
    ) -> Result<u64, Error> {
        fetch_one!(
            self,
            "select count(*) as count from registry_versions where name = $1 and manifest = $2",
            [name, manifest.to_string()]
        )
        .map(|Count(count)| count)
    }

    pub(in crate::server) async fn insert_version(
        &mut self,
        name: &str,
        row: &VersionRow,
    ) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_versions
                 (name, version, component, component_bytes, manifest, key_id, statement,
                  plugin_manifest, capabilities, published_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                name,
                row.version.to_string(),
                row.component.to_string(),
                signed(row.component_bytes),
                row.manifest.to_string(),
                row.key.to_string(),
                &row.statement,
                &row.plugin_manifest,
                &row.capabilities,
                row.published_at
            ]
        )
        .map(|_rows| ())
    }

    pub(in crate::server) async fn set_yanked(
        &mut self,
        name: &str,
        version: &Version,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        execute!(
            self,
            "update registry_versions set yanked_reason = $3 where name = $1 and version = $2",
            [name, version.to_string(), reason]
        )
        .map(|_rows| ())
    }

    pub(in crate::server) async fn list_advisories(
        &mut self,
        name: &str,
    ) -> Result<Vec<AdvisoryRow>, Error> {
        fetch_all!(
            self,
            "select id, affected, summary, url, created_at
             from registry_advisories where name = $1 order by created_at, id",
            [name]
        )
    }

    pub(in crate::server) async fn count_advisories(&mut self, name: &str) -> Result<u64, Error> {
        fetch_one!(
            self,
            "select count(*) as count from registry_advisories where name = $1",
            [name]
        )
        .map(|Count(count)| count)
    }

    /// False when there is one of that id.
    pub(in crate::server) async fn insert_advisory(
        &mut self,
        name: &str,
        row: &AdvisoryRow,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "insert into registry_advisories (id, name, affected, summary, url, created_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (id) do nothing",
            [
                &row.id,
                name,
                &row.affected,
                &row.summary,
                &row.url,
                row.created_at
            ]
        )
        .map(|rows| rows == 1)
    }
}
