//! Migrations, health, and the statements against the schema.

use futures_util::future::join_all;
use onerouter::store::{DEFAULT_TENANT, SchemaState, Store, StoreConfig, StoreError};
use onerouter_tests::database::TestDatabase;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::on_both_databases;

on_both_databases!(
    every_statement_is_prepared,
    the_first_migration_makes_the_default_tenant,
);

async fn every_statement_is_prepared(store: Store) {
    store.check_statements().await.unwrap();
    store.ping().await.unwrap();
}

async fn the_first_migration_makes_the_default_tenant(store: Store) {
    let tenants = store.list_tenants().await.unwrap();
    let [tenant] = tenants.as_slice() else {
        panic!("{tenants:?}")
    };
    assert_eq!(
        (tenant.id, tenant.name.as_str()),
        (DEFAULT_TENANT, "default")
    );
    assert_eq!(
        store.find_tenant(DEFAULT_TENANT).await.unwrap().as_ref(),
        Some(tenant)
    );
}

#[tokio::test]
async fn an_empty_sqlite_database_is_migrated() {
    empty_is_migrated(&TestDatabase::sqlite_empty()).await;
}

#[tokio::test]
async fn an_empty_postgres_database_is_migrated() {
    let Some(database) = TestDatabase::postgres_empty().await else {
        return;
    };
    empty_is_migrated(&database).await;
}

async fn empty_is_migrated(database: &TestDatabase) {
    let store = database.store().await;
    let before = store.schema_state().await.unwrap();
    assert!(matches!(before, SchemaState::Behind { pending: 1.. }));
    database.migrate().await;
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::UpToDate);
    store.check_statements().await.unwrap();
    // Again, without effect.
    database.migrate().await;
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::UpToDate);
    store.close().await;
}

/// As a later version would write it.
const LATER_MIGRATION: &str = "insert into _sqlx_migrations
    (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)";

#[tokio::test]
async fn a_newer_sqlite_schema_is_seen() {
    let database = TestDatabase::sqlite().await;
    let mut connection = SqliteConnection::connect(database.url()).await.unwrap();
    sqlx::query(LATER_MIGRATION)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let store = database.store().await;
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Ahead);
    store.close().await;
}

#[tokio::test]
async fn a_newer_postgres_schema_is_seen() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let mut connection = PgConnection::connect(database.owner_url()).await.unwrap();
    sqlx::query(LATER_MIGRATION)
        .execute(&mut connection)
        .await
        .unwrap();
    let store = database.store().await;
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Ahead);
    store.close().await;
}

#[tokio::test]
async fn transactions_begin_although_the_server_closed_every_connection() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let store = database.store().await;
    let mut transactions = Vec::new();
    for _ in 0..8 {
        transactions.push(store.begin(DEFAULT_TENANT).await.unwrap());
    }
    for transaction in transactions {
        transaction.commit().await.unwrap();
    }
    let mut connection = PgConnection::connect(database.owner_url()).await.unwrap();
    let closed = sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert_eq!(closed.rows_affected(), 8);
    for _ in 0..8 {
        store
            .begin(DEFAULT_TENANT)
            .await
            .unwrap()
            .commit()
            .await
            .unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn nodes_that_migrate_at_once_do_not_disturb_each_other() {
    let Some(database) = TestDatabase::postgres_empty().await else {
        return;
    };
    join_all((0..10).map(|_| database.migrate())).await;
    let store = database.store().await;
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::UpToDate);
    store.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_an_sqlite_database() {
    use std::os::unix::fs::PermissionsExt as _;

    let database = TestDatabase::sqlite().await;
    let store = database.store().await;
    let path = database.url().strip_prefix("sqlite://").unwrap();
    for companion in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{path}{companion}"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{companion}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_url_that_names_no_database_is_refused() {
    for url in [
        "",
        "mysql://localhost",
        "sqlite::memory:",
        "sqlite://",
        "/tmp/onerouter.db",
    ] {
        let error = Store::connect(&StoreConfig::new(url)).await.unwrap_err();
        assert!(
            matches!(error, StoreError::InvalidUrl { .. }),
            "{url}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_missing_folder_is_an_error_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/missing/onerouter.db", folder.path().display());
    let error = Store::connect(&StoreConfig::new(url)).await.unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error:?}");
    assert!(!folder.path().join("missing").exists());
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let mut config = StoreConfig::new("postgres://nobody@127.0.0.1:1/none");
    config.acquire_timeout = std::time::Duration::from_millis(100);
    let store = Store::connect(&config).await.unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

#[test]
fn a_config_is_shown_without_its_url() {
    let config = StoreConfig::new("postgres://onerouter:secret@localhost/onerouter");
    assert!(!format!("{config:?}").contains("secret"));
}
