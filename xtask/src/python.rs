//! Python programs that tests and benchmarks run, each set of them in an environment below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::Workspace;
use crate::{debian, process};

/// Fails on any Python that is older than the programs want.
const IS_RECENT: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

const PYTHON: &str = "bin/python";
/// Holds the lock. Written last: a folder without it is one that was not finished.
const INSTALLED: &str = "installed.txt";

/// Where the test looks for the program.
pub(crate) const SCHEMATHESIS_VARIABLE: &str = "ONEROUTER_TEST_SCHEMATHESIS";
/// The only test that does, and its file.
pub(crate) const SCHEMATHESIS_TEST_FILE: &str = "openapi_fuzz";
pub(crate) const SCHEMATHESIS_TEST: &str =
    "no_request_that_the_document_allows_or_forbids_gets_another_answer_than_it_says";

const SCHEMATHESIS: &str = "bin/schemathesis";

/// The program that holds the gateway against its OpenAPI document.
pub(crate) fn schemathesis(workspace: &Workspace) -> Result<PathBuf> {
    let (folder, lock) = of_schemathesis(workspace);
    provide(&folder, &lock).context("Schemathesis, which the test openapi_fuzz runs")?;
    Ok(folder.join(SCHEMATHESIS))
}

/// The same, if it is there already.
pub(crate) fn find_schemathesis(workspace: &Workspace) -> Option<PathBuf> {
    let (folder, lock) = of_schemathesis(workspace);
    let wanted = fs::read_to_string(lock).ok()?;
    is_provided(&folder, &wanted).then(|| folder.join(SCHEMATHESIS))
}

fn of_schemathesis(workspace: &Workspace) -> (PathBuf, PathBuf) {
    (
        workspace.target.join("python/schemathesis"),
        workspace.root.join("tests/schemathesis/requirements.txt"),
    )
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
