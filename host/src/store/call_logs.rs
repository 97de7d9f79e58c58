//! `call_logs`: every request of a tenant's, without its content.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, RequestId};
use uuid::Uuid;

use super::backend::execute;
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// A request to be logged.
#[derive(Debug, Clone)]
pub struct NewCallLog {
    /// Its id.
    pub id: RequestId,
    /// In which environment.
    pub environment: Environment,
    /// Whose key it came with.
    pub api_key_id: Option<ApiKeyId>,
    /// Its method.
    pub method: String,
    /// The route that it matched, not its path.
    pub route: String,
    /// The status that was answered.
    pub status: u16,
    /// How long it took.
    pub duration_us: u64,
    /// The object that it was about.
    pub object_id: Option<Uuid>,
    /// The provider that was called.
    pub provider: Option<String>,
    /// The error's code.
    pub code: Option<String>,
    /// When it came.
    pub created_at: DateTime<Utc>,
}

statements! {
    INSERT = Statement::same(
        "insert into call_logs (id, tenant_id, environment, api_key_id, method, route, status,
             duration_us, object_id, provider, code, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    );
}

impl TenantTx {
    /// Logs a request.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_call_log(&mut self, call: &NewCallLog) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                call.id.uuid(),
                tenant,
                call.environment.as_str(),
                call.api_key_id.map(ApiKeyId::uuid),
                &call.method,
                &call.route,
                i64::from(call.status),
                call.duration_us.cast_signed(),
                call.object_id,
                call.provider.as_deref(),
                call.code.as_deref(),
                call.created_at,
            ]
        )
        .map(drop)
        .during("insert a call log")
    }
}
