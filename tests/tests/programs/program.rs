//! Runs the program in a folder of its own, with no setting of the outside world.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use onerouter_tests::harness::built;
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder to work in.
#[derive(Debug)]
pub struct Program {
    pub folder: TempDir,
    settings: Vec<(String, String)>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub success: bool,
    pub data: String,
    pub talk: String,
}

impl Ran {
    #[track_caller]
    pub fn well(self) -> Self {
        assert!(self.success, "{self:?}");
        self
    }

    #[track_caller]
    pub fn badly(self) -> Self {
        assert!(!self.success, "{self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.data.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.data).unwrap()
    }
}

/// A command that goes on until it is told to stop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// The first line of its data.
    pub first_line: String,
}

impl Program {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            settings: Vec::new(),
        }
    }

    /// With an environment variable.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// With the bundled plugins.
    pub fn with_plugins(self) -> Self {
        let plugins = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
        self.set(
            "ONEROUTER_PLUGINS_DIR",
            plugins.canonicalize().unwrap().display().to_string(),
        )
        .set("ONEROUTER_UNSIGNED_PLUGINS", "allow")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program's file.
    pub fn binary() -> PathBuf {
        std::env::var_os("ONEROUTER_TEST_BIN").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/onerouter"),
            PathBuf::from,
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Self::binary());
        command
            .args(args)
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            success: output.status.success(),
            data: String::from_utf8(output.stdout).unwrap(),
            talk: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command, and waits for its first line of data or of talk.
    pub fn start(&self, args: &[&str], from_talk: bool) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut first_line = String::new();
        if from_talk {
            let talk = child.stderr.take().unwrap();
            let mut talk = BufReader::new(talk);
            while !first_line.contains("listens on") {
                first_line.clear();
                assert_ne!(
                    talk.read_line(&mut first_line).unwrap(),
                    0,
                    "it never listened"
                );
            }
            child.stderr = Some(talk.into_inner());
        } else {
            let mut data = BufReader::new(child.stdout.take().unwrap());
            data.read_line(&mut first_line).unwrap();
            assert!(data.buffer().is_empty());
            child.stdout = Some(data.into_inner());
        }
        Running { child, first_line }
    }
}

impl Running {
    /// The next line of its data.
    pub fn next_line(&mut self) -> String {
        let data = self.child.stdout.as_mut().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        // Nothing is read ahead: what comes after belongs to the next call.
        while data.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        String::from_utf8(line).unwrap()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for a line of talk with these words in it.
    pub fn until_it_says(&mut self, words: &str) {
        let mut talk = BufReader::new(self.child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(
                talk.read_line(&mut line).unwrap(),
                0,
                "it never said {words}"
            );
        }
        self.child.stderr = Some(talk.into_inner());
    }

    /// Sends SIGTERM and waits for the end: its status, and what else it wrote as data and talk.
    pub fn stop(mut self) -> (ExitStatus, String, String) {
        self.terminate();
        let (status, talk) = self.wait();
        let mut data = String::new();
        let out = self.child.stdout.take();
        out.unwrap().read_to_string(&mut data).unwrap();
        (status, data, talk)
    }

    /// Waits for the end: its status, and what else it wrote as talk.
    pub fn end(mut self) -> (ExitStatus, String) {
        self.wait()
    }

    fn wait(&mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not stop");
            std::thread::yield_now();
        };
        let mut talk = String::new();
        let err = self.child.stderr.take();
        err.unwrap().read_to_string(&mut talk).unwrap();
        (status, talk)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing running.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
