//! `objects`: what the API's clients created, one row each, of every kind.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_domain::metadata::Metadata;
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx, constraint};
use crate::ids;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A text message.
    Sms,
    /// An e-mail.
    Email,
    /// A payment.
    Payment,
    /// A refund.
    Refund,
    /// A plan.
    Plan,
    /// A subscription.
    Subscription,
    /// A payment link.
    PaymentLink,
}

impl ObjectKind {
    /// The name in the column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Plan => "plan",
            Self::Subscription => "subscription",
            Self::PaymentLink => "payment_link",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of object")]
pub struct ParseObjectKindError;

impl FromStr for ObjectKind {
    type Err = ParseObjectKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sms" => Ok(Self::Sms),
            "email" => Ok(Self::Email),
            "payment" => Ok(Self::Payment),
            "refund" => Ok(Self::Refund),
            "plan" => Ok(Self::Plan),
            "subscription" => Ok(Self::Subscription),
            "payment_link" => Ok(Self::PaymentLink),
            _ => Err(ParseObjectKindError),
        }
    }
}

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its id, without the prefix of its kind.
    pub id: Uuid,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// In which environment.
    pub environment: Environment,
    /// What it is.
    pub kind: ObjectKind,
    /// Which provider it went to.
    pub provider: String,
    /// Through which connection.
    pub connection_id: ConnectionId,
    /// Its status, one of its kind's.
    pub status: String,
    /// The provider's id for it.
    pub provider_ref: Option<String>,
    /// What was asked for: JSON.
    pub request: String,
    /// What is known of the outcome: JSON.
    pub result: String,
    /// The caller's own pairs.
    pub metadata: Metadata,
    /// Grows by one with every change.
    pub version: u64,
    /// While its creation is in flight: until when nobody else may settle it.
    pub claimed_until: Option<DateTime<Utc>>,
    /// When the provider was last asked about it.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

/// An object to be stored, with version 1.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Its id: a UUID version 7.
    pub id: Uuid,
    /// In which environment.
    pub environment: Environment,
    /// What it is.
    pub kind: ObjectKind,
    /// Which provider it goes to.
    pub provider: String,
    /// Through which connection.
    pub connection_id: ConnectionId,
    /// Its first status.
    pub status: String,
    /// What was asked for: JSON.
    pub request: String,
    /// Its large part, where it has one: JSON.
    pub content: Option<String>,
    /// What is known of the outcome: JSON.
    pub result: String,
    /// The caller's own pairs.
    pub metadata: Metadata,
    /// Until when nobody else may settle it.
    pub claimed_until: Option<DateTime<Utc>>,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// An object's next version.
#[derive(Debug, Clone)]
pub struct ObjectUpdate {
    /// Which object.
    pub id: Uuid,
    /// The version that was read; the row gets the next one.
    pub expected_version: u64,
    /// Its status.
    pub status: String,
    /// The provider's id for it; `None` keeps what is stored.
    pub provider_ref: Option<String>,
    /// What is known of the outcome: JSON.
    pub result: String,
    /// Until when nobody else may settle it; `None` once it is settled.
    pub claimed_until: Option<DateTime<Utc>>,
    /// When the provider was last asked about it; `None` keeps what is stored.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// Now.
    pub updated_at: DateTime<Utc>,
}

/// An object that goes over another connection than it was claimed for.
#[derive(Debug, Clone)]
pub struct ObjectMove {
    /// Which object.
    pub id: Uuid,
    /// The version that was read.
    pub expected_version: u64,
    /// Which provider it goes to now.
    pub provider: String,
    /// Through which connection.
    pub connection_id: ConnectionId,
    /// What is asked of it: JSON.
    pub request: String,
    /// Now.
    pub updated_at: DateTime<Utc>,
}

/// Which objects to list.
#[derive(Debug, Clone)]
pub struct ObjectFilter {
    /// What they are.
    pub kind: ObjectKind,
    /// In which environment.
    pub environment: Environment,
    /// How many at most.
    pub limit: u32,
    /// Only objects older than this one.
    pub before: Option<Uuid>,
    /// Only with one of these statuses; empty: with any.
    pub statuses: Vec<String>,
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only made at this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Only made before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Only with all of these pairs.
    pub metadata: Vec<(String, String)>,
}

impl ObjectFilter {
    /// Everything of a kind in an environment.
    #[must_use]
    pub const fn new(kind: ObjectKind, environment: Environment, limit: u32) -> Self {
        Self {
            kind,
            environment,
            limit,
            before: None,
            statuses: Vec::new(),
            provider: None,
            created_after: None,
            created_before: None,
            metadata: Vec::new(),
        }
    }
}

macro_rules! columns {
    () => {
        "id, tenant_id, environment, kind, provider, connection_id, status, provider_ref, request,
         result, metadata, version, claimed_until, refreshed_at, created_at, updated_at"
    };
}

macro_rules! find {
    () => {
        concat!(
            "select ",
            columns!(),
            " from objects
             where tenant_id = $1 and id = $2 and kind = $3 and environment = $4"
        )
    };
}

macro_rules! with_pair {
    () => {
        "(select object_id from object_metadata
          where tenant_id = $1 and environment = $2 and kind = $3 and object_id < $4
              and object_id >= $10 and key = $12 and value = $13) as paired
         join objects on objects.id = paired.object_id"
    };
}

macro_rules! list {
    ($from:expr, $statuses:literal, $metadata:literal) => {
        concat!(
            "select ",
            columns!(),
            " from ",
            $from,
            " where tenant_id = $1 and environment = $2 and kind = $3 and id < $4
                 and created_at >= $5 and created_at < $6
                 and (cast($7 as text) is null or provider = $7)
                 and ",
            $statuses,
            $metadata,
            "
             order by id desc limit $9"
        )
    };
}

statements! {
    INSERT = Statement::same(
        "insert into objects (id, tenant_id, environment, kind, provider, connection_id, status,
             request, result, metadata, version, claimed_until, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $12)",
    );
    INSERT_CONTENT = Statement::same(
        "insert into object_contents (tenant_id, object_id, content) values ($1, $2, $3)",
    );
    FIND_CONTENT = Statement::same(
        "select content as text from object_contents where tenant_id = $1 and object_id = $2",
    );
    FIND_ANY = Statement::same(concat!(
        "select ", columns!(), " from objects where tenant_id = $1 and id = $2"
    ));
    /// What ended without a provider's id, a refused message for one, is no longer in question.
    LIST_UNBOUND = Statement::same(concat!(
        "select ", columns!(), " from objects
         where tenant_id = $1 and connection_id = $2 and provider_ref is null
             and (claimed_until is not null or status = 'unknown')
             and created_at >= $3 and created_at <= $4
         order by created_at limit $5"
    ));
    FIND = Statement::same(find!());
    /// SQLite has one writer: its transaction is the lock.
    LOCK = Statement {
        postgres: concat!(find!(), " for update"),
        sqlite: find!(),
    };
    UPDATE = Statement::same(
        "update objects
         set status = $4, provider_ref = coalesce($5, provider_ref), result = $6,
             claimed_until = $7, refreshed_at = coalesce($8, refreshed_at), updated_at = $9,
             version = version + 1
         where tenant_id = $1 and id = $2 and version = $3",
    );
    MOVE = Statement::same(
        "update objects
         set provider = $4, connection_id = $5, request = $6, updated_at = $7,
             version = version + 1
         where tenant_id = $1 and id = $2 and version = $3 and provider_ref is null",
    );
    BEGIN_REFRESH = Statement::same(
        "update objects set refreshed_at = $3
         where tenant_id = $1 and id = $2 and (refreshed_at is null or refreshed_at <= $4)",
    );
    LIST = Statement {
        postgres: list!(
            "objects",
            "($8::jsonb is null or status in (select jsonb_array_elements_text($8)))",
            " and id >= $10"
        ),
        sqlite: list!(
            "objects",
            "($8 is null or status in (select value from json_each($8)))",
            " and id >= $10"
        ),
    };
    /// By one pair, newest first; of those, the ones that have the other pairs too. Keys hold nothing
    /// that a quoted path could misread.
    LIST_WITH_METADATA = Statement {
        postgres: list!(
            with_pair!(),
            "($8::jsonb is null or status in (select jsonb_array_elements_text($8)))",
            " and metadata @> $11"
        ),
        sqlite: list!(
            with_pair!(),
            "($8 is null or status in (select value from json_each($8)))",
            " and not exists (
                 select 1 from json_each($11) as wanted
                 where objects.metadata ->> ('$.\"' || wanted.key || '\"') is not wanted.value)"
        ),
    };
    PROVIDER_REFS_KNOWN = Statement {
        postgres: "select provider_ref as text from objects
             where tenant_id = $1 and connection_id = $2
                 and provider_ref in (select jsonb_array_elements_text($3))",
        sqlite: "select provider_ref as text from objects
             where tenant_id = $1 and connection_id = $2
                 and provider_ref in (select value from json_each($3))",
    };
}

impl TenantTx {
    /// Stores a new object.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_object(&mut self, object: &NewObject) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                object.id,
                tenant,
                object.environment.as_str(),
                object.kind.as_str(),
                &object.provider,
                object.connection_id.uuid(),
                &object.status,
                &object.request,
                &object.result,
                Json(&object.metadata),
                object.claimed_until,
                object.created_at,
            ]
        )
        .during("insert an object")?;
        let Some(content) = &object.content else {
            return Ok(());
        };
        execute!(self, INSERT_CONTENT, [tenant, object.id, content])
            .map(drop)
            .during("insert an object's content")
    }

    /// The large part of what was asked for, where there is one.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_object_content(&mut self, id: Uuid) -> Result<Option<String>, StoreError> {
        let tenant = self.tenant().uuid();
        let content: Option<Text> =
            fetch_optional!(self, FIND_CONTENT, [tenant, id]).during("find an object's content")?;
        Ok(content.map(|Text(text)| text))
    }

    /// An object of whatever kind and environment, for work in the background.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_object_of_any_kind(
        &mut self,
        id: Uuid,
    ) -> Result<Option<ObjectRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND_ANY, [tenant, id]).during("find an object")
    }

    /// A connection's objects of which neither the end nor the provider's id is known, made between
    /// two times, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_unbound_objects(
        &mut self,
        connection_id: ConnectionId,
        after: DateTime<Utc>,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(
            self,
            LIST_UNBOUND,
            [
                tenant,
                connection_id.uuid(),
                after,
                before,
                i64::from(limit)
            ]
        )
        .during("list objects without a provider's id")
    }

    /// An object.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_object(
        &mut self,
        kind: ObjectKind,
        environment: Environment,
        id: Uuid,
    ) -> Result<Option<ObjectRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(
            self,
            FIND,
            [tenant, id, kind.as_str(), environment.as_str()]
        )
        .during("find an object")
    }

    /// An object that nobody else can change until the transaction ends.
    ///
    /// # Errors
    /// The database cannot be reached, or another transaction holds the object for too long.
    pub async fn lock_object(
        &mut self,
        kind: ObjectKind,
        environment: Environment,
        id: Uuid,
    ) -> Result<Option<ObjectRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(
            self,
            LOCK,
            [tenant, id, kind.as_str(), environment.as_str()]
        )
        .during("lock an object")
    }

    /// Writes an object's next version; `false` when the version that was read is no longer the
    /// last one.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] by [`constraint::PROVIDER_REF`]: the connection has another object
    /// with this reference. The transaction has then failed: begin another to go on.
    pub async fn update_object(&mut self, update: &ObjectUpdate) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            UPDATE,
            [
                tenant,
                update.id,
                update.expected_version.cast_signed(),
                &update.status,
                update.provider_ref.as_deref(),
                &update.result,
                update.claimed_until,
                update.refreshed_at,
                update.updated_at,
            ]
        )
        .map(|rows| rows == 1)
        .during_unique("update an object", constraint::PROVIDER_REF)
    }

    /// Hands an object over to another connection; `false` when the version that was read is no
    /// longer the last one.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn move_object(&mut self, moved: &ObjectMove) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            MOVE,
            [
                tenant,
                moved.id,
                moved.expected_version.cast_signed(),
                &moved.provider,
                moved.connection_id.uuid(),
                &moved.request,
                moved.updated_at,
            ]
        )
        .map(|rows| rows == 1)
        .during("move an object to another connection")
    }

    /// Whether the caller is the one who may ask the provider about an object now: of all who try
    /// within `min_age`, one gets `true`. The version stays.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn try_begin_refresh(
        &mut self,
        id: Uuid,
        now: DateTime<Utc>,
        min_age: TimeDelta,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, BEGIN_REFRESH, [tenant, id, now, now - min_age])
            .map(|rows| rows == 1)
            .during("begin the refresh of an object")
    }

    /// Objects, newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_objects(
        &mut self,
        filter: &ObjectFilter,
    ) -> Result<Vec<ObjectRow>, StoreError> {
        const OPERATION: &str = "list objects";
        let tenant = self.tenant().uuid();
        let (environment, kind) = (filter.environment.as_str(), filter.kind.as_str());
        // Bounds that every row keeps, instead of nulls: the index is used either way.
        let before = filter.before.unwrap_or(Uuid::max());
        let after = filter.created_after.unwrap_or(DateTime::UNIX_EPOCH);
        let until = filter.created_before.unwrap_or(END_OF_TIME);
        // The index goes by ids, which tell the time too: rows of other times are not even read.
        let first = ids::first_of(after - ID_MARGIN);
        let before = before.min(ids::first_of(until + ID_MARGIN));
        let provider = filter.provider.as_deref();
        let statuses = (!filter.statuses.is_empty()).then_some(Json(&filter.statuses));
        let limit = i64::from(filter.limit);
        if filter.metadata.is_empty() {
            return fetch_all!(
                self,
                LIST,
                [
                    tenant,
                    environment,
                    kind,
                    before,
                    after,
                    until,
                    provider,
                    statuses,
                    limit,
                    first
                ]
            )
            .during(OPERATION);
        }
        let Some(wanted) = wanted_metadata(&filter.metadata) else {
            return Ok(Vec::new());
        };
        // The longest value is found most rarely: a number of the caller's, and not a yes.
        let Some((key, value)) = filter.metadata.iter().max_by_key(|(_, value)| value.len()) else {
            return Ok(Vec::new());
        };
        fetch_all!(
            self,
            LIST_WITH_METADATA,
            [
                tenant,
                environment,
                kind,
                before,
                after,
                until,
                provider,
                statuses,
                limit,
                first,
                Json(&wanted),
                key,
                value,
            ]
        )
        .during(OPERATION)
    }

    /// Which of these references a connection's objects have already.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn provider_refs_known(
        &mut self,
        connection_id: ConnectionId,
        refs: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let tenant = self.tenant().uuid();
        let known: Vec<Text> = fetch_all!(
            self,
            PROVIDER_REFS_KNOWN,
            [tenant, connection_id.uuid(), Json(refs)]
        )
        .during("look up references of a provider")?;
        Ok(known.into_iter().map(|Text(text)| text).collect())
    }
}

/// An id and `created_at` are taken one after the other, from clocks that may be set in between.
pub(super) const ID_MARGIN: TimeDelta = TimeDelta::hours(1);

/// The last second that both databases can write in the same form.
pub(super) const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

/// The pairs as one object; none when a key is wanted with two values, or cannot be one.
fn wanted_metadata(pairs: &[(String, String)]) -> Option<Metadata> {
    let mut wanted = BTreeMap::new();
    for (key, value) in pairs {
        if let Some(other) = wanted.insert(key.clone(), value.clone())
            && other != *value
        {
            return None;
        }
    }
    Metadata::new(wanted).ok()
}

pub(super) struct Text(pub(super) String);

impl FromColumns for Text {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.text("text").map(Self)
    }
}

impl FromColumns for ObjectRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.uuid("id")?,
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            environment: row.environment()?,
            kind: row.parsed("kind")?,
            provider: row.text("provider")?,
            connection_id: ConnectionId::from_uuid(row.uuid("connection_id")?),
            status: row.text("status")?,
            provider_ref: row.get("provider_ref")?,
            request: row.text("request")?,
            result: row.text("result")?,
            metadata: row.json("metadata")?,
            version: row.integer("version")?,
            claimed_until: row.optional_time("claimed_until")?,
            refreshed_at: row.optional_time("refreshed_at")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}
