//! `plugin_versions` and `plugin_components`: which versions of plugins are installed, and their bytes.

use chrono::{DateTime, Utc};
use onerouter_domain::id::InstallationId;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// A version that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersionRow {
    /// Its id.
    pub id: InstallationId,
    /// Which plugin.
    pub plugin: String,
    /// Which version of it.
    pub version: String,
    /// SHA-256 of the component, in lower-case hex.
    pub sha256: String,
    /// The component's manifest: JSON text.
    pub manifest: String,
    /// Where it came from, for people.
    pub source: String,
    /// Whose key signed it.
    pub publisher_key: Option<String>,
    /// `operator`, `first_use`, `unsigned`.
    pub trusted_by: String,
    /// What it may do more than what served when an operator agreed to it.
    pub approved: Vec<String>,
    /// Why it is not to serve.
    pub quarantine: Option<String>,
    /// What its registry said of it last.
    pub standing: PluginStanding,
    /// When it was installed.
    pub installed_at: DateTime<Utc>,
    /// When it served last.
    pub activated_at: Option<DateTime<Utc>>,
}

/// What a registry says of a version. Nothing, before it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginStanding {
    /// How long the registry's log was when it said so: a shorter one knows less.
    pub index_size: u64,
    /// Why its key may no longer publish it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_revoked: Option<String>,
    /// Why it should not be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// What should be known about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<KnownAdvisory>,
}

/// Something that should be known about a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownAdvisory {
    /// Unique in its registry.
    pub id: String,
    /// What it is about.
    pub summary: String,
    /// Where more is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl PluginStanding {
    /// Whether it says the same of the version as another one, whenever that was.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.key_revoked == other.key_revoked
            && self.yanked == other.yanked
            && self.advisories == other.advisories
    }
}

/// A version to be installed.
#[derive(Debug, Clone, Copy)]
pub struct NewPluginVersion<'a> {
    /// Its row.
    pub row: &'a PluginVersionRow,
    /// The component.
    pub component: &'a [u8],
    /// The publisher's statement.
    pub statement: Option<&'a [u8]>,
}

/// A component as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredComponent {
    /// Its bytes.
    pub component: Vec<u8>,
}

macro_rules! columns {
    () => {
        "id, plugin, version, sha256, manifest, source, publisher_key, trusted_by, approved, quarantine,
             standing, installed_at, activated_at"
    };
}

statements! {
    INSERT_COMPONENT = Statement::same(
        "insert into plugin_components (sha256, component, statement) values ($1, $2, $3)
         on conflict (sha256) do update
         set statement = coalesce(excluded.statement, plugin_components.statement)",
    );
    INSERT = Statement::same(
        "insert into plugin_versions (id, plugin, version, sha256, manifest, source, publisher_key,
             trusted_by, installed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (plugin, sha256) do update
         set publisher_key = excluded.publisher_key, trusted_by = excluded.trusted_by, standing = '{}'
         where excluded.publisher_key is not null
             and excluded.publisher_key is distinct from plugin_versions.publisher_key",
    );
    FIND = Statement::same(concat!(
        "select ", columns!(), " from plugin_versions where plugin = $1 and sha256 = $2"
    ));
    LIST = Statement::same(concat!("select ", columns!(), " from plugin_versions order by id"));
    LIST_OF = Statement::same(concat!(
        "select ", columns!(), " from plugin_versions where plugin = $1 order by id"
    ));
    COMPONENT = Statement::same("select component from plugin_components where sha256 = $1");
    APPROVE = Statement::same("update plugin_versions set approved = $2 where id = $1");
    ACTIVATED = Statement::same(
        "update plugin_versions set activated_at = $2 where id = $1",
    );
    RELEASE = Statement::same("update plugin_versions set quarantine = null where id = $1");
    QUARANTINE = Statement::same("update plugin_versions set quarantine = $2 where id = $1");
    STANDING = Statement::same("update plugin_versions set standing = $2 where id = $1");
    DELETE = Statement::same("delete from plugin_versions where id = $1");
    DELETE_COMPONENT = Statement::same(
        "delete from plugin_components where sha256 = $1
             and not exists (select 1 from plugin_versions v where v.sha256 = $1)",
    );
}

impl Store {
    /// Every version that is installed, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_plugin_versions(&self) -> Result<Vec<PluginVersionRow>, StoreError> {
        self.past_dead_connections(|| async { fetch_all!(self.pools_to_read(), LIST, []) })
            .await
            .during("list installed plugins")
    }

    /// A component's bytes.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_component(
        &self,
        sha256: &str,
    ) -> Result<Option<StoredComponent>, StoreError> {
        self.past_dead_connections(|| async {
            fetch_optional!(self.pools_to_read(), COMPONENT, [sha256])
        })
        .await
        .during("read a component")
    }
}

impl TenantTx {
    /// Every version of a plugin that is installed, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn plugin_versions(
        &mut self,
        plugin: &str,
    ) -> Result<Vec<PluginVersionRow>, StoreError> {
        fetch_all!(self, LIST_OF, [plugin]).during("list versions of a plugin")
    }

    /// Keeps a version and its component; gives the row that is there, which is an older one where the
    /// same bytes were installed before. Signed by another, that one is this publisher's from then on.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_plugin_version(
        &mut self,
        new: &NewPluginVersion<'_>,
    ) -> Result<PluginVersionRow, StoreError> {
        let row = new.row;
        execute!(
            self,
            INSERT_COMPONENT,
            [&row.sha256, new.component, new.statement]
        )
        .during("keep a component")?;
        execute!(
            self,
            INSERT,
            [
                row.id.uuid(),
                &row.plugin,
                &row.version,
                &row.sha256,
                &row.manifest,
                &row.source,
                row.publisher_key.as_deref(),
                &row.trusted_by,
                row.installed_at
            ]
        )
        .during("install a plugin")?;
        let found =
            fetch_optional!(self, FIND, [&row.plugin, &row.sha256]).during("install a plugin")?;
        Ok(found.unwrap_or_else(|| row.clone()))
    }

    /// An operator agrees to what a version may do.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn approve_plugin_version(
        &mut self,
        id: InstallationId,
        approved: &[String],
    ) -> Result<(), StoreError> {
        execute!(self, APPROVE, [id.uuid(), Json(approved)])
            .map(drop)
            .during("approve a plugin")
    }

    /// A version serves from now on.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn note_plugin_activation(
        &mut self,
        id: InstallationId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        execute!(self, ACTIVATED, [id.uuid(), at])
            .map(drop)
            .during("activate a plugin")
    }

    /// A version is not to serve any more.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn quarantine_plugin_version(
        &mut self,
        id: InstallationId,
        reason: &str,
    ) -> Result<(), StoreError> {
        execute!(self, QUARANTINE, [id.uuid(), reason])
            .map(drop)
            .during("quarantine a plugin")
    }

    /// A version that was quarantined may be tried again.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn release_plugin_version(&mut self, id: InstallationId) -> Result<(), StoreError> {
        execute!(self, RELEASE, [id.uuid()])
            .map(drop)
            .during("release a plugin")
    }

    /// Keeps what its registry says of a version.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_plugin_standing(
        &mut self,
        id: InstallationId,
        standing: &PluginStanding,
    ) -> Result<(), StoreError> {
        execute!(self, STANDING, [id.uuid(), Json(standing)])
            .map(drop)
            .during("keep what a registry says of a plugin")
    }

    /// Forgets a version, and its component where no other version is it.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_plugin_version(
        &mut self,
        row: &PluginVersionRow,
    ) -> Result<(), StoreError> {
        execute!(self, DELETE, [row.id.uuid()]).during("remove a plugin")?;
        execute!(self, DELETE_COMPONENT, [&row.sha256])
            .map(drop)
            .during("remove a component")
    }
}

impl FromColumns for PluginVersionRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: InstallationId::from_uuid(row.uuid("id")?),
            plugin: row.text("plugin")?,
            version: row.text("version")?,
            sha256: row.text("sha256")?,
            manifest: row.text("manifest")?,
            source: row.text("source")?,
            publisher_key: row.get("publisher_key")?,
            trusted_by: row.text("trusted_by")?,
            approved: row.json("approved")?,
            quarantine: row.get("quarantine")?,
            standing: row.json("standing")?,
            installed_at: row.time("installed_at")?,
            activated_at: row.optional_time("activated_at")?,
        })
    }
}

impl FromColumns for StoredComponent {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            component: row.get("component")?,
        })
    }
}
