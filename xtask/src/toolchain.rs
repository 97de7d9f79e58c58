//! What must be installed before anything compiles.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::workspace::Workspace;

/// What plugins are compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Adds the plugins' target to the toolchain in use, if it is not there yet.
pub(crate) fn ensure_wasm_target(workspace: &Workspace) -> Result<()> {
    // The compiler is asked, not rustup: it also answers where Rust came from a distribution.
    let libraries = process::read(
        Command::new("rustc")
            .args(["--print", "target-libdir", "--target", WASM_TARGET])
            .current_dir(&workspace.root),
    )?;
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    eprintln!("xtask: adding the target {WASM_TARGET}, which plugins are compiled for");
    process::run(
        Command::new("rustup")
            .args(["target", "add", WASM_TARGET])
            .current_dir(&workspace.root),
    )
    .with_context(|| {
        format!(
            "the Rust target {WASM_TARGET} is missing and could not be added; with rustup \
             (https://rustup.rs) it is `rustup target add {WASM_TARGET}`, run in this repository; \
             a Rust from elsewhere needs its own package for that target"
        )
    })
}

/// Whether `cargo <subcommand>` is installed.
pub(crate) fn has_subcommand(workspace: &Workspace, subcommand: &str) -> bool {
    process::succeeds(workspace.cargo().args([subcommand, "--version"]))
}
