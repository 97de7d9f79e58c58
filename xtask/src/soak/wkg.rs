//! `wkg`, a client of OCI registries that others wrote: compiling it takes minutes, so it is no part of the
//! tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Soak, test};
use crate::process;
use crate::workspace::Workspace;

/// By its own lock file, so the same one in every run.
const VERSION: &str = "0.16.1";

/// Pushes, pulls and publishes, by the program that was asked for.
pub(super) fn run(soak: &Soak<'_>) -> Result<()> {
    let workspace = soak.workspace;
    let wkg = provide(workspace).context("wkg is not there")?;
    let variables = [
        ("ONEROUTER_TEST_WKG", wkg.into()),
        (
            "ONEROUTER_TEST_BIN",
            workspace.host_program(soak.profile).into(),
        ),
        ("ONEROUTER_TEST_PLUGINS_DIR", workspace.plugins().into()),
        ("ONEROUTER_TEST_FIXTURES_DIR", workspace.fixtures().into()),
    ];
    let name = "wkg::wkg_pulls_what_was_published_and_pushes_what_is_then_published";
    test(workspace, "programs", name, &variables).context("wkg")
}

/// Where it is, installed if need be. That of an earlier run is used again.
fn provide(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("wkg");
    let program = folder.join("bin/wkg");
    let version = process::read(Command::new(&program).arg("--version"));
    if version.is_ok_and(|version| version == format!("wkg {VERSION}")) {
        return Ok(program);
    }
    let compiled = folder.join("target");
    process::run(
        workspace
            .cargo()
            // Not with ours: what it stands on has other versions and other features.
            .env("CARGO_TARGET_DIR", &compiled)
            // Without optimisations: it waits for the registry most of the time.
            .args([
                "install",
                "wkg",
                "--locked",
                "--debug",
                "--version",
                VERSION,
            ])
            .arg("--root")
            .arg(&folder),
    )?;
    // A gigabyte that nobody needs again.
    fs::remove_dir_all(&compiled).context("cannot clear away what was compiled")?;
    Ok(program)
}
