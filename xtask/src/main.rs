//! The project's own commands, run as `cargo xtask <command>`.
//!
//! - [`workspace`]: where things are, and cargo
//! - [`process`]: running other programs
//! - [`toolchain`]: what must be installed before anything compiles
//! - [`plugins`]: building and packing the adapters
//! - [`postgres`], [`debian`]: the throw-away database server, and installing one
//! - [`testing`]: tests and benchmarks, and the environment they run in
//! - [`dev`], [`lint`]: the commands of the same names

#![expect(clippy::print_stderr, reason = "a tool that talks to people")]

mod debian;
mod dev;
mod lint;
mod plugins;
mod postgres;
mod process;
mod testing;
mod toolchain;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build plugins and host, and run `onerouter dev`
    #[command(after_help = "Examples:
  cargo xtask dev
  cargo xtask dev --json
  cargo xtask dev --release -- --help")]
    Dev {
        /// Build the host with optimisations (stands before the other arguments)
        #[arg(long)]
        release: bool,
        /// Passed on to `onerouter dev`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Build the plugins and pack them into target/plugins and target/fixtures
    Plugins,
    /// Run the tests, with a private PostgreSQL
    #[command(after_help = "Examples:
  cargo xtask test                                  everything, as CI does
  cargo xtask test --lint                           the same after `cargo xtask lint`
  cargo xtask test second_request                   tests whose name contains this
  cargo xtask test -p onerouter-tests --test sms    the tests of one file")]
    Test {
        /// Run `cargo xtask lint` first (stands before the other arguments)
        #[arg(long)]
        lint: bool,
        /// Passed on to the test runner (cargo-nextest if installed, else `cargo test`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check formatting, Clippy, rustdoc and, where cargo-deny is installed, dependencies
    Lint,
    /// Run the benchmarks, with the same environment as the tests
    Bench {
        /// Only benchmarks whose name contains this
        filter: Option<OsString>,
    },
    /// Run a command in the environment of the tests, with a private PostgreSQL
    #[command(after_help = "Examples:
  cargo xtask postgres -- bash                      a shell in which single tests can be run again and again
  cargo xtask postgres -- sh -c 'psql $ONEROUTER_TEST_POSTGRES_URL'")]
    Postgres {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let workspace = Workspace::locate();
    let outcome = workspace.and_then(|workspace| match Cli::parse().command {
        Command::Dev { release, args } => dev::run(&workspace, release, &args),
        Command::Plugins => plugins::build(&workspace).map(|()| ExitCode::SUCCESS),
        Command::Test { lint, args } => testing::run(&workspace, lint, &args),
        Command::Lint => lint::run(&workspace),
        Command::Bench { filter } => testing::bench(&workspace, filter.as_deref()),
        Command::Postgres { command } => testing::with_environment(&workspace, &command),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
