//! Another process: its CPU time, its memory, its end.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

/// A process that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    talk: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked, not killed: nginx and uvicorn end their workers then.
        let asked = Pid::from_raw(self.id() as i32).map(|pid| kill_process(pid, Signal::TERM));
        let until = Instant::now() + Duration::from_secs(5);
        while asked.is_some() && Instant::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, talk: None }
    }

    /// One that is asked by lines on its standard input and answers by lines.
    pub(crate) fn start_talking(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            talk: Some((stdin, stdout)),
        }
    }

    /// Says a line, if there is one, and hears the next.
    pub(crate) fn ask(&mut self, line: Option<&str>) -> String {
        let (stdin, stdout) = self.talk.as_mut().unwrap();
        if let Some(line) = line {
            writeln!(stdin, "{line}").unwrap();
        }
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of the process and its children, in ns, as the scheduler counts it. Of a thread that
    /// has ended nothing is known any more; the runtimes here keep theirs.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let mut total = 0;
        for process in family(self.id()) {
            let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
                continue;
            };
            for thread in threads.flatten() {
                let schedstat = fs::read_to_string(thread.path().join("schedstat"));
                let first = schedstat.ok().and_then(|text| {
                    let first = text.split_whitespace().next()?;
                    first.parse::<u64>().ok()
                });
                total += first.unwrap_or(0);
            }
        }
        total
    }

    /// Resident memory of the process and its children.
    pub(crate) fn resident_mib(&self) -> f64 {
        let kib = |process: u32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        };
        family(self.id()).into_iter().filter_map(kib).sum::<f64>() / 1_024.0
    }
}

/// A process and everything that it has started.
fn family(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.push((id, parent.unwrap_or(0)));
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| *id),
        );
        at += 1;
    }
    found
}

/// A port that is free at the moment.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Waits until somebody listens.
pub(crate) async fn listening(address: SocketAddr) {
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < until, "nobody listens on {address}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
