//! Names, whose they are, and what a search finds of them.

use chrono::{DateTime, Utc};
use sqlx::Error;
use uuid::Uuid;

use super::backend::{
    Columns, Count, FromColumns, Tx, execute, fetch_all, fetch_one, fetch_optional, signed,
};

/// A name and what is known of the plugin behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct NameRow {
    pub(in crate::server) name: String,
    pub(in crate::server) account_id: Uuid,
    /// The account's name.
    pub(in crate::server) owner: String,
    pub(in crate::server) title: String,
    pub(in crate::server) summary: String,
    /// `,payments,sms,`
    pub(in crate::server) categories: String,
    /// None until a version is published.
    pub(in crate::server) latest: Option<String>,
    pub(in crate::server) downloads: u64,
    pub(in crate::server) created_at: DateTime<Utc>,
    pub(in crate::server) updated_at: DateTime<Utc>,
}

impl FromColumns for NameRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            name: row.text("name")?,
            account_id: row.uuid("account_id")?,
            owner: row.text("owner")?,
            title: row.text("title")?,
            summary: row.text("summary")?,
            categories: row.text("categories")?,
            latest: row.optional_text("latest")?,
            downloads: row.count("downloads")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// Which plugins a search wants.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct PluginFilter {
    /// Lower case; in the name, title or summary.
    pub(in crate::server) text: Option<String>,
    pub(in crate::server) category: Option<String>,
    /// Where the last page ended.
    pub(in crate::server) after: Option<(u64, String)>,
    pub(in crate::server) limit: u64,
}

/// A name of another publisher.
pub(in crate::server) struct OtherName {
    pub(in crate::server) name: String,
    pub(in crate::server) downloads: u64,
}

impl FromColumns for OtherName {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            name: row.text("name")?,
            downloads: row.count("downloads")?,
        })
    }
}

impl Tx {
    pub(in crate::server) async fn find_name(
        &mut self,
        name: &str,
    ) -> Result<Option<NameRow>, Error> {
        fetch_optional!(
            self,
            "select n.name, n.account_id, a.name as owner, n.title, n.summary, n.categories,
                    n.latest, n.downloads, n.created_at, n.updated_at
             from registry_names n join registry_accounts a on a.id = n.account_id
             where n.name = $1",
            [name]
        )
    }

    /// What a new name of this account could be taken for: what reads alike, and what many use.
    pub(in crate::server) async fn list_other_names(
        &mut self,
        account: Uuid,
        skeleton: &str,
        popular_from: u64,
    ) -> Result<Vec<OtherName>, Error> {
        fetch_all!(
            self,
            "select name, downloads from registry_names
             where account_id <> $1 and (skeleton = $2 or downloads >= $3)",
            [account, skeleton, signed(popular_from)]
        )
    }

    pub(in crate::server) async fn count_names(&mut self, account: Uuid) -> Result<u64, Error> {
        fetch_one!(
            self,
            "select count(*) as count from registry_names where account_id = $1",
            [account]
        )
        .map(|Count(count)| count)
    }

    pub(in crate::server) async fn insert_name(
        &mut self,
        name: &str,
        account: Uuid,
        skeleton: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_names (name, account_id, skeleton, created_at, updated_at)
             values ($1, $2, $3, $4, $4)",
            [name, account, skeleton, now]
        )
        .map(|_rows| ())
    }

    /// What a search finds of the plugin, after a version became its newest.
    pub(in crate::server) async fn describe_name(&mut self, row: &NameRow) -> Result<(), Error> {
        execute!(
            self,
            "update registry_names
             set title = $2, summary = $3, categories = $4, latest = $5, updated_at = $6
             where name = $1",
            [
                &row.name,
                &row.title,
                &row.summary,
                &row.categories,
                &row.latest,
                row.updated_at
            ]
        )
        .map(|_rows| ())
    }

    /// Published plugins, the ones with the most downloads first.
    pub(in crate::server) async fn search_names(
        &mut self,
        filter: &PluginFilter,
    ) -> Result<Vec<NameRow>, Error> {
        let pattern = filter.text.as_deref().map(contains);
        let category = filter
            .category
            .as_deref()
            .map(|category| contains(&format!(",{category},")));
        let (downloads, name) = match &filter.after {
            Some((downloads, name)) => (Some(signed(*downloads)), Some(name.as_str())),
            None => (None, None),
        };
        fetch_all!(
            self,
            "select n.name, n.account_id, a.name as owner, n.title, n.summary, n.categories,
                    n.latest, n.downloads, n.created_at, n.updated_at
             from registry_names n join registry_accounts a on a.id = n.account_id
             where n.latest is not null
               and ($1 is null or n.name like $1 escape '\\'
                    or lower(n.title) like $1 escape '\\' or lower(n.summary) like $1 escape '\\')
               and ($2 is null or n.categories like $2 escape '\\')
               and ($3 is null or n.downloads < $3 or (n.downloads = $3 and n.name > $4))
             order by n.downloads desc, n.name
             limit $5",
            [
                pattern.as_deref(),
                category.as_deref(),
                downloads,
                name,
                signed(filter.limit)
            ]
        )
    }
}

/// A pattern for texts that have `text` in them, whatever characters it is of.
fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
