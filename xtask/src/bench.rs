//! `cargo xtask bench`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::postgres::Commits;
use crate::testing::Environment;
use crate::workspace::{BUILD_HOST, Workspace};
use crate::{debian, plugins, process, python};

/// What only benchmarks are compiled with: `host/engine/src/measure.rs`, `host/stages`.
pub(crate) const FEATURE: &str = "onerouter-tests/measure";

/// The proxy of the comparison, where Debian puts it.
const NGINX: &str = "/usr/sbin/nginx";

/// How everything is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    Release,
    Dev,
}

impl Profile {
    /// The folder under the target folder.
    const fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }
}

/// Builds plugins, program and benchmarks, provides what is compared, and runs.
pub(crate) fn run(
    workspace: &Workspace,
    profile: Profile,
    filter: Option<&OsStr>,
) -> Result<ExitCode> {
    plugins::build(workspace)?;
    // Without the benchmarks' feature: this is the program as it is shipped.
    let mut build = workspace.cargo();
    process::run(build.args(BUILD_HOST).args(["--profile", profile.name()]))?;
    let python = provided("Python with FastAPI", python::peers(workspace));
    let nginx = provided("nginx", nginx());
    let mut bench = workspace.cargo();
    bench
        .args(["bench", "--profile", profile.name()])
        // The whole workspace: a package alone has other features, and wasmtime would be compiled again.
        .args(["--workspace", "--bench", "*", "--features", FEATURE]);
    if let Some(filter) = filter {
        bench.arg("--").arg(filter);
    }
    if let Some(python) = python {
        bench.env("ONEROUTER_BENCH_PYTHON", python);
    }
    if let Some(nginx) = nginx {
        bench.env("ONEROUTER_BENCH_NGINX", nginx);
    }
    let mut environment = Environment::provide(workspace, profile.folder(), Commits::Durable)?;
    environment.add_compilers(workspace);
    let status = environment.run(&mut bench)?;
    Ok(process::exit_code(status))
}

/// What cannot be had is left out of the comparison.
fn provided(what: &str, path: Result<PathBuf>) -> Option<PathBuf> {
    path.inspect_err(|error| eprintln!("xtask: {what} is left out of the comparison: {error:#}"))
        .ok()
}

fn nginx() -> Result<PathBuf> {
    let program = Path::new(NGINX);
    if !program.is_file() {
        debian::install(&["nginx-light"])?;
    }
    Ok(program.to_owned())
}
