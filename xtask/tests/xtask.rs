//! The commands that the README and CI rely on.
//!
//! `cargo xtask dev` also names this file, as the test that it selects: see `BUILD_HOST` in `src/workspace.rs`.

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
        "dev", "plugins", "test", "lint", "bench", "soak", "postgres",
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
