//! A database of its own for each test, on both backends.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;
use std::{env, fs, thread};

use onerouter::store::{Store, StoreConfig, StoreError};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

/// Where a private PostgreSQL is, as its superuser; `cargo xtask test` starts one.
const POSTGRES_URL: &str = "ONEROUTER_TEST_POSTGRES_URL";
/// The role that gateways under test connect as: it owns nothing.
pub const SERVICE_ROLE: &str = "onerouter_service";
/// Any number that nobody else locks.
const TEMPLATE_LOCK: i64 = 0x7465_7374_7465_6d70;

/// A database that is gone when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    owner_url: String,
    _guard: Guard,
}

#[derive(Debug)]
enum Guard {
    Folder { _folder: TempDir },
    Postgres { _database: DropOnExit },
}

#[derive(Debug)]
struct DropOnExit {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// A migrated SQLite database in a temporary folder.
    pub async fn sqlite() -> Self {
        let database = Self::sqlite_empty();
        database.migrate().await;
        database
    }

    /// An SQLite database before any migration.
    pub fn sqlite_empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/onerouter.db", folder.path().display());
        Self {
            url: url.clone(),
            owner_url: url,
            _guard: Guard::Folder { _folder: folder },
        }
    }

    /// A migrated PostgreSQL database, or none where no server is given.
    pub async fn postgres() -> Option<Self> {
        let server = server()?;
        let template = template(&server).await;
        Some(Self::create_postgres(server, &template).await)
    }

    /// A PostgreSQL database before any migration, or none where no server is given.
    pub async fn postgres_empty() -> Option<Self> {
        let server = server()?;
        template(&server).await;
        Some(Self::create_postgres(server, "template1").await)
    }

    async fn create_postgres(server: Url, template: &str) -> Self {
        let name = format!("onerouter_test_{}", Uuid::now_v7().simple());
        let create = format!("create database {name} template {template}");
        run(&mut connect(&server).await, create).await;
        Self {
            url: place(&server, &name, Some(SERVICE_ROLE)),
            owner_url: place(&server, &name, None),
            _guard: Guard::Postgres {
                _database: DropOnExit { server, name },
            },
        }
    }

    /// Where it is, as the service connects to it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is, as the one who owns it and sees everything.
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// Applies the migrations as the owner.
    pub async fn migrate(&self) {
        migrate(&self.url, &self.owner_url).await.unwrap();
    }

    /// A store on it, with few connections: tests run side by side on one server.
    pub async fn store(&self) -> Store {
        let mut config = StoreConfig::new(self.url());
        config.max_connections = 8;
        Store::connect(&config).await.unwrap()
    }
}

impl Drop for DropOnExit {
    /// On a thread of its own: the test's runtime may be the one that this blocks.
    fn drop(&mut self) {
        let server = self.server.clone();
        let statement = format!("drop database if exists {} with (force)", self.name);
        let dropped = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async { run(&mut connect(&server).await, statement).await });
        });
        // A second panic would hide the test's own.
        let _ = dropped.join();
    }
}

fn server() -> Option<Url> {
    let url = env::var_os(POSTGRES_URL)?.into_string().unwrap();
    Some(url.parse().unwrap())
}

/// The name of a migrated database to copy, made by whichever test of a run comes first.
async fn template(server: &Url) -> String {
    let name = format!("onerouter_template_{:016x}", fingerprint());
    let mut connection = connect(server).await;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut connection)
        .await
        .unwrap();
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    let has_role: bool =
        sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(SERVICE_ROLE)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    if !has_role {
        let create = format!("create role {SERVICE_ROLE} login");
        run(&mut connection, create).await;
    }
    if !exists {
        // Under another name until it is complete: this test may be killed.
        let unfinished = format!("{name}_unfinished");
        run(
            &mut connection,
            format!("drop database if exists {unfinished}"),
        )
        .await;
        run(&mut connection, format!("create database {unfinished}")).await;
        let service = place(server, &unfinished, Some(SERVICE_ROLE));
        migrate(&service, &place(server, &unfinished, None))
            .await
            .unwrap();
        run(
            &mut connection,
            format!("alter database {unfinished} rename to {name}"),
        )
        .await;
    }
    connection.close().await.unwrap();
    name
}

/// A database of the server's, for the service or for the superuser.
fn place(server: &Url, name: &str, role: Option<&str>) -> String {
    let mut url = server.clone();
    url.set_path(name);
    if let Some(role) = role {
        url.set_username(role).unwrap();
    }
    url.into()
}

async fn migrate(service: &str, owner: &str) -> Result<(), StoreError> {
    let store = Store::connect(&StoreConfig::new(service)).await?;
    let migrated = store.migrate_as(owner).await;
    store.close().await;
    migrated
}

/// Of the migrations, so that a server that outlives a change of them is of no harm.
fn fingerprint() -> u64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = root.join("migrations/postgres");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // What the service is granted.
    files.push(root.join("host/src/store/roles.rs"));
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

async fn connect(server: &Url) -> PgConnection {
    server
        .as_str()
        .parse::<PgConnectOptions>()
        .unwrap()
        .connect()
        .await
        .unwrap()
}

async fn run(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .unwrap();
}
