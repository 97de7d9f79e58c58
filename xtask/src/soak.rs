//! `cargo xtask soak`: what is too large or takes too long for the tests. One function per part;
//! each prints counts, and the gateway's memory at the start, at its peak and at the end.

mod crowd;
mod flood;
mod gateway;
mod wkg;

use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};

use crate::postgres::{Commits, Postgres};
use crate::workspace::{BUILD_HOST, Workspace};
use crate::{fuzz, plugins, process};

/// Damaged requests of one run.
const DAMAGED: u64 = 20_000;
/// Objects of one tenant.
const ROWS: u64 = 10_000_000;
/// Seconds without Redis.
const REDIS_AWAY_S: u64 = 30;
/// Deliveries to webhook endpoints.
const DELIVERIES: u64 = 10_000;

/// Swaps of a plugin on one node, and over three.
const SWAPS: u64 = 10_000;
const SWAPS_OF_NODES: u64 = 1_000;

/// What a part has to work with.
#[derive(Debug)]
pub(crate) struct Soak<'a> {
    pub(crate) workspace: &'a Workspace,
    /// Chooses whatever is chosen at random.
    pub(crate) seed: u64,
    /// Of the gateway: `debug` or `release`.
    pub(crate) profile: &'static str,
}

/// A name, what it does, and how.
type Part = (&'static str, &'static str, fn(&Soak<'_>) -> Result<()>);

/// In the order in which they run.
const PARTS: [Part; 10] = [
    (
        "idle",
        "10,000 idle connections, then more than there is room for",
        crowd::run,
    ),
    ("bodies", "a flood of 100 MB bodies", flood::run),
    ("damaged", "hostile requests, damaged at random", damaged),
    (
        "openapi",
        "requests that follow the OpenAPI document, and break it",
        fuzz::openapi,
    ),
    ("fuzz", "the fuzz targets", fuzz::targets),
    ("redis", "30 s without Redis, under load", redis_away),
    (
        "rows",
        "requests on 10 million rows, which take 35 GB of disk",
        rows,
    ),
    (
        "deliveries",
        "10,000 webhook deliveries by nodes that are killed",
        deliveries,
    ),
    (
        "swaps",
        "10,000 swaps of a plugin under load, and 1,000 over three nodes",
        swaps,
    ),
    (
        "wkg",
        "the registry with wkg, which is compiled for it",
        wkg::run,
    ),
];

/// What the command line asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct SoakArgs {
    /// Only this part
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Repeat an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Use the unoptimised gateway, which is built faster
    #[arg(long)]
    debug: bool,
}

/// `cargo xtask soak`.
pub(crate) fn run(workspace: &Workspace, args: &SoakArgs) -> Result<ExitCode> {
    let chosen: Vec<_> = PARTS
        .iter()
        .filter(|(name, _, _)| args.only.as_deref().is_none_or(|only| only == *name))
        .collect();
    let names = PARTS.map(|(name, _, _)| name).join(", ");
    ensure!(!chosen.is_empty(), "no such part; there are {names}");
    let soak = Soak {
        workspace,
        seed: args.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
        profile: if args.debug { "debug" } else { "release" },
    };
    plugins::build(workspace)?;
    let mut build = workspace.cargo();
    build.args(BUILD_HOST);
    if !args.debug {
        build.arg("--release");
    }
    process::run(&mut build)?;

    let mut failed = Vec::new();
    for (name, what, part) in chosen {
        eprintln!("soak: {name}: {what}; seed {}", soak.seed);
        if let Err(error) = part(&soak) {
            eprintln!("soak: {name} failed: {error:#}");
            failed.push(*name);
        }
    }
    ensure!(
        failed.is_empty(),
        "failed: {}; repeat with --seed {}",
        failed.join(", "),
        soak.seed
    );
    Ok(ExitCode::SUCCESS)
}

/// The test of the same kind, with more of them.
fn damaged(soak: &Soak<'_>) -> Result<()> {
    let variables = [
        ("ONEROUTER_SOAK_ROUNDS", DAMAGED.to_string().into()),
        ("ONEROUTER_SOAK_SEED", soak.seed.to_string().into()),
    ];
    let name = "mutated::damaged_requests_are_answered_whole_or_not_at_all";
    test(soak.workspace, "edge", name, &variables).context("damaged requests")
}

/// The test of the same kind, for longer.
fn redis_away(soak: &Soak<'_>) -> Result<()> {
    let postgres = Postgres::start(Commits::Forgetful)?;
    let variables = [
        ("ONEROUTER_TEST_POSTGRES_URL", postgres.url().into()),
        ("ONEROUTER_SOAK_AWAY_S", REDIS_AWAY_S.to_string().into()),
    ];
    let name = "away::redis_that_goes_away_is_not_missed";
    test(soak.workspace, "nodes", name, &variables).context("Redis away")
}

/// The test of the same kind, with more of them.
fn rows(soak: &Soak<'_>) -> Result<()> {
    let postgres = Postgres::start(Commits::Forgetful)?;
    let variables = [
        ("ONEROUTER_TEST_POSTGRES_URL", postgres.url().into()),
        ("ONEROUTER_SOAK_ROWS", ROWS.to_string().into()),
    ];
    let name = "volume::requests_read_as_little_as_if_there_were_few_rows";
    test(soak.workspace, "store", name, &variables).context("many rows")
}

/// The test of the same kind, with more of them, by the program that was asked for.
fn deliveries(soak: &Soak<'_>) -> Result<()> {
    let postgres = Postgres::start(Commits::Forgetful)?;
    let program = soak.workspace.host_program(soak.profile);
    let variables = [
        ("ONEROUTER_TEST_POSTGRES_URL", postgres.url().into()),
        ("ONEROUTER_TEST_BIN", program.into()),
        (
            "ONEROUTER_TEST_PLUGINS_DIR",
            soak.workspace.plugins().into(),
        ),
        ("ONEROUTER_SOAK_DELIVERIES", DELIVERIES.to_string().into()),
        ("ONEROUTER_SOAK_SEED", soak.seed.to_string().into()),
    ];
    let name = "deliveries::nodes_that_are_killed_while_they_deliver_lose_nothing";
    test(soak.workspace, "nodes", name, &variables).context("deliveries")
}

/// The tests of the same kind, with more of them, by the program that was asked for.
fn swaps(soak: &Soak<'_>) -> Result<()> {
    let postgres = Postgres::start(Commits::Forgetful)?;
    let program = soak.workspace.host_program(soak.profile);
    let variables = [
        ("ONEROUTER_TEST_POSTGRES_URL", postgres.url().into()),
        ("ONEROUTER_TEST_BIN", program.into()),
        (
            "ONEROUTER_TEST_FIXTURES_DIR",
            soak.workspace.fixtures().into(),
        ),
        ("ONEROUTER_SOAK_SWAPS", SWAPS.to_string().into()),
        (
            "ONEROUTER_SOAK_SWAPS_OF_NODES",
            SWAPS_OF_NODES.to_string().into(),
        ),
    ];
    for name in [
        "swap::swaps_under_load_fail_nothing_and_no_request_sees_two_versions",
        "swap::swaps_over_several_nodes_fail_nothing",
    ] {
        test(soak.workspace, "plugins", name, &variables).context("swaps")?;
    }
    Ok(())
}

/// Runs one test. That there is none of this name, since it was renamed, is an error: without it a
/// part would pass by doing nothing.
pub(crate) fn test(
    workspace: &Workspace,
    file: &str,
    name: &str,
    variables: &[(&str, OsString)],
) -> Result<()> {
    let cargo = || {
        let mut cargo = workspace.cargo();
        cargo.args(["test", "--workspace", "--test", file]);
        cargo
    };
    process::run(cargo().arg("--no-run"))?;
    let chosen = ["--", "--exact", name];
    let listed = process::read(cargo().args(chosen).args(["--list", "--format", "terse"]))?;
    ensure!(
        listed == format!("{name}: test"),
        "the test {name} of {file} is not there, or not once: {listed:?}"
    );
    process::run(
        cargo()
            .args(chosen)
            .arg("--nocapture")
            .envs(variables.iter().cloned()),
    )
}
