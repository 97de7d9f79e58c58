//! Holds events, deliveries and what was received against each other.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::receiver::Receiver;

/// What there must be none of.
const CHECKS: [(&str, &str); 4] = [
    (
        "events are not to be told",
        "events join webhook_endpoints as endpoint
             on endpoint.tenant_id = events.tenant_id
             and endpoint.environment = events.environment
             and endpoint.created_at < events.created_at
         where endpoint.event_types is null and not exists (
             select 1 from webhook_deliveries as delivery
             where delivery.tenant_id = events.tenant_id and delivery.event_id = events.id
                 and delivery.endpoint_id = endpoint.id)",
    ),
    (
        "deliveries have no event",
        "webhook_deliveries as delivery
         where not exists (select 1 from events
             where events.tenant_id = delivery.tenant_id and events.id = delivery.event_id)",
    ),
    (
        "pending deliveries are not queued",
        "webhook_deliveries as delivery
         where delivery.state = 'pending' and not exists (select 1 from delivery_queue
             where delivery_queue.delivery_id = delivery.id)",
    ),
    (
        "queued deliveries are not pending",
        "delivery_queue as queue
         where not exists (select 1 from webhook_deliveries as delivery
             where delivery.tenant_id = queue.tenant_id and delivery.id = queue.delivery_id
                 and delivery.state = 'pending')",
    ),
];

/// What is wrong between events, deliveries and what was received: nothing, if all is well. `database`
/// is its URL as its owner's, `receiver` has every endpoint, and all of them were enabled all the time.
pub async fn faults(database: &str, receiver: &Receiver) -> Vec<String> {
    let mut faults = Vec::new();
    for (what, rows) in CHECKS {
        let count = count(database, rows).await;
        if count != 0 {
            faults.push(format!("{count} {what}"));
        }
    }
    let received: BTreeSet<_> = receiver.deliveries().into_iter().collect();
    let succeeded = count(database, "webhook_deliveries where state = 'succeeded'").await;
    let missing = succeeded - i64::try_from(received.len()).unwrap();
    if missing > 0 {
        faults.push(format!(
            "{missing} deliveries have succeeded that nobody has received"
        ));
    }
    faults
}

/// How many rows there are.
pub async fn count(database: &str, rows: &str) -> i64 {
    let sql = AssertSqlSafe(format!("select count(*) from {rows}"));
    if database.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(database).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    } else {
        let mut connection = PgConnection::connect(database).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }
}
