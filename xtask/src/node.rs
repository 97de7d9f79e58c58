//! Packages of Node that a test runs, in a folder below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::Workspace;
use crate::{debian, process};

/// Fails on any Node that is older than the packages want.
const IS_RECENT: &str = "process.exit(process.versions.node.split('.')[0] < 20 ? 1 : 0)";

/// What is installed, with a lock that names each package's hash.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// Holds the lock. Written last: a folder without it is one that was not finished.
const INSTALLED: &str = "installed.txt";

/// Packages that a test runs.
#[derive(Debug)]
pub(crate) struct Packages {
    /// For people, with the test.
    title: &'static str,
    /// Where the test looks for the folder.
    pub(crate) variable: &'static str,
    /// The only test that does, and its file.
    pub(crate) test_file: &'static str,
    pub(crate) test: &'static str,
    /// Of the folder, below the target folder.
    name: &'static str,
    /// Where [`FILES`] are.
    source: &'static str,
}

/// Verify webhooks.
pub(crate) const WEBHOOK_VERIFIERS: Packages = Packages {
    title: "the verifiers of webhooks for Node, which the test webhooks runs",
    variable: "ONEROUTER_TEST_WEBHOOK_VERIFIERS_NODE",
    test_file: "webhooks",
    test: "the_official_libraries_of_node_accept_deliveries",
    name: "webhook-verifiers",
    source: "tests/webhook_verifiers",
};

/// Make components of JavaScript.
pub(crate) const COMPONENTIZE: Packages = Packages {
    title: "componentize-js, which the test languages runs",
    variable: "ONEROUTER_TEST_COMPONENTIZE_JS",
    test_file: "languages",
    test: "an_adapter_in_javascript_passes_the_kit_and_serves_a_message_to_the_end",
    name: "componentize",
    source: "examples/js-sms",
};

/// All of them.
pub(crate) const PACKAGES: [&Packages; 2] = [&WEBHOOK_VERIFIERS, &COMPONENTIZE];

impl Packages {
    /// The folder of the packages, installed if need be.
    pub(crate) fn provide(&self, workspace: &Workspace) -> Result<PathBuf> {
        let (folder, source) = self.places(workspace);
        install(&folder, &source).context(self.title)?;
        Ok(folder)
    }

    /// The same, if they are there already.
    pub(crate) fn find(&self, workspace: &Workspace) -> Option<PathBuf> {
        let (folder, source) = self.places(workspace);
        let wanted = fs::read_to_string(source.join("package-lock.json")).ok()?;
        is_provided(&folder, &wanted).then_some(folder)
    }

    fn places(&self, workspace: &Workspace) -> (PathBuf, PathBuf) {
        (
            workspace.target.join("node").join(self.name),
            workspace.root.join(self.source),
        )
    }
}

/// What the lock names and nothing else. Of several runs at the same time, one installs.
fn install(folder: &Path, source: &Path) -> Result<()> {
    let lock = source.join("package-lock.json");
    let wanted =
        fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let turn = folder.with_extension("lock");
    let turn = File::create(&turn).with_context(|| format!("cannot write {}", turn.display()))?;
    // Until this function returns.
    turn.lock().context("cannot wait for other runs")?;
    if is_provided(folder, &wanted) {
        return Ok(());
    }
    if !is_recent() {
        debian::install(&["nodejs", "npm"]).context("no Node 20 or later")?;
        ensure!(
            is_recent(),
            "the Node of this system is older than 20; put a later `node` into PATH"
        );
    }
    eprintln!("xtask: installing {}", lock.display());
    for file in FILES {
        fs::copy(source.join(file), folder.join(file)).context("cannot copy what to install")?;
    }
    process::run(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )?;
    fs::write(folder.join(INSTALLED), wanted).context("cannot note what is installed")
}

fn is_provided(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|installed| installed == wanted)
        && is_recent()
}

fn is_recent() -> bool {
    process::succeeds(Command::new("node").args(["-e", IS_RECENT]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_used_again_while_their_lock_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!is_provided(folder, "{}"));
        fs::write(folder.join(INSTALLED), "{}").unwrap();
        assert_eq!(is_provided(folder, "{}"), is_recent());
        assert!(!is_provided(folder, "{ }"));
    }
}
