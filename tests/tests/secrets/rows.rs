//! Every cell of every table.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// By table: its cells as bytes, each after the name of its column.
pub type Tables = BTreeMap<String, Vec<u8>>;

pub async fn of_sqlite(file: &Path) -> Tables {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut database: SqliteConnection = options.connect().await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select t.name, c.name from sqlite_master t join pragma_table_info(t.name) c \
         where t.type = 'table'",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let mut tables = Tables::new();
    for (table, column) in columns {
        let select = format!(
            r#"select cast("{column}" as blob) from "{table}" where "{column}" is not null"#
        );
        let cells = sqlx::query_scalar(AssertSqlSafe(select));
        let cells = cells.fetch_all(&mut database).await.unwrap();
        add(&mut tables, table, &column, &cells);
    }
    tables
}

pub async fn of_postgres(url: &str) -> Tables {
    let mut database = PgConnection::connect(url).await.unwrap();
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text, data_type::text \
         from information_schema.columns \
         where table_schema not in ('information_schema', 'pg_catalog')",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let mut tables = Tables::new();
    for (table, column, kind) in columns {
        let cell = match kind.as_str() {
            "bytea" => format!(r#""{column}""#),
            _ => format!(r#"convert_to("{column}"::text, 'UTF8')"#),
        };
        let select = format!(r#"select {cell} from "{table}" where "{column}" is not null"#);
        let cells = sqlx::query_scalar(AssertSqlSafe(select));
        let cells = cells.fetch_all(&mut database).await.unwrap();
        add(&mut tables, table, &column, &cells);
    }
    tables
}

fn add(tables: &mut Tables, table: String, column: &str, cells: &[Vec<u8>]) {
    let bytes = tables.entry(table).or_default();
    for cell in cells {
        bytes.extend_from_slice(format!("\n{column}: ").as_bytes());
        bytes.extend_from_slice(cell);
    }
}
