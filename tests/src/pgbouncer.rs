//! A PgBouncer of a test's own, before the PostgreSQL of the tests.

use std::env;
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use url::Url;

use crate::database::SERVICE_ROLE;
use crate::node::free_port;

/// Where the program is.
const PROGRAM: &str = "ONEROUTER_TEST_PGBOUNCER";
/// It refuses to run as root; then it is this user, whom PostgreSQL's packages make.
const SERVICE_USER: &str = "postgres";
/// Longer than it takes to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// How it is set up.
#[derive(Debug, Clone, Copy)]
pub struct Pooling {
    /// `transaction` or `session`.
    pub mode: &'static str,
    /// Sessions of the server that it holds, for each database and role.
    pub sessions: u32,
    /// Whether the session that has waited longest is lent next, and not the last one.
    pub round_robin: bool,
    /// What it drops of the settings that a session is to begin with; others are refused.
    pub dropped: &'static str,
}

/// A running pooler. Dropped, it is killed.
#[derive(Debug)]
pub struct TestPgbouncer {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl TestPgbouncer {
    /// Starts one before the server of this URL.
    pub fn start(server: &str, pooling: Pooling) -> Self {
        Self::start_on(free_port(), server, pooling)
    }

    /// Starts one where another was.
    pub fn start_on(port: u16, server: &str, pooling: Pooling) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // For the user that it becomes.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let users = folder.path().join("users");
        fs::write(
            &users,
            format!("\"{SERVICE_ROLE}\" \"\"\n\"postgres\" \"\"\n"),
        )
        .unwrap();
        let server: Url = server.parse().unwrap();
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\n\
             pool_mode = {}\ndefault_pool_size = {}\nmax_client_conn = 200\n\
             server_round_robin = {}\nignore_startup_parameters = {}\n\
             query_wait_timeout = 10\n",
            server.host_str().unwrap(),
            server.port().unwrap_or(5432),
            users.display(),
            pooling.mode,
            pooling.sessions,
            u8::from(pooling.round_robin),
            pooling.dropped,
        );
        fs::write(&settings, text).unwrap();
        let program = env::var_os(PROGRAM).unwrap_or_else(|| "pgbouncer".into());
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&settings);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.arg(format!("--user={SERVICE_USER}"));
        }
        let child = command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("no pgbouncer; run the tests with `cargo xtask test`");
        let mut pooler = Self {
            child,
            port,
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = pooler.child.try_wait().unwrap();
            assert_eq!(ended, None, "PgBouncer does not start");
            assert!(Instant::now() < until, "PgBouncer does not start");
            thread::yield_now();
        }
        pooler
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same database, through it.
    pub fn url(&self, database: &str) -> String {
        let mut url: Url = database.parse().unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    /// The same, said to be a pooler.
    pub fn said_url(&self, database: &str) -> String {
        format!("{}?statement-cache-capacity=0", self.url(database))
    }
}

impl Drop for TestPgbouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}
