//! Python programs that tests and benchmarks run, each set of them in an environment below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::testing::TESTS_PACKAGE;
use crate::workspace::Workspace;
use crate::{debian, process};

/// Fails on any Python that is older than the programs want.
const IS_RECENT: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

const PYTHON: &str = "bin/python";
/// Holds the lock. Written last: a folder without it is one that was not finished.
const INSTALLED: &str = "installed.txt";

/// A program that a test runs.
#[derive(Debug)]
pub(crate) struct Program {
    /// For people, with the test.
    title: &'static str,
    /// Where the test looks for it.
    pub(crate) variable: &'static str,
    /// The only test that does, its file, and the package of that.
    pub(crate) package: &'static str,
    pub(crate) test_file: &'static str,
    pub(crate) test: &'static str,
    /// Of the environment, below the target folder.
    name: &'static str,
    /// What is installed.
    lock: &'static str,
    /// What is run, in the environment.
    program: &'static str,
}

/// Holds the gateway against its OpenAPI document.
pub(crate) const SCHEMATHESIS: Program = Program {
    title: "Schemathesis, which the test openapi_fuzz runs",
    variable: "ONEROUTER_TEST_SCHEMATHESIS",
    package: TESTS_PACKAGE,
    test_file: "openapi_fuzz",
    test: "no_request_that_the_document_allows_or_forbids_gets_another_answer_than_it_says",
    name: "schemathesis",
    lock: "tests/schemathesis/requirements.txt",
    program: "bin/schemathesis",
};

/// The interpreter with the client that is on PyPI as `onerouter`.
pub(crate) const PUBLISHED_CLIENT: Program = Program {
    title: "the published client, which the test published_client runs",
    variable: "ONEROUTER_TEST_PUBLISHED_CLIENT",
    package: TESTS_PACKAGE,
    test_file: "published_client",
    test: "every_call_of_the_published_client_works_unmodified",
    name: "published-client",
    lock: "tests/published_client/requirements.txt",
    program: PYTHON,
};

/// The interpreter with the libraries that verify webhooks.
pub(crate) const WEBHOOK_VERIFIERS: Program = Program {
    title: "the verifiers of webhooks in Python, which the test webhooks runs",
    variable: "ONEROUTER_TEST_WEBHOOK_VERIFIERS_PYTHON",
    package: TESTS_PACKAGE,
    test_file: "webhooks",
    test: "the_official_libraries_of_python_accept_deliveries",
    name: "webhook-verifiers",
    lock: "tests/webhook_verifiers/requirements.txt",
    program: PYTHON,
};

/// The interpreter with an OCI client that is not ours.
pub(crate) const ORAS: Program = Program {
    title: "the OCI client oras, which a test of the registry runs",
    variable: "ONEROUTER_TEST_ORAS_PYTHON",
    package: "onerouter-registry",
    test_file: "registry",
    test: "the_oras_client_of_pypi_pushes_what_is_then_published",
    name: "oras",
    lock: "registry/tests/oras/requirements.txt",
    program: PYTHON,
};

/// Makes components of Python.
pub(crate) const COMPONENTIZE: Program = Program {
    title: "componentize-py, which the test languages runs",
    variable: "ONEROUTER_TEST_COMPONENTIZE_PY",
    package: TESTS_PACKAGE,
    test_file: "languages",
    test: "an_adapter_in_python_passes_the_kit_and_serves_a_message_to_the_end",
    name: "componentize",
    lock: "examples/python-sms/requirements.txt",
    program: "bin/componentize-py",
};

/// All of them.
pub(crate) const PROGRAMS: [&Program; 5] = [
    &SCHEMATHESIS,
    &PUBLISHED_CLIENT,
    &WEBHOOK_VERIFIERS,
    &ORAS,
    &COMPONENTIZE,
];

impl Program {
    /// Where it is, installed if need be.
    pub(crate) fn provide(&self, workspace: &Workspace) -> Result<PathBuf> {
        let (folder, lock) = self.places(workspace);
        provide(&folder, &lock).context(self.title)?;
        Ok(folder.join(self.program))
    }

    /// The same, if it is there already.
    pub(crate) fn find(&self, workspace: &Workspace) -> Option<PathBuf> {
        let (folder, lock) = self.places(workspace);
        let wanted = fs::read_to_string(lock).ok()?;
        is_provided(&folder, &wanted).then(|| folder.join(self.program))
    }

    fn places(&self, workspace: &Workspace) -> (PathBuf, PathBuf) {
        (
            workspace.target.join("python").join(self.name),
            workspace.root.join(self.lock),
        )
    }
}

/// The interpreter of the gateways that benchmarks compare with.
pub(crate) fn peers(workspace: &Workspace) -> Result<PathBuf> {
    let lock = workspace.root.join("tests/benches/peers/requirements.txt");
    let folder = workspace.target.join("python/peers");
    provide(&folder, &lock)?;
    Ok(folder.join(PYTHON))
}

/// An environment with what the lock names and nothing else. One of the same lock is used again,
/// and nothing is asked of the network for it. Of several runs at the same time, one installs.
fn provide(folder: &Path, lock: &Path) -> Result<()> {
    let wanted =
        fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let turn = folder.with_extension("lock");
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let turn = File::create(&turn).with_context(|| format!("cannot write {}", turn.display()))?;
    // Until this function returns.
    turn.lock().context("cannot wait for other runs")?;
    if is_provided(folder, &wanted) {
        return Ok(());
    }
    eprintln!("xtask: installing {}", lock.display());
    create(folder)?;
    process::run(
        Command::new(folder.join(PYTHON))
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--no-deps"])
            // What is not what the lock names is refused, and nothing is compiled.
            .args(["--require-hashes", "--only-binary", ":all:", "-r"])
            .arg(lock),
    )?;
    fs::write(folder.join(INSTALLED), wanted).context("cannot note what is installed")
}

/// The interpreter is asked too: it goes when the system's Python is replaced.
fn is_provided(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|installed| installed == wanted)
        && is_recent(&folder.join(PYTHON))
}

fn create(folder: &Path) -> Result<()> {
    let python = Path::new("python3");
    if !is_recent(python) {
        debian::install(&["python3", "python3-venv"]).context("no Python 3.11 or later")?;
        ensure!(
            is_recent(python),
            "the Python of this system is older than 3.11; put a later `python3` into PATH"
        );
    }
    let mut environment = Command::new(python);
    environment.args(["-m", "venv", "--clear"]).arg(folder);
    // Debian has it in a package of its own; without that, the first try fails.
    if !process::succeeds(&mut environment) {
        debian::install(&["python3-venv"])
            .context("`python3 -m venv` fails; Debian's Python needs python3-venv for it")?;
        process::run(&mut environment)?;
    }
    Ok(())
}

fn is_recent(python: &Path) -> bool {
    process::succeeds(Command::new(python).args(["-c", IS_RECENT]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_used_again_while_its_lock_and_its_python_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let python = folder.join(PYTHON);
        fs::create_dir(folder.join("bin")).unwrap();
        assert!(!is_provided(folder, "a==1"));
        fs::write(folder.join(INSTALLED), "a==1").unwrap();
        assert!(!is_provided(folder, "a==1"));
        // Stands for any Python that is recent.
        std::os::unix::fs::symlink("/bin/true", &python).unwrap();
        assert!(is_provided(folder, "a==1"));
        assert!(!is_provided(folder, "a==2"));
    }
    #[test]
    fn what_is_there_is_not_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("requirements.txt");
        fs::write(&lock, "a==1").unwrap();
        let environment = folder.path().join("python/a");
        fs::create_dir_all(environment.join("bin")).unwrap();
        fs::write(environment.join(INSTALLED), "a==1").unwrap();
        std::os::unix::fs::symlink("/bin/true", environment.join(PYTHON)).unwrap();

        provide(&environment, &lock).unwrap();
        // A new environment would have another interpreter.
        let python = fs::read_link(environment.join(PYTHON)).unwrap();
        assert_eq!(python, Path::new("/bin/true"));
    }
}
