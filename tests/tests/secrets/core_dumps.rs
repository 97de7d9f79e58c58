//! A process that holds secrets leaves no image of its memory behind, and shows it to nobody.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

use rustix::process::{Signal, getuid};

use crate::gateway::Program;

#[test]
fn a_gateway_writes_no_core_dump() {
    let program = Program::new(Vec::new());
    let gateway = program.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");

    let (status, _, _) = gateway.end(Signal::ABORT);
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
    let files = fs::read_dir(program.folder.path()).unwrap();
    let mut names = files.map(|entry| entry.unwrap().file_name());
    assert!(!names.any(|name| name.to_string_lossy().starts_with("core")));
}

/// The limit says nothing to a kernel that hands dumps to a program of the system's, nor to a debugger.
/// Both go by what is asked here: whether the process is dumpable.
#[test]
fn a_gateway_shows_its_memory_to_no_process_of_the_same_user() {
    let program = Program::new(Vec::new());
    let mut other = Other(uncapped(Command::new("sleep").arg("600")).spawn().unwrap());
    // Once it is what it was started to be, which takes a moment.
    let is_seen = (0..1_000).any(|_| is_open(other.0.id()));
    assert!(is_seen, "nothing is open on this machine");
    other.0.kill().unwrap();

    let gateway = program.start(uncapped(&program.command(&[
        "serve",
        "--bind",
        "127.0.0.1:0",
    ])));
    let id = gateway.id().as_raw_nonzero().get();
    assert!(!is_open(u32::try_from(id).unwrap()));
}

/// Whether a process's memory is open to another one of the same user. What guards it guards the
/// environment as well, which reads more easily.
fn is_open(process: u32) -> bool {
    let mut read = Command::new("cat");
    read.arg(format!("/proc/{process}/environ"));
    uncapped(&read).output().unwrap().status.success()
}

/// The command without root's powers: those open everything.
fn uncapped(command: &Command) -> Command {
    let mut uncapped = if getuid().is_root() {
        let mut setpriv = Command::new("setpriv");
        setpriv
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(command.get_program());
        setpriv
    } else {
        Command::new(command.get_program())
    };
    uncapped.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        uncapped.env(name, value.unwrap());
    }
    if let Some(folder) = command.get_current_dir() {
        uncapped.current_dir(folder);
    }
    uncapped
}

/// Ends with the test.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
