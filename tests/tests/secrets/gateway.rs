//! The real program in a folder of its own, telling all it can.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use onerouter_tests::harness::built;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The compiler alone would say half a gigabyte, and it has done its work before a secret is there.
const EVERYTHING: &str = "trace,cranelift_codegen=info,cranelift_frontend=info,regalloc2=info";

/// Where it works and what it is told.
#[derive(Debug)]
pub struct Program {
    pub folder: TempDir,
    settings: Vec<(&'static str, String)>,
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pub url: String,
    /// Reads what it says; a pipe that nobody reads would stop it.
    listening: JoinHandle<Vec<u8>>,
    out: PathBuf,
}

impl Program {
    pub fn new(settings: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        Self { folder, settings }
    }

    /// With the spy as its only adapter.
    pub fn with_spy(self) -> Self {
        let spy = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join("spy.wasm");
        fs::copy(&spy, self.folder.path().join("plugins/spy.wasm"))
            .unwrap_or_else(|_| panic!("no {}; run cargo xtask plugins", spy.display()));
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let program = std::env::var_os("ONEROUTER_TEST_BIN").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/onerouter"),
            PathBuf::from,
        );
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("RUST_LOG", EVERYTHING)
            .env("ONEROUTER_PLUGINS_DIR", "plugins")
            .env("ONEROUTER_UNSIGNED_PLUGINS", "allow")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, and well.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }

    /// Starts serving.
    pub fn serve(&self) -> Running {
        self.start(self.command(&["serve", "--bind", "127.0.0.1:0"]))
    }

    /// Starts what in the end serves.
    pub fn start(&self, mut command: Command) -> Running {
        let out = self.folder.path().join("standard-output");
        let mut child = command
            .stdout(File::create(&out).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = BufReader::new(child.stderr.take().unwrap());
        let (listens, heard) = mpsc::channel();
        let listening = thread::spawn(move || listen(talk, &listens));
        let line = heard.recv().expect("it never listened");
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Running {
            child,
            url,
            listening,
            out,
        }
    }
}

fn listen(mut talk: impl BufRead, listens: &mpsc::Sender<String>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut line = Vec::new();
    while talk.read_until(b'\n', &mut line).unwrap() > 0 {
        let text = String::from_utf8_lossy(&line);
        if text.starts_with("onerouter listens on") {
            // Nobody listens a second time.
            let _ = listens.send(text.into_owned());
        }
        all.append(&mut line);
    }
    all
}

impl Running {
    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal, and waits for the end: its status, and everything that it said and wrote.
    pub fn end(mut self, signal: Signal) -> (ExitStatus, Vec<u8>, Vec<u8>) {
        kill_process(self.id(), signal).unwrap();
        let status = self.child.wait().unwrap();
        let listening = std::mem::replace(&mut self.listening, thread::spawn(Vec::new));
        let talk = listening.join().unwrap();
        (status, talk, fs::read(&self.out).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing running.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
