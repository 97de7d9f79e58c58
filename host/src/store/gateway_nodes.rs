//! `gateway_nodes`: how far each running gateway has followed what is wanted of plugins.

use chrono::{DateTime, Utc};
use onerouter_domain::id::NodeId;

use super::backend::{Columns, FromColumns, execute, fetch_all};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError};

/// A running gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id, new with each start.
    pub id: NodeId,
    /// Up to which change it has followed.
    pub generation: i64,
    /// What it says about the plugins it runs: JSON text.
    pub report: String,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it said so.
    pub seen_at: DateTime<Utc>,
}

statements! {
    WRITE = Statement {
        postgres: "insert into gateway_nodes (id, generation, report, started_at, seen_at)
             values ($1, $2, cast($3 as jsonb), $4, $5)
             on conflict (id) do update set generation = excluded.generation,
                 report = excluded.report, seen_at = excluded.seen_at",
        sqlite: "insert into gateway_nodes (id, generation, report, started_at, seen_at)
             values ($1, $2, $3, $4, $5)
             on conflict (id) do update set generation = excluded.generation,
                 report = excluded.report, seen_at = excluded.seen_at",
    };
    LIST = Statement::same(
        "select id, generation, cast(report as text) as report, started_at, seen_at
         from gateway_nodes where seen_at >= $1 order by id",
    );
    DELETE = Statement::same("delete from gateway_nodes where id = $1");
    FORGET = Statement::same("delete from gateway_nodes where seen_at < $1");
}

impl Store {
    /// Writes what a node says.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn write_node(&self, node: &NodeRow) -> Result<(), StoreError> {
        execute!(
            self.pools_to_write(),
            WRITE,
            [
                node.id.uuid(),
                node.generation,
                &node.report,
                node.started_at,
                node.seen_at
            ]
        )
        .map(drop)
        .during("report as a node")
    }

    /// Nodes that have said something since.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_nodes(&self, since: DateTime<Utc>) -> Result<Vec<NodeRow>, StoreError> {
        self.past_dead_connections(|| async { fetch_all!(self.pools_to_read(), LIST, [since]) })
            .await
            .during("list nodes")
    }

    /// A node ends.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn delete_node(&self, id: NodeId) -> Result<(), StoreError> {
        execute!(self.pools_to_write(), DELETE, [id.uuid()])
            .map(drop)
            .during("leave as a node")
    }

    /// Forgets nodes that have said nothing since.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn forget_nodes(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        execute!(self.pools_to_write(), FORGET, [before])
            .map(drop)
            .during("forget nodes")
    }
}

impl FromColumns for NodeRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: NodeId::from_uuid(row.uuid("id")?),
            generation: row.get("generation")?,
            report: row.text("report")?,
            started_at: row.time("started_at")?,
            seen_at: row.time("seen_at")?,
        })
    }
}
