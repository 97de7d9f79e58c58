//! Tests, and the environment that they and the benchmarks run in.

use std::env;
use std::ffi::OsString;
use std::path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::node::Packages;
use crate::postgres::{Commits, Postgres};
use crate::python::Program;
use crate::workspace::{Workspace, without_cargo_run};
use crate::{apart, lint, node, plugins, process, python, servers, toolchain};

const POSTGRES_URL: &str = "ONEROUTER_TEST_POSTGRES_URL";

/// Of the tests through the API.
pub(crate) const TESTS_PACKAGE: &str = "onerouter-tests";

/// `cargo xtask test`. Arguments narrow it down to those tests and nothing else.
pub(crate) fn run(workspace: &Workspace, with_lint: bool, args: &[OsString]) -> Result<ExitCode> {
    let everything = args.is_empty();
    let mut failed = Vec::new();
    if with_lint {
        lint::run(workspace)?;
    } else if everything && let Err(error) = lint::check_format(workspace) {
        // Said at once, but no reason to know less about the rest.
        eprintln!("xtask: {error:#}");
        failed.push("format");
    }

    let start = Instant::now();
    plugins::build(workspace)?;
    // Programs too: cargo builds them by itself only for tests of their own package. With the tests
    // in the selection it chooses the same features as below and nothing is compiled twice.
    process::run(
        workspace
            .cargo()
            .args(["build", "--workspace", "--lib", "--bins", "--tests"]),
    )?;
    let built = start.elapsed();

    let start = Instant::now();
    let mut environment = Environment::provide(workspace, "debug", Commits::Forgetful)?;
    environment.add_programs(workspace, |test| may_run(test, args));
    let mut test = |name: &'static str, cargo: &mut Command| -> Result<()> {
        if !environment.run(cargo)?.success() {
            failed.push(name);
        }
        Ok(())
    };
    test("tests", &mut runner(workspace, args)?)?;
    if everything {
        let options = ["test", "--no-fail-fast"];
        test(
            "doc tests",
            workspace
                .cargo()
                .args(options)
                .args(["--workspace", "--doc"]),
        )?;
        // Not `--workspace`: the plugins' workspace says which members can run outside of a host.
        test("plugins", workspace.cargo_for_guests().args(options))?;
    }
    let tested = start.elapsed();

    eprintln!(
        "xtask: build {} s, tests {} s",
        built.as_secs(),
        tested.as_secs()
    );
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask postgres`. Builds nothing.
pub(crate) fn with_environment(workspace: &Workspace, words: &[OsString]) -> Result<ExitCode> {
    let (program, args) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(args);
    without_cargo_run(&mut command);
    let mut environment = Environment::provide(workspace, "debug", Commits::Forgetful)?;
    environment.add_programs(workspace, |test| names(test, words));
    let status = environment.run(&mut command)?;
    Ok(process::exit_code(status))
}

/// The tests of the whole workspace, unless the arguments choose a package.
fn runner(workspace: &Workspace, args: &[OsString]) -> Result<Command> {
    let mut cargo = if toolchain::has_subcommand(workspace, "nextest") {
        let mut cargo = workspace.cargo();
        cargo.args(["nextest", "run"]);
        cargo
    } else {
        apart::test_command(workspace, args)?
    };
    if args.is_empty() {
        // One run shows everything that is broken.
        cargo.arg("--no-fail-fast");
    }
    if !chooses_package(args) {
        cargo.arg("--workspace");
    }
    cargo.args(args);
    Ok(cargo)
}

fn chooses_package(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .filter_map(|arg| arg.to_str())
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

/// Whether the test that needs a program can be among those. Arguments that choose packages leave it in;
/// any other has to name it.
fn may_run(test: Test<'_>, args: &[OsString]) -> bool {
    let mut args_left = args.iter().filter_map(|arg| arg.to_str());
    let mut may = true;
    while let Some(arg) = args_left.next() {
        match arg {
            "-p" | "--package" => may &= args_left.next() == Some(test.package),
            "--workspace" | "--no-fail-fast" => {}
            _ => return names(test, args),
        }
    }
    may
}

fn names(test: Test<'_>, args: &[OsString]) -> bool {
    let mut args = args.iter().filter_map(|arg| arg.to_str());
    // A package's name may contain that of the file.
    args.any(|arg| {
        if arg == test.package {
            return false;
        }
        let is_part_of_its_name = !arg.is_empty() && test.name.contains(arg);
        is_part_of_its_name || arg.contains(test.file)
    })
}

/// A test that needs what has to be installed.
#[derive(Debug, Clone, Copy)]
struct Test<'t> {
    package: &'t str,
    file: &'t str,
    name: &'t str,
}

impl From<&Program> for Test<'static> {
    fn from(program: &Program) -> Self {
        Self {
            package: program.package,
            file: program.test_file,
            name: program.test,
        }
    }
}

impl From<&Packages> for Test<'static> {
    fn from(packages: &Packages) -> Self {
        Self {
            package: TESTS_PACKAGE,
            file: packages.test_file,
            name: packages.test,
        }
    }
}

/// What tests and benchmarks find in their environment. The server in it stops with this value.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: Vec<(&'static str, OsString)>,
    _postgres: Option<Postgres>,
}

impl Environment {
    pub(crate) fn provide(workspace: &Workspace, profile: &str, commits: Commits) -> Result<Self> {
        let mut variables = vec![
            ("ONEROUTER_TEST_BIN", workspace.host_program(profile).into()),
            ("ONEROUTER_TEST_PLUGINS_DIR", workspace.plugins().into()),
            ("ONEROUTER_TEST_FIXTURES_DIR", workspace.fixtures().into()),
        ];
        // Tests run in the folder of their package, so a relative path would lead elsewhere.
        if let Some(specs) = env::var_os("ONEROUTER_PROVIDER_SPECS") {
            variables.push(("ONEROUTER_PROVIDER_SPECS", path::absolute(specs)?.into()));
        }
        let servers = servers::provide_all()?.into_iter();
        variables.extend(servers.map(|server| (server.variable, server.path)));
        // A server that the caller has already provided is inherited, as it is.
        let postgres = match env::var_os(POSTGRES_URL) {
            Some(_) => None,
            None => Some(Postgres::start(commits)?),
        };
        if let Some(postgres) = &postgres {
            variables.push((POSTGRES_URL, postgres.url().into()));
        }
        Ok(Self {
            variables,
            _postgres: postgres,
        })
    }

    /// Installed only where they are needed: that takes a minute, and the network. The tests say so
    /// where they are missing.
    fn add_programs(&mut self, workspace: &Workspace, is_needed: impl Fn(Test<'_>) -> bool) {
        for packages in node::PACKAGES {
            let folder = if is_needed(packages.into()) {
                packages
                    .provide(workspace)
                    .inspect_err(|error| eprintln!("xtask: {error:#}"))
                    .ok()
            } else {
                packages.find(workspace)
            };
            if let Some(folder) = folder {
                self.variables.push((packages.variable, folder.into()));
            }
        }
        for program in python::PROGRAMS {
            let path = if is_needed(program.into()) {
                program
                    .provide(workspace)
                    .inspect_err(|error| eprintln!("xtask: {error:#}"))
                    .ok()
            } else {
                program.find(workspace)
            };
            if let Some(path) = path {
                self.variables.push((program.variable, path.into()));
            }
        }
    }

    /// What makes components of other languages. Left out where it cannot be had.
    pub(crate) fn add_compilers(&mut self, workspace: &Workspace) {
        let of_python = &python::COMPONENTIZE;
        let of_node = &node::COMPONENTIZE;
        for (variable, path) in [
            (of_python.variable, of_python.provide(workspace)),
            (of_node.variable, of_node.provide(workspace)),
        ] {
            match path {
                Ok(path) => self.variables.push((variable, path.into())),
                Err(error) => eprintln!("xtask: left out: {error:#}"),
            }
        }
    }

    pub(crate) fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        process::status(command.envs(self.variables.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_chosen_by_an_option_before_the_dashes() {
        let chooses =
            |args: &[&str]| chooses_package(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(chooses(&["-p", "onerouter"]));
        assert!(chooses(&["money", "--package=onerouter-domain"]));
        assert!(!chooses(&["money", "--", "-p"]));
        assert!(!chooses(&[]));
    }
    #[test]
    fn a_program_is_installed_only_for_runs_that_may_have_its_test() {
        let may = |test: Test<'_>, args: &[&str]| {
            may_run(test, &args.iter().map(OsString::from).collect::<Vec<_>>())
        };
        for test in python::PROGRAMS
            .map(Test::from)
            .into_iter()
            .chain(node::PACKAGES.map(Test::from))
        {
            assert!(may(test, &[]));
            assert!(may(test, &["--no-fail-fast"]));
            assert!(may(test, &["-p", test.package]));
            assert!(may(test, &["--test", test.file]));
            assert!(!may(test, &["-p", "onerouter-domain"]));
            assert!(!may(test, &["-p", test.package, "--test", "edge"]));
            assert!(!may(test, &["second_request"]));
        }
        let fuzz = Test::from(&python::SCHEMATHESIS);
        assert!(may(fuzz, &["-E", "binary(openapi_fuzz) | test(sms)"]));
        assert!(may(fuzz, &["no_request_that_the_document"]));
        let client = Test::from(&python::PUBLISHED_CLIENT);
        assert!(!may(client, &["--test", "openapi_fuzz"]));
    }
}
