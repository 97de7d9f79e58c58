//! The commands that the README and CI rely on.
//!
//! `cargo xtask dev` also names this file, as the test that it selects: see `BUILD_HOST` in `src/workspace.rs`.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn help_names_every_command() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for command in [
        "dev", "cluster", "plugins", "test", "lint", "bench", "soak", "postgres",
    ] {
        let line = format!("\n  {command} ");
        assert!(help.contains(&line), "{command} is missing in:\n{help}");
    }
}

#[test]
fn an_unknown_command_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("tset")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_nextest_each_test_has_a_process_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let runs = folder.path().join("runs");
    // Stands for a test program: lists two tests, and fails the second.
    let script = format!(
        r#"#!/bin/sh
case "$*" in
  *--list*) printf 'first: test\nsecond: test\na_benchmark: benchmark\n' ;;
  *) echo "$$ $*" >> '{}'; echo "output of $2"; [ "$2" != second ] ;;
esac
"#,
        runs.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("run-tests-apart")
        .arg(&program)
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("1 passed, 1 failed"), "{said}");
    assert!(said.contains("output of second"), "{said}");
    assert!(!said.contains("output of first"), "{said}");
    let runs = fs::read_to_string(runs).unwrap();
    let (processes, tests): (HashSet<_>, HashSet<_>) = runs
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .unzip();
    assert_eq!(processes.len(), 2, "{runs}");
    let expected = ["first", "second"].map(|test| format!("--exact {test} --nocapture"));
    assert_eq!(tests, expected.iter().map(String::as_str).collect());
}
