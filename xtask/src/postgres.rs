//! A private PostgreSQL server that lives as long as one command.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::watchdog::Watchdog;
use crate::{debian, process};

/// PostgreSQL refuses to run as root; for root it runs as the user that its packages create.
const SERVICE_USER: &str = "postgres";

/// The port is chosen before the server binds it, so another program can take it in between.
const START_ATTEMPTS: u32 = 3;

const SETTINGS: &str = "
max_connections = 200
listen_addresses = '127.0.0.1'
timezone = 'UTC'
";

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commits {
    /// Nothing: none of it outlives the run, so none has to survive a crash.
    Forgetful,
    /// The disk, as a gateway's must: what that costs belongs to a measurement.
    Durable,
}

impl Commits {
    const fn settings(self) -> &'static str {
        match self {
            Self::Forgetful => "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n",
            Self::Durable => "fsync = on\nfull_page_writes = on\nsynchronous_commit = on\n",
        }
    }
}

/// A running server. Dropping it stops it and removes its files.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    programs: Programs,
    _watchdog: Watchdog,
}

impl Postgres {
    /// Starts a server, after installing PostgreSQL where it is missing and that is possible.
    pub(crate) fn start(commits: Commits) -> Result<Self> {
        let programs = Programs::find_or_install()?;
        let folder = programs.create_folder()?;
        let data = folder.join("data");
        // First, so that nothing can be started and then left behind.
        let watchdog = Watchdog::of_postgres(&folder, &programs.stop_server(&data))?;
        programs.create_cluster(&data)?;
        let mut settings = OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))?;
        let sockets = folder.display();
        let commits = commits.settings();
        writeln!(
            settings,
            "{SETTINGS}{commits}unix_socket_directories = '{sockets}'"
        )?;
        let port = programs.start_server(&data, &folder.join("log"))?;
        Ok(Self {
            port,
            programs,
            _watchdog: watchdog,
        })
    }

    /// Runs statements as the superuser.
    pub(crate) fn run(&self, statements: &str) -> Result<()> {
        let mut psql = self.programs.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
            .arg(format!("--dbname={}", self.url()))
            .arg(format!("--command={statements}"));
        process::read(&mut psql).map(drop)
    }

    /// Where tests connect, as the superuser.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

/// The server's programs, all from one installation.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    as_service_user: bool,
}

impl Programs {
    fn find_or_install() -> Result<Self> {
        let as_service_user = process::is_root()?;
        if let Some(folder) = find_programs() {
            return Ok(Self {
                folder,
                as_service_user,
            });
        }
        debian::install(&["postgresql"]).context(
            "the tests need PostgreSQL, whose initdb, pg_ctl and postgres are neither \
             in PATH nor in /usr/lib/postgresql",
        )?;
        Ok(Self {
            folder: find_programs().context("PostgreSQL is installed, but without its server")?,
            as_service_user,
        })
    }

    /// One of PostgreSQL's programs.
    fn command(&self, name: &str) -> Command {
        self.as_server_user(&self.folder.join(name))
    }

    /// Any program, as the user that the server runs as.
    fn as_server_user(&self, program: &Path) -> Command {
        let mut command;
        if self.as_service_user {
            command = Command::new("setpriv");
            command
                .arg(format!("--reuid={SERVICE_USER}"))
                .arg(format!("--regid={SERVICE_USER}"))
                .args(["--clear-groups", "--"])
                .arg(program);
        } else {
            command = Command::new(program);
        }
        // That user may not be allowed into the folder that we are in.
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    /// A new folder that the server's user owns. `$TMPDIR` may be closed to that user.
    fn create_folder(&self) -> Result<PathBuf> {
        let create = |parent: &Path| {
            let name = parent.join("onerouter-postgres.XXXXXX");
            let mut mktemp = self.as_server_user(Path::new("mktemp"));
            process::read(mktemp.arg("-d").arg(name)).map(PathBuf::from)
        };
        create(&env::temp_dir())
            .or_else(|_| create(Path::new("/tmp")))
            .context("cannot make a folder for PostgreSQL")
    }

    fn create_cluster(&self, data: &Path) -> Result<()> {
        process::read(
            self.command("initdb")
                .args(["--username=postgres", "--auth=trust"])
                .args(["--encoding=UTF8", "--no-locale", "--no-sync"])
                .arg("--pgdata")
                .arg(data),
        )
        .map(|_| ())
    }

    fn start_server(&self, data: &Path, log: &Path) -> Result<u16> {
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            // Returns when the server accepts connections.
            let started = process::read(
                self.command("pg_ctl")
                    .args(["start", "--wait", "--timeout=60", "--silent"])
                    .arg(format!("--options=-p {port}"))
                    .arg("--log")
                    .arg(log)
                    .arg("--pgdata")
                    .arg(data),
            );
            match started {
                Ok(_) => return Ok(port),
                Err(_) if attempt < START_ATTEMPTS => attempt += 1,
                Err(error) => {
                    let log = fs::read_to_string(log).unwrap_or_default();
                    return Err(error).context(format!("PostgreSQL does not start:\n{log}"));
                }
            }
        }
    }

    fn stop_server(&self, data: &Path) -> Command {
        let mut command = self.command("pg_ctl");
        command
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(data);
        command
    }
}

/// The installation that `PATH` leads to, else the newest in Debian's folder for them.
fn find_programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Links are followed: the programs find each other, and their libraries, beside themselves.
    let in_path = env::split_paths(&path).filter_map(|folder| {
        let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
        initdb.parent().map(Path::to_owned)
    });
    in_path
        .chain(debian_installations(Path::new("/usr/lib/postgresql")))
        .find(|folder| {
            ["initdb", "pg_ctl", "postgres"]
                .iter()
                .all(|program| folder.join(program).is_file())
        })
}

/// `<version>/bin` for each version, the newest first.
fn debian_installations(parent: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .collect()
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_installation_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            fs::create_dir(parent.path().join(version)).unwrap();
        }
        let found = debian_installations(parent.path());
        let expected = ["17/bin", "15/bin", "9/bin"].map(|name| parent.path().join(name));
        assert_eq!(found, expected);
    }
}
