//! The project's own commands, run as `cargo xtask <command>`.
//!
//! - [`workspace`]: where things are, and cargo
//! - [`process`]: running other programs
//! - [`toolchain`]: what must be installed before anything compiles
//! - [`plugins`]: building and packing the adapters
//! - [`postgres`], [`debian`]: the throw-away database server, and installing one
//! - [`servers`]: programs that tests start for themselves
//! - [`python`], [`node`]: programs and packages that the tests run
//! - [`testing`]: tests, and the environment they run in
//! - [`apart`]: running them where cargo-nextest is not installed
//! - [`soak`], [`fuzz`]: what is too large or takes too long for the tests
//! - [`mod@bench`], [`cluster`], [`dev`], [`lint`]: the commands of the same names
//! - [`watchdog`], [`http`]: ending what was started, and asking a gateway

#![expect(clippy::print_stderr, reason = "a tool that talks to people")]

mod apart;
mod bench;
mod cluster;
mod debian;
mod dev;
mod fuzz;
mod http;
mod lint;
mod node;
mod plugins;
mod postgres;
mod process;
mod python;
mod servers;
mod soak;
mod testing;
mod toolchain;
mod watchdog;
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
    /// Start three gateways over one database, behind a balancer, to play with
    #[command(after_help = "Examples:
  cargo xtask cluster
  cargo xtask cluster --port 0 --json | head -1 | jq -r .base_url")]
    Cluster(cluster::ClusterArgs),
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
        /// Passed on to the test runner (cargo-nextest if installed, else `cargo test`, which is made
        /// to run each test in a process of its own too)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check formatting, Clippy, rustdoc and, where cargo-deny is installed, dependencies
    Lint,
    /// Run the benchmarks, with the same environment as the tests
    #[command(after_help = "Examples:
  cargo xtask bench                  everything
  cargo xtask bench writes           whole requests, beside other gateways
  cargo xtask bench --profile dev    a trial of the benchmark itself: its figures mean nothing

ONEROUTER_BENCH_ROUNDS, ONEROUTER_BENCH_SECONDS and ONEROUTER_BENCH_CALLS make it shorter or longer.")]
    Bench {
        /// With or without optimisations
        #[arg(long, value_enum, default_value = "release")]
        profile: bench::Profile,
        /// Only sections whose name contains this: call, languages, writes, crowds, memory, starts
        filter: Option<OsString>,
    },
    /// Run what is too large or takes too long for the tests
    #[command(after_help = "Examples:
  cargo xtask soak                       every part
  cargo xtask soak --only idle           one of them: idle, bodies, damaged, openapi, fuzz, redis, rows,
                                         deliveries, swaps, wkg
  cargo xtask soak --seed 7              a run like that of this seed")]
    Soak(soak::SoakArgs),
    /// Run a command in the environment of the tests, with a private PostgreSQL
    #[command(after_help = "Examples:
  cargo xtask postgres -- bash                      a shell in which single tests can be run again and again
  cargo xtask postgres -- sh -c 'psql $ONEROUTER_TEST_POSTGRES_URL'")]
    Postgres {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// What cargo runs in the place of a test program, where cargo-nextest is not installed
    #[command(name = apart::COMMAND, hide = true)]
    RunTestsApart {
        /// The test program
        program: OsString,
        /// Which of its tests
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let workspace = Workspace::locate();
    let outcome = workspace.and_then(|workspace| match Cli::parse().command {
        Command::Dev { release, args } => dev::run(&workspace, release, &args),
        Command::Cluster(args) => cluster::run(&workspace, &args),
        Command::Plugins => plugins::build(&workspace).map(|()| ExitCode::SUCCESS),
        Command::Test { lint, args } => testing::run(&workspace, lint, &args),
        Command::Lint => lint::run(&workspace),
        Command::Bench { profile, filter } => bench::run(&workspace, profile, filter.as_deref()),
        Command::Soak(args) => soak::run(&workspace, &args),
        Command::RunTestsApart { program, args } => apart::run(&program, &args),
        Command::Postgres { command } => testing::with_environment(&workspace, &command),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
