//! Manifests, tags, and who refers to whom.

use chrono::{DateTime, Utc};
use sqlx::Error;
use uuid::Uuid;

use super::backend::{
    Columns, FromColumns, Text, Tx, decode, execute, fetch_all, fetch_optional, signed,
};
use crate::digest::Digest;

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct ManifestRow {
    pub(in crate::server) digest: Digest,
    pub(in crate::server) media_type: String,
    pub(in crate::server) artifact_type: Option<String>,
    pub(in crate::server) subject: Option<Digest>,
    /// JSON.
    pub(in crate::server) annotations: Option<String>,
    pub(in crate::server) body: Vec<u8>,
}

impl FromColumns for ManifestRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        let subject = row
            .optional_text("subject")?
            .map(|text| text.parse())
            .transpose();
        Ok(Self {
            digest: row.parsed("digest")?,
            media_type: row.text("media_type")?,
            artifact_type: row.optional_text("artifact_type")?,
            subject: subject.map_err(|error| decode("subject", error))?,
            annotations: row.optional_text("annotations")?,
            body: row.get("body")?,
        })
    }
}

/// A manifest that refers to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct ReferrerRow {
    pub(in crate::server) digest: Digest,
    pub(in crate::server) media_type: String,
    pub(in crate::server) artifact_type: Option<String>,
    /// JSON.
    pub(in crate::server) annotations: Option<String>,
    pub(in crate::server) bytes: u64,
}

impl FromColumns for ReferrerRow {
    fn from_columns(row: &impl Columns) -> Result<Self, Error> {
        Ok(Self {
            digest: row.parsed("digest")?,
            media_type: row.text("media_type")?,
            artifact_type: row.optional_text("artifact_type")?,
            annotations: row.optional_text("annotations")?,
            bytes: row.count("bytes")?,
        })
    }
}

impl Tx {
    /// A manifest and what it needs. That it was there before changes nothing.
    pub(in crate::server) async fn insert_manifest(
        &mut self,
        repository: &str,
        row: &ManifestRow,
        needs: &[Digest],
        by: (Uuid, DateTime<Utc>),
    ) -> Result<(), Error> {
        let digest = row.digest.to_string();
        execute!(
            self,
            "insert into registry_manifests
                 (repository, digest, account_id, media_type, artifact_type, subject, annotations,
                  body, bytes, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (repository, digest) do nothing",
            [
                repository,
                &digest,
                by.0,
                &row.media_type,
                &row.artifact_type,
                row.subject.map(|subject| subject.to_string()),
                &row.annotations,
                &row.body,
                i64::try_from(row.body.len()).unwrap_or(i64::MAX),
                by.1
            ]
        )?;
        for blob in needs {
            execute!(
                self,
                "insert into registry_manifest_blobs (repository, manifest, blob)
                 values ($1, $2, $3)
                 on conflict (repository, manifest, blob) do nothing",
                [repository, &digest, blob.to_string()]
            )?;
        }
        Ok(())
    }

    pub(in crate::server) async fn find_manifest(
        &mut self,
        repository: &str,
        digest: Digest,
    ) -> Result<Option<ManifestRow>, Error> {
        fetch_optional!(
            self,
            "select digest, media_type, artifact_type, subject, annotations, body
             from registry_manifests where repository = $1 and digest = $2",
            [repository, digest.to_string()]
        )
    }

    /// False when there is none.
    pub(in crate::server) async fn delete_manifest(
        &mut self,
        repository: &str,
        digest: Digest,
    ) -> Result<bool, Error> {
        let digest = digest.to_string();
        execute!(
            self,
            "delete from registry_manifest_blobs where repository = $1 and manifest = $2",
            [repository, &digest]
        )?;
        execute!(
            self,
            "delete from registry_tags where repository = $1 and digest = $2",
            [repository, &digest]
        )?;
        execute!(
            self,
            "delete from registry_manifests where repository = $1 and digest = $2",
            [repository, &digest]
        )
        .map(|rows| rows == 1)
    }

    /// What a tag points at.
    pub(in crate::server) async fn find_tag(
        &mut self,
        repository: &str,
        tag: &str,
    ) -> Result<Option<Digest>, Error> {
        let found: Option<Text> = fetch_optional!(
            self,
            "select digest as value from registry_tags where repository = $1 and tag = $2",
            [repository, tag]
        )?;
        found
            .map(|Text(digest)| digest.parse().map_err(|error| decode("digest", error)))
            .transpose()
    }

    pub(in crate::server) async fn set_tag(
        &mut self,
        repository: &str,
        tag: &str,
        digest: Digest,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        execute!(
            self,
            "insert into registry_tags (repository, tag, digest, updated_at)
             values ($1, $2, $3, $4)
             on conflict (repository, tag) do update set digest = $3, updated_at = $4",
            [repository, tag, digest.to_string(), now]
        )
        .map(|_rows| ())
    }

    /// False when there is none.
    pub(in crate::server) async fn delete_tag(
        &mut self,
        repository: &str,
        tag: &str,
    ) -> Result<bool, Error> {
        execute!(
            self,
            "delete from registry_tags where repository = $1 and tag = $2",
            [repository, tag]
        )
        .map(|rows| rows == 1)
    }

    /// Tags in the order of their bytes, from the one after `last` on.
    pub(in crate::server) async fn list_tags(
        &mut self,
        repository: &str,
        last: &str,
        limit: u64,
    ) -> Result<Vec<String>, Error> {
        let rows: Vec<Text> = fetch_all!(
            self,
            "select tag as value from registry_tags
             where repository = $1 and tag > $2 order by tag limit $3",
            [repository, last, signed(limit)]
        )?;
        Ok(rows.into_iter().map(|Text(tag)| tag).collect())
    }

    /// Manifests whose subject this is, of one type or of any, the oldest first.
    pub(in crate::server) async fn list_referrers(
        &mut self,
        repository: &str,
        subject: Digest,
        artifact_type: Option<&str>,
        limit: u64,
    ) -> Result<Vec<ReferrerRow>, Error> {
        fetch_all!(
            self,
            "select digest, media_type, artifact_type, annotations, bytes
             from registry_manifests where repository = $1 and subject = $2
               and ($3 is null or artifact_type = $3)
             order by created_at, digest limit $4",
            [
                repository,
                subject.to_string(),
                artifact_type,
                signed(limit)
            ]
        )
    }
}
