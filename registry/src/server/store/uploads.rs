//! Uploads that are under way, and the pieces that have come.

use chrono::{DateTime, Utc};
use sqlx::Error;
use uuid::Uuid;

use super::backend::{
    Columns, Count, FromColumns, Tx, execute, fetch_all, fetch_one, fetch_optional, signed,
};

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct UploadRow {
    pub(in crate::server) id: Uuid,
    pub(in crate::server) repository: String,
    pub(in crate::server) account_id: Uuid,
    pub(in crate::server) received: u64,
    pub(in crate::server) expires_at: DateTime<Utc>,
}

impl FromColumns for UploadRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            id: row.uuid("id")?,
            repository: row.text("repository")?,
            account_id: row.uuid("account_id")?,
            received: row.count("received")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

/// A piece of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct ChunkRow {
    pub(in crate::server) start: u64,
    pub(in crate::server) bytes: u64,
    /// Under which name the object store has it.
    pub(in crate::server) object: Uuid,
}

impl FromColumns for ChunkRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            start: row.count("start")?,
            bytes: row.count("bytes")?,
            object: row.uuid("object")?,
        })
    }
}

impl Tx {
    pub(in crate::server) async fn insert_upload(&mut self, row: &UploadRow) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_uploads (id, repository, account_id, received, expires_at)
             values ($1, $2, $3, $4, $5)",
            [
                row.id,
                &row.repository,
                row.account_id,
                signed(row.received),
                row.expires_at
            ]
        )
        .map(|_rows| ())
    }

    pub(in crate::server) async fn find_upload(
        &mut self,
        id: Uuid,
    ) -> Result<Option<UploadRow>, Error> {
        fetch_optional!(
            self,
            "select id, repository, account_id, received, expires_at
             from registry_uploads where id = $1",
            [id]
        )
    }

    pub(in crate::server) async fn count_uploads(&mut self, account: Uuid) -> Result<u64, Error> {
        fetch_one!(
            self,
            "select count(*) as count from registry_uploads where account_id = $1",
            [account]
        )
        .map(|Count(count)| count)
    }

    /// A piece has come. False when the upload has moved on, or away, in the meantime.
    pub(in crate::server) async fn insert_chunk(
        &mut self,
        upload: Uuid,
        chunk: &ChunkRow,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let moved = execute!(
            self,
            "update registry_uploads set received = $3, expires_at = $4
             where id = $1 and received = $2",
            [
                upload,
                signed(chunk.start),
                signed(chunk.start.saturating_add(chunk.bytes)),
                expires_at
            ]
        )?;
        if moved == 0 {
            return Ok(false);
        }
        execute!(
            self,
            "insert into registry_upload_chunks (upload_id, start, bytes, object)
             values ($1, $2, $3, $4)",
            [
                upload,
                signed(chunk.start),
                signed(chunk.bytes),
                chunk.object
            ]
        )
        .map(|rows| rows == 1)
    }

    /// The pieces of an upload, in order.
    pub(in crate::server) async fn list_chunks(
        &mut self,
        upload: Uuid,
    ) -> Result<Vec<ChunkRow>, Error> {
        fetch_all!(
            self,
            "select start, bytes, object from registry_upload_chunks
             where upload_id = $1 order by start",
            [upload]
        )
    }

    /// Uploads that nobody has gone on with.
    pub(in crate::server) async fn list_expired_uploads(
        &mut self,
        now: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<UploadRow>, Error> {
        fetch_all!(
            self,
            "select id, repository, account_id, received, expires_at
             from registry_uploads where expires_at <= $1 limit $2",
            [now, signed(limit)]
        )
    }

    /// The upload is over; its pieces are forgotten with it. False when it was over before.
    pub(in crate::server) async fn delete_upload(&mut self, id: Uuid) -> Result<bool, Error> {
        execute!(
            self,
            "delete from registry_upload_chunks where upload_id = $1",
            [id]
        )?;
        execute!(self, "delete from registry_uploads where id = $1", [id]).map(|rows| rows == 1)
    }
}
