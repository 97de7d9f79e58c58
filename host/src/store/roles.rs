//! What PostgreSQL lets the service do. It connects as a role that owns nothing and cannot pass over
//! the policies of tenants' tables; whoever migrates owns them, and hands out what the service needs.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::error::During as _;
use super::session::Alone;
use super::{Db, Store, StoreError};

/// What the service may do with each table. Whatever is missing here is not granted.
const PRIVILEGES: &[(&str, &str)] = &[
    ("api_keys", "select, insert, update, delete"),
    ("attempt_objects", "select, insert, update, delete"),
    ("attempts", "select, insert, update, delete"),
    ("audit_log", "select, insert"),
    ("call_logs", "select, insert, update, delete"),
    ("checkout_directory", "select, insert, update, delete"),
    ("connection_directory", "select, insert, update, delete"),
    ("connections", "select, insert, update, delete"),
    ("data_keys", "select, insert, update, delete"),
    ("delivery_queue", "select, insert, update, delete"),
    ("due_work", "select, insert, update, delete"),
    ("events", "select, insert, update, delete"),
    ("gateway_nodes", "select, insert, update, delete"),
    // Both written by triggers, with their owner's rights.
    ("generation", "select"),
    ("idempotency_keys", "select, insert, update, delete"),
    ("key_directory", "select, insert, update, delete"),
    ("object_contents", "select, insert, update, delete"),
    // Written by a trigger, with its owner's rights.
    ("object_metadata", "select, delete"),
    ("objects", "select, insert, update, delete"),
    ("plugin_components", "select, insert, update, delete"),
    ("plugin_distrusted_keys", "select, insert, update, delete"),
    ("plugin_generation", "select, update"),
    ("plugin_keys", "select, insert, update, delete"),
    ("plugin_tombstones", "select, insert, update, delete"),
    ("plugin_versions", "select, insert, update, delete"),
    ("plugins", "select, insert, update, delete"),
    ("provider_refs", "select, insert, update, delete"),
    ("received_webhooks", "select, insert, update, delete"),
    ("recorded_calls", "select, insert, update, delete"),
    ("recording_directory", "select, insert, update, delete"),
    ("recording_settings", "select, insert, update, delete"),
    ("refund_amounts", "select, insert, update, delete"),
    ("routing_policies", "select, insert, update, delete"),
    ("tenant_changes", "select, delete"),
    ("tenants", "select, insert, update, delete"),
    ("webhook_attempts", "select, insert, update, delete"),
    ("webhook_deliveries", "select, insert, update, delete"),
    ("webhook_endpoints", "select, insert, update, delete"),
    ("webhook_keys", "select, insert, update, delete"),
    // To compare the schema's version with its own.
    ("_sqlx_migrations", "select"),
];

/// What it does with the owner's rights.
const FUNCTIONS: [&str; 2] = [
    "make_partitions(timestamptz)",
    "drop_partitions(text, timestamptz)",
];

/// Tables without a policy: they tell whose something is before a tenant is known, and hold nothing
/// else; or they are about plugins, and of no tenant.
const OPEN: &[&str] = &[
    "_sqlx_migrations",
    "checkout_directory",
    "connection_directory",
    "delivery_queue",
    "due_work",
    "gateway_nodes",
    "generation",
    "key_directory",
    "plugin_components",
    "plugin_distrusted_keys",
    "plugin_generation",
    "plugin_keys",
    "plugin_tombstones",
    "plugin_versions",
    "plugins",
    "recording_directory",
    "tenant_changes",
];

/// How well the database itself keeps tenants apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleCheck {
    /// The role of the service.
    pub role: String,
    /// It is a superuser or has `bypassrls`: no policy holds for it.
    pub passes_over_policies: bool,
    /// Tables that it owns, and whose policies it could drop.
    pub owned: Vec<String>,
    /// Tables of tenants' data without a policy that holds for everybody.
    pub unprotected: Vec<String>,
    /// Tables that show rows to a connection that has named no tenant.
    pub open: Vec<String>,
}

impl RoleCheck {
    /// What is wrong, in words; empty when all is well.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let role = &self.role;
        let mut faults = Vec::new();
        if self.passes_over_policies {
            faults.push(format!(
                "the role {role} is a superuser or has BYPASSRLS, so row-level security does not hold for it"
            ));
        }
        if !self.owned.is_empty() {
            faults.push(format!(
                "the role {role} owns tables ({}); the service is to own nothing",
                self.owned.join(", ")
            ));
        }
        if !self.unprotected.is_empty() {
            faults.push(format!(
                "no forced row-level security on {}",
                self.unprotected.join(", ")
            ));
        }
        if !self.open.is_empty() {
            faults.push(format!(
                "a connection that has named no tenant sees rows of {}",
                self.open.join(", ")
            ));
        }
        faults
    }
}

impl Store {
    /// Looks at what the service's role may do. None on SQLite, which has no roles.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn check_role(&self) -> Result<Option<RoleCheck>, StoreError> {
        const OPERATION: &str = "look at the service's role";
        let Db::Postgres(kept) = &self.db else {
            return Ok(None);
        };
        let pool = Alone(kept);
        let role = sqlx::query(
            "select rolname::text as role, rolsuper or rolbypassrls as passes
             from pg_roles where rolname = current_user",
        )
        .fetch_one(pool)
        .await
        .during(OPERATION)?;
        let tables = sqlx::query(
            "select relname::text as name, pg_has_role(relowner, 'usage') as owned,
                 -- A partition without a policy shows nobody anything but through its table.
                 relrowsecurity and relforcerowsecurity and (relispartition
                     or exists (select from pg_policy where polrelid = pg_class.oid)) as protected
             from pg_class
             where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace
             order by relname",
        )
        .fetch_all(pool)
        .await
        .during(OPERATION)?;
        let mut check = RoleCheck {
            role: role.try_get("role").during(OPERATION)?,
            passes_over_policies: role.try_get("passes").during(OPERATION)?,
            ..RoleCheck::default()
        };
        for table in tables {
            let name: String = table.try_get("name").during(OPERATION)?;
            let is_protected: bool = table.try_get("protected").during(OPERATION)?;
            if !is_protected && !OPEN.contains(&name.as_str()) {
                check.unprotected.push(name.clone());
            }
            // A superuser is a member of every role.
            if !check.passes_over_policies && table.try_get("owned").during(OPERATION)? {
                check.owned.push(name);
            }
        }
        // By trying it, on a connection that transactions of tenants have used before.
        let looks: Vec<String> = PRIVILEGES
            .iter()
            .filter(|(table, _)| !OPEN.contains(table))
            .map(|(table, _)| format!("select '{table}' where exists (select from {table})"))
            .collect();
        check.open = sqlx::query_scalar(AssertSqlSafe(looks.join(" union all ")))
            .fetch_all(pool)
            .await
            .during(OPERATION)?;
        Ok(Some(check))
    }
}

/// Lets a role use the tables, as their owner.
pub(super) async fn grant(owner: &mut PgConnection, role: &str) -> Result<(), StoreError> {
    const OPERATION: &str = "grant the service's role its tables";
    let role = quoted(role);
    let mut transaction = owner.begin().await.during(OPERATION)?;
    let schema: String = sqlx::query_scalar("select current_schema()::text")
        .fetch_one(&mut *transaction)
        .await
        .during(OPERATION)?;
    let schema = quoted(&schema);
    let usage = format!("grant usage on schema {schema} to {role}");
    let tables = PRIVILEGES.iter().map(|(table, privileges)| {
        format!("revoke all on {table} from {role}; grant {privileges} on {table} to {role}")
    });
    let functions =
        FUNCTIONS.map(|function| format!("grant execute on function {function} to {role}"));
    for statement in std::iter::once(usage).chain(tables).chain(functions) {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .during(OPERATION)?;
    }
    transaction.commit().await.during(OPERATION)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("plain"), "\"plain\"");
        assert_eq!(quoted("a\"; drop"), "\"a\"\"; drop\"");
    }
}
