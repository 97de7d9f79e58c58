//! The long runs of both fuzzers, as parts of `cargo xtask soak`.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};

use crate::soak::{self, Soak};
use crate::{process, python};

/// Of one target. Its corpus grows from run to run, so that nothing is lost by stopping.
const TARGET_SECONDS: u64 = 120;
/// Of the requests that follow the OpenAPI document.
const OPENAPI_SECONDS: u64 = 900;
/// libFuzzer needs a nightly compiler, whatever the project is pinned to. Always the same: a run is
/// repeated with what it was made with, and next night's compiler breaks nothing.
const NIGHTLY: &str = "nightly-2026-05-20";
/// How that compiler dates itself: by the day before its release. Where it was installed as plain
/// `nightly`, nothing needs to be added.
const NIGHTLY_DATE: &str = "2026-05-19";
const CARGO_FUZZ: &str = "0.13.2";
/// A target that takes longer for one input has hung.
const INPUT_SECONDS: u64 = 20;

/// Every target of `fuzz/`, one after the other.
pub(crate) fn targets(soak: &Soak<'_>) -> Result<()> {
    ensure_cargo_fuzz()?;
    let folder = soak.workspace.root.join("fuzz");
    let listed = process::read(fuzz("list").current_dir(&folder))?;
    ensure!(!listed.is_empty(), "no fuzz targets");
    let mut failed = Vec::new();
    for target in listed.lines() {
        // What is found goes there; what is committed is read.
        let found = soak.workspace.target.join("fuzz/corpus").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut run = fuzz("run");
        run.current_dir(&folder)
            .arg("--target-dir")
            .arg(soak.workspace.target.join("fuzz"))
            .arg(target)
            .arg(&found);
        for kept in ["corpus", "crashes"] {
            let kept = folder.join(kept).join(target);
            if kept.is_dir() {
                run.arg(kept);
            }
        }
        run.arg("--")
            .arg(format!("-max_total_time={TARGET_SECONDS}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            // It takes 32 bits.
            .arg(format!("-seed={}", soak.seed & 0xffff_ffff))
            .arg("-print_final_stats=1");
        eprintln!("soak:   {target}, {TARGET_SECONDS} s");
        if let Err(error) = process::run(&mut run) {
            eprintln!("soak:   {error:#}");
            failed.push(target);
        }
    }
    if !failed.is_empty() {
        let names = failed.join(", ");
        bail!(
            "{names}: the input is in fuzz/artifacts; fix it, and put it into fuzz/crashes for the tests"
        );
    }
    Ok(())
}

/// The test of the same kind, for longer and from another seed.
pub(crate) fn openapi(soak: &Soak<'_>) -> Result<()> {
    let variables = [
        (
            python::SCHEMATHESIS.variable,
            python::SCHEMATHESIS.provide(soak.workspace)?.into(),
        ),
        (
            "ONEROUTER_TEST_PLUGINS_DIR",
            soak.workspace.plugins().into(),
        ),
        (
            "ONEROUTER_TEST_FIXTURES_DIR",
            soak.workspace.fixtures().into(),
        ),
        ("ONEROUTER_FUZZ_SECONDS", OPENAPI_SECONDS.to_string().into()),
        ("ONEROUTER_FUZZ_SEED", soak.seed.to_string().into()),
    ];
    soak::test(
        soak.workspace,
        python::SCHEMATHESIS.test_file,
        python::SCHEMATHESIS.test,
        &variables,
    )
    .context("requests that follow the OpenAPI document")
}

fn ensure_cargo_fuzz() -> Result<()> {
    if toolchain() == NIGHTLY && !process::succeeds(nightly_cargo().arg("--version")) {
        eprintln!("xtask: adding {NIGHTLY}, which fuzz targets are compiled with");
        process::run(
            Command::new("rustup")
                .args(["toolchain", "install", NIGHTLY])
                .args(["--profile", "minimal"]),
        )
        .with_context(|| format!("fuzzing needs `rustup toolchain install {NIGHTLY}`"))?;
    }
    let is_installed = process::read(&mut fuzz("--version"))
        .is_ok_and(|version| version == format!("cargo-fuzz {CARGO_FUZZ}"));
    if !is_installed {
        eprintln!("xtask: installing cargo-fuzz {CARGO_FUZZ}");
        process::run(
            nightly_cargo()
                .args(["install", "--locked", "cargo-fuzz"])
                .args(["--version", CARGO_FUZZ]),
        )?;
    }
    Ok(())
}

fn fuzz(command: &str) -> Command {
    let mut cargo = nightly_cargo();
    cargo.args(["fuzz", command]);
    cargo
}

/// By which name rustup knows the compiler.
fn toolchain() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| {
        let mut version = Command::new("rustup");
        version.args(["run", "nightly", "rustc", "--version"]);
        let is_it = process::read(&mut version).is_ok_and(|text| text.contains(NIGHTLY_DATE));
        if is_it { "nightly" } else { NIGHTLY }
    })
}

fn nightly_cargo() -> Command {
    let mut cargo = Command::new("rustup");
    cargo
        .args(["run", toolchain(), "cargo"])
        // Of the toolchain and the build that run us.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("CARGO_TARGET_DIR");
    cargo
}
