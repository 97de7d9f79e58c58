//! Which blobs a repository has, and where their bytes are.
//!
//! Every row has an object of its own, even where two repositories have the same bytes: so whoever
//! deletes a row may delete its object, and no one else can have begun to use it.

use chrono::{DateTime, Utc};
use sqlx::Error;
use uuid::Uuid;

use super::backend::{
    Columns, Count, FromColumns, Tx, execute, fetch_all, fetch_one, fetch_optional, signed,
};
use crate::digest::Digest;

/// A blob of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct BlobRow {
    pub(in crate::server) repository: String,
    pub(in crate::server) digest: Digest,
    pub(in crate::server) account_id: Uuid,
    pub(in crate::server) bytes: u64,
    /// Under which name the object store has it.
    pub(in crate::server) object: Uuid,
    pub(in crate::server) created_at: DateTime<Utc>,
}

impl FromColumns for BlobRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            repository: row.text("repository")?,
            digest: row.parsed("digest")?,
            account_id: row.uuid("account_id")?,
            bytes: row.count("bytes")?,
            object: row.uuid("object")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Tx {
    pub(in crate::server) async fn find_blob(
        &mut self,
        repository: &str,
        digest: Digest,
    ) -> Result<Option<BlobRow>, Error> {
        fetch_optional!(
            self,
            "select repository, digest, account_id, bytes, object, created_at
             from registry_blobs where repository = $1 and digest = $2",
            [repository, digest.to_string()]
        )
    }

    /// False when the repository has it already.
    pub(in crate::server) async fn insert_blob(&mut self, row: &BlobRow) -> Result<bool, Error> {
        execute!(
            self,
            "insert into registry_blobs
                 (repository, digest, account_id, bytes, object, created_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (repository, digest) do nothing",
            [
                &row.repository,
                row.digest.to_string(),
                row.account_id,
                signed(row.bytes),
                row.object,
                row.created_at
            ]
        )
        .map(|rows| rows == 1)
    }

    /// What an account keeps here: blobs, manifests, and uploads that are under way.
    pub(in crate::server) async fn sum_bytes(&mut self, account: Uuid) -> Result<u64, Error> {
        fetch_one!(
            self,
            "select cast(
                 coalesce((select sum(bytes) from registry_blobs where account_id = $1), 0)
                 + coalesce((select sum(bytes) from registry_manifests where account_id = $1), 0)
                 + coalesce((select sum(received) from registry_uploads where account_id = $1), 0)
             as bigint) as count",
            [account]
        )
        .map(|Count(bytes)| bytes)
    }

    /// Whether some row stands for an object.
    pub(in crate::server) async fn has_object(&mut self, object: Uuid) -> Result<bool, Error> {
        fetch_one!(
            self,
            "select (select count(*) from registry_blobs where object = $1)
                  + (select count(*) from registry_upload_chunks where object = $1) as count",
            [object]
        )
        .map(|Count(rows)| rows > 0)
    }

    /// Takes away blobs that were put before `before` and that no manifest of their repository names.
    /// The log must be locked, so that no such manifest is put meanwhile.
    pub(in crate::server) async fn delete_unused_blobs(
        &mut self,
        before: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<BlobRow>, Error> {
        let unused: Vec<BlobRow> = fetch_all!(
            self,
            "select b.repository, b.digest, b.account_id, b.bytes, b.object, b.created_at
             from registry_blobs b
             where b.created_at < $1 and not exists (
                 select 1 from registry_manifest_blobs m
                 where m.repository = b.repository and m.blob = b.digest)
             limit $2",
            [before, signed(limit)]
        )?;
        for row in &unused {
            execute!(
                self,
                "delete from registry_blobs where repository = $1 and digest = $2",
                [&row.repository, row.digest.to_string()]
            )?;
        }
        Ok(unused)
    }
}
