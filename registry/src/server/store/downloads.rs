//! How often what was fetched.

use sqlx::Error;

use super::backend::{Columns, FromColumns, Tx, execute, fetch_all, signed};

/// Downloads of a version on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct DownloadRow {
    pub(in crate::server) version: String,
    /// `2026-11-28`
    pub(in crate::server) day: String,
    pub(in crate::server) count: u64,
}

impl FromColumns for DownloadRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            version: row.text("version")?,
            day: row.text("day")?,
            count: row.count("count")?,
        })
    }
}

impl Tx {
    pub(in crate::server) async fn add_downloads(
        &mut self,
        name: &str,
        row: &DownloadRow,
    ) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_downloads (name, version, day, count) values ($1, $2, $3, $4)
             on conflict (name, version, day)
             do update set count = registry_downloads.count + $4",
            [name, &row.version, &row.day, signed(row.count)]
        )?;
        execute!(
            self,
            "update registry_names set downloads = downloads + $2 where name = $1",
            [name, signed(row.count)]
        )
        .map(|_rows| ())
    }

    /// The last days first.
    pub(in crate::server) async fn list_downloads(
        &mut self,
        name: &str,
        since_day: &str,
        limit: u64,
    ) -> Result<Vec<DownloadRow>, Error> {
        fetch_all!(
            self,
            "select version, day, count from registry_downloads
             where name = $1 and day >= $2 order by day desc, version limit $3",
            [name, since_day, signed(limit)]
        )
    }
}
