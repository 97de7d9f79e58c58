//! The append-only log.

use sqlx::Error;
use uuid::Uuid;

use super::backend::{
    Columns, Count, FromColumns, Text, Tx, decode, execute, fetch_all, fetch_one, signed,
};
use crate::digest::Digest;
use crate::keys::KeyId;

/// How far the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct LogEnd {
    pub(in crate::server) size: u64,
    /// None while it is empty.
    pub(in crate::server) hash: Option<Digest>,
}

impl FromColumns for LogEnd {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        let hash = row
            .optional_text("hash")?
            .map(|text| text.parse())
            .transpose();
        Ok(Self {
            size: row.count("size")?,
            hash: hash.map_err(|error| decode("hash", error))?,
        })
    }
}

impl Tx {
    /// Makes everybody else who wants to append, or to claim a name, wait until this transaction is
    /// over.
    pub(in crate::server) async fn lock_log(&mut self) -> Result<LogEnd, Error> {
        fetch_one!(
            self,
            "update registry_log set size = size where id = 1 returning size, hash",
            []
        )
    }

    /// Whose log it is: this key's, if it was nobody's before.
    pub(in crate::server) async fn claim_log(&mut self, key: KeyId) -> Result<String, Error> {
        fetch_one!(
            self,
            "update registry_log set key_id = coalesce(key_id, $1) where id = 1
             returning key_id as value",
            [key.to_string()]
        )
        .map(|Text(key)| key)
    }

    pub(in crate::server) async fn log_end(&mut self) -> Result<LogEnd, Error> {
        fetch_one!(self, "select size, hash from registry_log where id = 1", [])
    }

    /// The log must be locked.
    pub(in crate::server) async fn append_entry(
        &mut self,
        before: LogEnd,
        entry: &str,
        hash: Digest,
    ) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_entries (position, entry) values ($1, $2)",
            [signed(before.size), entry]
        )?;
        execute!(
            self,
            "update registry_log set size = $1, hash = $2 where id = 1",
            [signed(before.size.saturating_add(1)), hash.to_string()]
        )
        .map(|_rows| ())
    }

    /// What an account has appended on a day, with what it appends now.
    pub(in crate::server) async fn add_log_use(
        &mut self,
        account: Uuid,
        day: &str,
        bytes: u64,
    ) -> Result<u64, Error> {
        fetch_one!(
            self,
            "insert into registry_log_use (account_id, day, bytes) values ($1, $2, $3)
             on conflict (account_id) do update set
                 bytes = case when registry_log_use.day = $2
                     then registry_log_use.bytes + $3 else $3 end,
                 day = $2
             returning bytes as count",
            [account, day, signed(bytes)]
        )
        .map(|Count(bytes)| bytes)
    }

    /// Entries from one on.
    pub(in crate::server) async fn list_entries(
        &mut self,
        from: u64,
        limit: u64,
    ) -> Result<Vec<String>, Error> {
        let rows: Vec<Text> = fetch_all!(
            self,
            "select entry as value from registry_entries
             where position >= $1 order by position limit $2",
            [signed(from), signed(limit)]
        )?;
        Ok(rows.into_iter().map(|Text(entry)| entry).collect())
    }
}
