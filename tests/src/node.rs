//! The real program as a process of its own: one of the nodes on a database.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::harness::{ADMIN_TOKEN, built};

/// Longer than a shutdown may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `onerouter serve`. Dropped, it is killed.
#[derive(Debug)]
pub struct Node {
    child: Child,
    /// `http://127.0.0.1:…`
    pub base: String,
}

/// How a node is started.
#[derive(Debug, Clone)]
pub struct NodeSetup {
    pub database_url: String,
    pub data_dir: PathBuf,
    /// Hosts and base URLs of emulated providers.
    pub upstreams: Vec<(String, String)>,
    /// 0 picks one.
    pub port: u16,
    /// Further variables.
    pub settings: Vec<(&'static str, String)>,
}

impl Node {
    /// Starts it and waits until it listens.
    pub fn start(setup: &NodeSetup) -> Self {
        let mut child = setup
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let base = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("it did not start: {said:#?}");
            };
            if let Some((_, url)) = line.split_once("listens on ") {
                break url.trim().to_owned();
            }
            said.push(line);
        };
        // Else it would be stopped by a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { child, base }
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends SIGTERM and waits until it has ended by itself. Blocks.
    pub fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not stop");
            thread::yield_now();
        }
    }
}

impl NodeSetup {
    /// The program with these settings.
    pub fn command(&self, args: &[&str]) -> Command {
        fs::create_dir_all(&self.data_dir).unwrap();
        let upstreams: Vec<_> = self
            .upstreams
            .iter()
            .map(|(host, base)| format!("{host}={base}"))
            .collect();
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(&self.data_dir)
            .env_clear()
            .env("ONEROUTER_BIND", format!("127.0.0.1:{}", self.port))
            .env("ONEROUTER_DATA_DIR", &self.data_dir)
            .env(
                "ONEROUTER_PLUGINS_DIR",
                built("ONEROUTER_TEST_PLUGINS_DIR", "plugins"),
            )
            .env("ONEROUTER_UNSIGNED_PLUGINS", "allow")
            .env("ONEROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("ONEROUTER_UPSTREAMS", upstreams.join(","))
            .env("DATABASE_URL", &self.database_url)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Node {
    /// SIGKILL: nothing can be done about it.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn program() -> PathBuf {
    env::var_os("ONEROUTER_TEST_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/onerouter"),
        PathBuf::from,
    )
}
