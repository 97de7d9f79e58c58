//! Installing what the tests need, on Debian and its kin.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Installs packages if that is possible without a question: as root, or with a `sudo` that wants
/// no password.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").is_file() {
        bail!("this is not Debian or Ubuntu: install by hand what `{names}` is called here");
    }
    let may_sudo = || process::succeeds(Command::new("sudo").args(["-n", "true"]));
    let is_root = process::is_root()?;
    if !is_root && !may_sudo() {
        bail!("neither root nor sudo without a password: run `sudo apt-get install {names}`");
    }
    eprintln!("xtask: installing {names}");
    process::run(apt_get(is_root).arg("update"))?;
    process::run(
        apt_get(is_root)
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
    .with_context(|| format!("run `apt-get install {names}` and look into it"))
}

fn apt_get(is_root: bool) -> Command {
    let mut command = Command::new(if is_root { "env" } else { "sudo" });
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        // A fresh machine may still be installing its own updates.
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}
