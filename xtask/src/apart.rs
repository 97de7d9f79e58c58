//! Tests without cargo-nextest: each in a process of its own, as there.
//!
//! Metrics and allocations are counted by process, and tests hold these counts against what they did
//! themselves. `cargo test` alone would run them as threads of one. It still builds and chooses: it is
//! told to start this program in the place of each test program.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};

use crate::process;
use crate::workspace::Workspace;

/// The name of the command, for cargo only.
pub(crate) const COMMAND: &str = "run-tests-apart";

/// Options of cargo that choose among libraries, programs and tests.
const CHOICES: [&str; 10] = [
    "--lib",
    "--bin",
    "--bins",
    "--test",
    "--tests",
    "--bench",
    "--benches",
    "--example",
    "--examples",
    "--all-targets",
];

/// `cargo test`, which starts this program for each test program. `args` are what the caller has chosen.
pub(crate) fn test_command(workspace: &Workspace, args: &[OsString]) -> Result<Command> {
    let mut cargo = workspace.cargo();
    let program = workspace
        .program
        .to_str()
        .context("the path is not UTF-8")?;
    // A list of strings, as TOML has it.
    let runner = toml::Value::from(vec![program, COMMAND]);
    cargo.arg("--config");
    cargo.arg(format!("target.'cfg(all())'.runner={runner}"));
    cargo.arg("test");
    if !chooses_targets(args) {
        // Not the examples in the documentation: they are another step.
        cargo.arg("--tests");
    }
    Ok(cargo)
}

fn chooses_targets(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .filter_map(|arg| arg.to_str())
        .any(|arg| CHOICES.contains(&arg.split_once('=').map_or(arg, |(option, _)| option)))
}

/// What cargo runs for a test program. `args` choose among its tests; they say nothing about how those
/// are run.
pub(crate) fn run(program: &OsStr, args: &[OsString]) -> Result<ExitCode> {
    let began = Instant::now();
    let listed = process::read(
        Command::new(program)
            .args(args)
            .args(["--list", "--format", "terse"]),
    )?;
    let tests: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    if tests.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..at_once.min(tests.len()) {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = run_one(program, test) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("xtask: FAILED {test}: {error:#}");
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    let name = Path::new(program).file_name().unwrap_or(program);
    eprintln!(
        "xtask: {}: {} passed, {failed} failed, {} s",
        name.display(),
        tests.len() - failed,
        began.elapsed().as_secs()
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Says nothing of a test that passes.
fn run_one(program: &OsStr, test: &str) -> Result<()> {
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .context("it cannot be started")?;
    if output.status.success() {
        return Ok(());
    }
    // One write, so that the outputs of two tests do not mix.
    let text = [output.stdout, output.stderr].concat();
    let shown = std::io::stderr().lock().write_all(&text);
    shown.context("its output cannot be shown")?;
    Err(anyhow!("{}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_an_option_before_the_dashes() {
        let chooses =
            |args: &[&str]| chooses_targets(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(chooses(&["-p", "onerouter-tests", "--test", "edge"]));
        assert!(chooses(&["--test=edge"]));
        assert!(!chooses(&["-p", "onerouter-tests", "money"]));
        assert!(!chooses(&["money", "--", "--test"]));
    }
}
