//! What a registry needs to know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;

use super::{PublishCheck, Schema};
use crate::clock::{Clock, SystemClock};
use crate::keys::KeyPair;

/// Where a registry keeps its things, and what it allows.
#[derive(Clone)]
pub struct RegistryConfig {
    /// `sqlite://path`, `postgres://…` or `postgresql://…`. Tables begin with `registry_`, so that a
    /// gateway's database can be used.
    pub database_url: String,
    /// Who sees to the schema.
    pub schema: Schema,
    /// `file:///path`, or a URL that `object_store` knows: `s3://bucket/prefix`.
    pub blobs_url: String,
    /// What the store for blobs needs besides, by the names that `object_store` knows:
    /// `aws_access_key_id`, `aws_endpoint` and so on, in either case.
    pub blobs_options: Vec<(String, SecretString)>,
    /// Signs the index. Clients know its public half; a lost one makes it another registry.
    pub key: KeyPair,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Names that nobody may claim, besides the built-in ones.
    pub reserved_names: Vec<String>,
    /// What a version must pass, besides the checks of its structure.
    pub checks: Vec<Arc<dyn PublishCheck>>,
    /// Bounds.
    pub limits: Limits,
}

impl RegistryConfig {
    /// With the usual limits and the system's clock.
    #[must_use]
    pub fn new(database_url: String, blobs_url: String, key: KeyPair) -> Self {
        Self {
            database_url,
            schema: Schema::default(),
            blobs_url,
            blobs_options: Vec::new(),
            key,
            clock: Arc::new(SystemClock),
            reserved_names: Vec::new(),
            checks: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for RegistryConfig {
    /// Without the URLs, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryConfig")
            .field("key", &self.key)
            .field("reserved_names", &self.reserved_names)
            .field("checks", &self.checks)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What clients may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// One blob. As much as a gateway loads.
    pub blob_bytes_max: usize,
    /// One manifest. The least that the OCI specification wants to be accepted.
    pub manifest_bytes_max: usize,
    /// All that an account keeps, unless it is given another quota.
    pub account_bytes_max: u64,
    /// Names of an account: whoever wants to sit on names soon has no more.
    pub account_names_max: u64,
    /// What an account may add to the index on a day (UTC), in bytes of its entries. A version takes
    /// some 1,500.
    pub log_bytes_per_day: u64,
    /// Advisories of one name.
    pub advisories_max: u64,
    /// Uploads of an account that are under way.
    pub account_uploads_max: u64,
    /// After that an upload that nobody went on with is forgotten.
    pub upload_lifetime: TimeDelta,
    /// After that a blob that no manifest names is forgotten.
    pub unused_blob_lifetime: TimeDelta,
    /// Bodies that are held in memory at the same time.
    pub bodies_at_once: usize,
    /// Of those, bodies of one account.
    pub account_bodies_at_once: usize,
    /// How long one body may take to come.
    pub body_timeout: Duration,
    /// Requests of one address without a valid token, per minute.
    pub anonymous_per_minute: u32,
    /// Requests of one address with a token, valid or not, per minute: several accounts may share one.
    pub address_per_minute: u32,
    /// Requests of one account, per minute.
    pub account_per_minute: u32,
    /// From so many downloads on, names one slip away are refused.
    pub popular_from: u64,
    /// How long a head of the index is good for.
    pub head_lifetime: TimeDelta,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_bytes_max: 32 << 20,
            manifest_bytes_max: 4 << 20,
            account_bytes_max: 4 << 30,
            account_names_max: 100,
            log_bytes_per_day: 256 << 10,
            advisories_max: 100,
            account_uploads_max: 16,
            upload_lifetime: TimeDelta::hours(1),
            unused_blob_lifetime: TimeDelta::days(1),
            bodies_at_once: 16,
            account_bodies_at_once: 4,
            body_timeout: Duration::from_secs(120),
            anonymous_per_minute: 1_200,
            address_per_minute: 12_000,
            account_per_minute: 2_400,
            popular_from: 1_000,
            head_lifetime: TimeDelta::days(1),
        }
    }
}
