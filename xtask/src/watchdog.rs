//! Ends what this process has started when this process ends, in whatever way.
//!
//! A guard in this process alone would not survive Ctrl-C or a kill. A shell waits for the end of a pipe
//! whose other end nobody else holds, and then cleans up.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// Runs a command and removes a folder. What is read before the end of the pipe is thrown away.
const STOP: &str = r#"
    trap '' HUP INT TERM
    folder=$1
    shift
    cat
    if [ -e "$folder/data/postmaster.pid" ]; then "$@"; fi
    rm -rf "$folder"
"#;

/// Ends the processes whose ids it was given, the latest first, and removes a folder. An id after a minus
/// is another program's by now.
const END: &str = r#"
    trap '' HUP INT TERM
    pids=
    while read -r line; do
        others=
        for pid in $pids; do
            if [ "$pid" != "${line#-}" ]; then others="$others $pid"; fi
        done
        case $line in
            -*) pids=$others ;;
            *) pids="$line $others" ;;
        esac
    done
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
    # One that has ended and was not waited for is still listed.
    runs() { case "$(ps -o stat= -p "$1" 2>/dev/null)" in Z*|'') return 1 ;; esac; }
    tries=0
    for pid in $pids; do
        while runs "$pid" && [ "$tries" -lt 200 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        if runs "$pid"; then kill -KILL "$pid"; fi
    done
    rm -rf "$1"
"#;

/// Cleans up when it is dropped, or when this process ends.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Runs `stop`, where PostgreSQL runs in the folder, and removes the folder.
    pub(crate) fn of_postgres(folder: &Path, stop: &Command) -> Result<Self> {
        let mut shell = shell(STOP);
        shell
            .arg(folder)
            .arg(stop.get_program())
            .args(stop.get_args());
        Self::start(shell)
    }

    /// Ends what [`Watchdog::watch`] names, and removes the folder.
    pub(crate) fn of_processes(folder: &Path) -> Result<Self> {
        let mut shell = shell(END);
        shell.arg(folder);
        Self::start(shell)
    }

    /// A process that is to be ended.
    pub(crate) fn watch(&mut self, process: &Child) -> Result<()> {
        let pipe = self.shell.stdin.as_mut().context("no pipe")?;
        writeln!(pipe, "{}", process.id()).context("the watchdog is gone")
    }

    /// One that has ended, and whose id may be given to any other.
    pub(crate) fn forget(&mut self, process: &Child) -> Result<()> {
        let pipe = self.shell.stdin.as_mut().context("no pipe")?;
        writeln!(pipe, "-{}", process.id()).context("the watchdog is gone")
    }

    fn start(mut shell: Command) -> Result<Self> {
        let shell = shell
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // Ctrl-C goes to the group of the others, not to this one.
            .process_group(0)
            .spawn()
            .context("cannot start a shell")?;
        Ok(Self { shell })
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    shell
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Without a result to give: the shell has already said what went wrong.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn postgres_is_stopped_and_its_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = folder.path().join("cluster");
        fs::create_dir_all(cluster.join("data")).unwrap();
        fs::write(cluster.join("data/postmaster.pid"), "").unwrap();
        let stopped = folder.path().join("stopped");
        let mut stop = Command::new("touch");
        stop.arg(&stopped);

        let watchdog = Watchdog::of_postgres(&cluster, &stop).unwrap();
        assert!(cluster.exists() && !stopped.exists());
        drop(watchdog);
        assert!(!cluster.exists() && stopped.exists());
    }

    #[test]
    fn processes_are_ended_and_their_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        let mut watchdog = Watchdog::of_processes(&theirs).unwrap();
        let mut processes: Vec<_> = (0..3)
            .map(|_| Command::new("sleep").arg("1000").spawn().unwrap())
            .collect();
        for process in &processes {
            watchdog.watch(process).unwrap();
        }
        // One that it is to forget goes on.
        let mut spared = Command::new("sleep").arg("1000").spawn().unwrap();
        watchdog.watch(&spared).unwrap();
        watchdog.forget(&spared).unwrap();
        drop(watchdog);
        for process in &mut processes {
            assert!(!process.try_wait().unwrap().unwrap().success());
        }
        assert!(spared.try_wait().unwrap().is_none());
        spared.kill().unwrap();
        spared.wait().unwrap();
        assert!(!theirs.exists());
    }
}
