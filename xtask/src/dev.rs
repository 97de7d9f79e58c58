//! `cargo xtask dev`.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::workspace::{BUILD_HOST, Workspace, without_cargo_run};
use crate::{plugins, process};

/// Builds everything and becomes `onerouter dev`, so that signals reach it directly.
pub(crate) fn run(workspace: &Workspace, release: bool, args: &[OsString]) -> Result<ExitCode> {
    plugins::build(workspace)?;

    let mut build = workspace.cargo();
    build.args(BUILD_HOST);
    if release {
        build.arg("--release");
    }
    process::run(&mut build)?;

    let program = workspace.host_program(if release { "release" } else { "debug" });
    let mut host = Command::new(&program);
    host.arg("dev").args(args);
    without_cargo_run(&mut host);
    if env::var_os("ONEROUTER_PLUGINS_DIR").is_none() {
        host.env("ONEROUTER_PLUGINS_DIR", workspace.plugins());
    }
    Err(host.exec()).with_context(|| format!("cannot run {}", program.display()))
}
