//! `cargo xtask lint`.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::bench;
use crate::process;
use crate::toolchain::{self, WASM_TARGET};
use crate::workspace::Workspace;

/// Runs every check, so that one run shows all that is wrong.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    toolchain::ensure_wasm_target(workspace)?;
    let mut failed = Vec::new();
    let mut check = |name: &'static str, command: &mut Command| {
        eprintln!("xtask: {name}");
        if let Err(error) = process::run(command) {
            eprintln!("xtask: {error:#}");
            failed.push(name);
        }
    };

    check("format", format(&mut workspace.cargo()));
    check(
        "format of the plugins",
        format(&mut workspace.cargo_for_guests()),
    );
    check(
        "Clippy",
        workspace
            .cargo()
            .args(["clippy", "--workspace", "--all-targets"])
            // With what only benchmarks are compiled with; the tests are compiled without.
            .args(["--features", bench::FEATURE])
            .args(["--", "-D", "warnings"]),
    );
    check(
        "Clippy of the plugins",
        workspace
            .cargo_for_guests()
            .args(["clippy", "--workspace", "--release"])
            .args(["--target", WASM_TARGET, "--", "-D", "warnings"]),
    );
    check(
        "rustdoc",
        workspace
            .cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    if toolchain::has_subcommand(workspace, "deny") {
        check("dependencies", &mut deny(workspace.cargo(), workspace));
        check(
            "dependencies of the plugins",
            deny(workspace.cargo_for_guests(), workspace)
                // The list of old copies is for the larger workspace.
                .args(["--allow", "unmatched-skip", "--allow", "unnecessary-skip"]),
        );
    } else {
        eprintln!("xtask: cargo-deny is not installed: licences, sources and duplicates unchecked");
    }

    ensure!(failed.is_empty(), "lint failed: {}", failed.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// Checks the formatting of both workspaces. Says nothing and passes where rustfmt is missing.
pub(crate) fn check_format(workspace: &Workspace) -> Result<()> {
    if toolchain::has_subcommand(workspace, "fmt") {
        process::run(format(&mut workspace.cargo()))?;
        process::run(format(&mut workspace.cargo_for_guests()))?;
    }
    Ok(())
}

fn format(cargo: &mut Command) -> &mut Command {
    cargo.args(["fmt", "--all", "--check"])
}

/// Not the advisories: their database has to be cloned. Not `--offline` either, which fails until
/// the crates of foreign systems have been downloaded too.
fn deny(mut cargo: Command, workspace: &Workspace) -> Command {
    cargo
        .args(["deny", "--locked", "--config"])
        .arg(workspace.root.join("deny.toml"))
        .args(["check", "bans", "licenses", "sources"]);
    cargo
}
