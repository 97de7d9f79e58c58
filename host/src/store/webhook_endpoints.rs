//! `webhook_endpoints`: where tenants want to hear of events.

use std::fmt;

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::event::{self, EventPattern};
use onerouter_domain::id::{TenantId, WebhookEndpointId};
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// Where a tenant wants to hear of events.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookEndpointRow {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whose events it hears of.
    pub environment: Environment,
    /// Where deliveries are posted to.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// Of which events it hears; none for all.
    pub event_types: Option<Vec<EventPattern>>,
    /// Signing secrets and headers, as the vault wrote them.
    pub secrets: Vec<u8>,
    /// Whether of one object's events the next waits for the one before.
    pub is_ordered: bool,
    /// Deliveries a second, where that is limited.
    pub rate_per_second: Option<u32>,
    /// Why nothing is sent any more.
    pub disabled_reason: Option<String>,
    /// Since when nothing is sent any more.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Since when nothing has been taken.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when it asks to be left alone.
    pub paused_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings, its secrets or its state were written last.
    pub updated_at: DateTime<Utc>,
}

impl WebhookEndpointRow {
    /// Whether events of this type are sent to it.
    #[must_use]
    pub fn wants(&self, event_type: &str) -> bool {
        event::is_wanted(self.event_types.as_deref(), event_type)
    }

    /// Until when it is to be left alone, where it is at this time.
    #[must_use]
    pub fn paused_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.paused_until.filter(|until| *until > now)
    }
}

impl fmt::Debug for WebhookEndpointRow {
    /// Without secrets, and without the URL, which may be one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEndpointRow")
            .field("id", &self.id)
            .field("environment", &self.environment)
            .field("disabled_at", &self.disabled_at)
            .field("failing_since", &self.failing_since)
            .finish_non_exhaustive()
    }
}

macro_rules! columns {
    () => {
        "id, tenant_id, environment, url, description, event_types, secrets, is_ordered,
         rate_per_second, disabled_reason, disabled_at, failing_since, paused_until, created_at,
         updated_at"
    };
}

statements! {
    INSERT = Statement::same(
        "insert into webhook_endpoints (tenant_id, id, environment, url, description, event_types,
             secrets, is_ordered, rate_per_second, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
    );
    FIND = Statement::same(concat!(
        "select ", columns!(), " from webhook_endpoints where tenant_id = $1 and id = $2"
    ));
    LIST = Statement::same(concat!(
        "select ", columns!(), " from webhook_endpoints
         where tenant_id = $1 and id < $2 and environment = $3
         order by id desc limit $4"
    ));
    COUNT = Statement::same(
        "select count(*) as number from webhook_endpoints
         where tenant_id = $1 and id > $2 and environment = $3",
    );
    /// Only what nobody has changed since it was read.
    UPDATE = Statement::same(
        "update webhook_endpoints
         set url = $4, description = $5, event_types = $6, secrets = $7, is_ordered = $8,
             rate_per_second = $9, disabled_reason = $10, disabled_at = $11,
             failing_since = case when $12 then null else failing_since end,
             paused_until = case when $13 then null else paused_until end, updated_at = $14
         where tenant_id = $1 and id = $2 and updated_at = $3",
    );
    /// Only as it was when it was judged.
    DISABLE = Statement::same(
        "update webhook_endpoints set disabled_reason = $3, disabled_at = $4, updated_at = $4
         where tenant_id = $1 and id = $2 and disabled_at is null and url = $5
             and failing_since is not distinct from $6",
    );
    NOTE_FAILING = Statement::same(
        "update webhook_endpoints set failing_since = $3
         where tenant_id = $1 and id = $2 and failing_since is null and disabled_at is null",
    );
    NOTE_TAKEN = Statement::same(
        "update webhook_endpoints set failing_since = null
         where tenant_id = $1 and id = $2 and failing_since is not null and disabled_at is null",
    );
    NOTE_PAUSED = Statement::same(
        "update webhook_endpoints set paused_until = $3
         where tenant_id = $1 and id = $2 and disabled_at is null
             and (paused_until is null or paused_until < $3)",
    );
    DELETE = Statement::same("delete from webhook_endpoints where tenant_id = $1 and id = $2");
    /// Those who add one wait for each other; whoever refers to the tenant does not wait for them.
    LOCK_TENANT = Statement {
        postgres: "select id from tenants where id = $1 for no key update",
        sqlite: "select id from tenants where id = $1",
    };
}

impl TenantTx {
    /// Stores an endpoint, which is enabled.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_webhook_endpoint(
        &mut self,
        endpoint: &WebhookEndpointRow,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                tenant,
                endpoint.id.uuid(),
                endpoint.environment.as_str(),
                &endpoint.url,
                endpoint.description.as_deref(),
                endpoint.event_types.as_deref().map(texts).map(Json),
                endpoint.secrets.as_slice(),
                endpoint.is_ordered,
                endpoint.rate_per_second.map(i64::from),
                endpoint.created_at,
            ]
        )
        .map(drop)
        .during("insert a webhook endpoint")
    }

    /// An endpoint of the tenant's.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_webhook_endpoint(
        &mut self,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpointRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id.uuid()]).during("find a webhook endpoint")
    }

    /// Up to `limit` endpoints of an environment that are older than `before`, newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_webhook_endpoints(
        &mut self,
        environment: Environment,
        before: Option<WebhookEndpointId>,
        limit: u32,
    ) -> Result<Vec<WebhookEndpointRow>, StoreError> {
        let tenant = self.tenant().uuid();
        let before = before.map_or(Uuid::max(), WebhookEndpointId::uuid);
        fetch_all!(
            self,
            LIST,
            [tenant, before, environment.as_str(), i64::from(limit)]
        )
        .during("list webhook endpoints")
    }

    /// How many endpoints an environment has. Until this transaction ends, nobody else gets an answer, so
    /// that the number holds when one is added.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn count_webhook_endpoints(
        &mut self,
        environment: Environment,
    ) -> Result<u64, StoreError> {
        const OPERATION: &str = "count webhook endpoints";
        let tenant = self.tenant().uuid();
        let _locked: Option<Uuid> =
            fetch_optional!(self, LOCK_TENANT, [tenant]).during(OPERATION)?;
        let first = Uuid::nil();
        let counted: Option<Number> =
            fetch_optional!(self, COUNT, [tenant, first, environment.as_str()])
                .during(OPERATION)?;
        Ok(counted.map_or(0, |Number(number)| number))
    }

    /// Writes an endpoint that was read with `read_at` as its `updated_at`; `false` when it was changed
    /// meanwhile or is gone. Without a `failing_since` that is forgotten; with one, what others have noted
    /// meanwhile stays. So it is with `paused_until`.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn update_webhook_endpoint(
        &mut self,
        endpoint: &WebhookEndpointRow,
        read_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            UPDATE,
            [
                tenant,
                endpoint.id.uuid(),
                read_at,
                &endpoint.url,
                endpoint.description.as_deref(),
                endpoint.event_types.as_deref().map(texts).map(Json),
                endpoint.secrets.as_slice(),
                endpoint.is_ordered,
                endpoint.rate_per_second.map(i64::from),
                endpoint.disabled_reason.as_deref(),
                endpoint.disabled_at,
                endpoint.failing_since.is_none(),
                endpoint.paused_until.is_none(),
                endpoint.updated_at,
            ]
        )
        .map(|rows| rows == 1)
        .during("update a webhook endpoint")
    }

    /// Sends nothing any more to an endpoint that was judged as it was read; `false` when it is another
    /// now: it has another URL, has taken something, is disabled, or gone.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn disable_webhook_endpoint(
        &mut self,
        read: &WebhookEndpointRow,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        let (id, url) = (read.id.uuid(), read.url.as_str());
        execute!(
            self,
            DISABLE,
            [tenant, id, reason, at, url, read.failing_since]
        )
        .map(|rows| rows == 1)
        .during("disable a webhook endpoint")
    }

    /// Notes that an endpoint has taken nothing since then; what was noted before stays.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn note_webhook_endpoint_failing(
        &mut self,
        id: WebhookEndpointId,
        since: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, NOTE_FAILING, [tenant, id.uuid(), since])
            .map(|rows| rows == 1)
            .during("note that a webhook endpoint fails")
    }

    /// Notes that an endpoint has taken something; `false` where it was not failing.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn note_webhook_endpoint_taken(
        &mut self,
        id: WebhookEndpointId,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, NOTE_TAKEN, [tenant, id.uuid()])
            .map(|rows| rows == 1)
            .during("note that a webhook endpoint works")
    }

    /// Notes until when an endpoint asks to be left alone; `false` where it has asked for as much.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn note_webhook_endpoint_paused(
        &mut self,
        id: WebhookEndpointId,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, NOTE_PAUSED, [tenant, id.uuid(), until])
            .map(|rows| rows == 1)
            .during("note that a webhook endpoint is to be left alone")
    }

    /// Deletes an endpoint; `false` when there is none.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_webhook_endpoint(
        &mut self,
        id: WebhookEndpointId,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, DELETE, [tenant, id.uuid()])
            .map(|rows| rows == 1)
            .during("delete a webhook endpoint")
    }
}

fn texts(patterns: &[EventPattern]) -> Vec<&str> {
    patterns.iter().map(EventPattern::as_str).collect()
}

struct Number(u64);

impl FromColumns for Number {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.integer("number").map(Self)
    }
}

/// A pattern that this version does not know was written by a newer one, for events that only that one
/// makes.
fn patterns(texts: &[String]) -> Vec<EventPattern> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

impl FromColumns for WebhookEndpointRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: WebhookEndpointId::from_uuid(row.uuid("id")?),
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            environment: row.environment()?,
            url: row.text("url")?,
            description: row.get("description")?,
            event_types: row
                .get::<Option<Json<Vec<String>>>>("event_types")?
                .map(|Json(texts)| patterns(&texts)),
            secrets: row.get("secrets")?,
            is_ordered: row.get("is_ordered")?,
            rate_per_second: row.optional_integer("rate_per_second")?,
            disabled_reason: row.get("disabled_reason")?,
            disabled_at: row.optional_time("disabled_at")?,
            failing_since: row.optional_time("failing_since")?,
            paused_until: row.optional_time("paused_until")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}
