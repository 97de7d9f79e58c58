//! Where things are, and cargo.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Arguments that make cargo build the gateway's program.
///
/// `-p onerouter` would be shorter, but with it cargo chooses fewer features for shared dependencies
/// than it does for the tests, and compiles wasmtime a second time. A selection that spans the
/// workspace and has a test in it (`xtask/tests/xtask.rs` is small) makes it choose the same ones.
pub(crate) const BUILD_HOST: [&str; 6] = [
    "build",
    "--workspace",
    "--bin",
    "onerouter",
    "--test",
    "xtask",
];

/// The repository and its target folder, both absolute.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// This program. Asked for once, at the start: a build of the workspace may replace the file.
    pub(crate) program: PathBuf,
}

impl Workspace {
    /// The target folder is read off our own path: cargo has already looked at `CARGO_TARGET_DIR`
    /// and every configuration file.
    pub(crate) fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no parent folder")?;
        let program = env::current_exe().context("cannot find the path of this program")?;
        let target = program
            .parent()
            .and_then(Path::parent)
            .with_context(|| format!("{} is not in a target folder", program.display()))?;
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
            program,
        })
    }

    /// The workspace of the plugins.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// Their own target folder: they are built with other flags and another profile.
    pub(crate) fn compiled_guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// The packed plugins that ship with the gateway.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// The packed components that only tests use.
    pub(crate) fn fixtures(&self) -> PathBuf {
        self.target.join("fixtures")
    }

    /// The gateway's program.
    pub(crate) fn host_program(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("onerouter")
    }

    /// Cargo, of the toolchain that runs us, on the workspace in the root folder.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        without_cargo_run(&mut command);
        command
    }

    /// Cargo on the workspace of the plugins.
    pub(crate) fn cargo_for_guests(&self) -> Command {
        let mut command = self.cargo();
        command
            // Cargo looks for configuration from the current folder upwards, not from the manifest.
            .current_dir(self.guests())
            .env("CARGO_TARGET_DIR", self.compiled_guests());
        // Flags meant for the host would replace the ones that the plugins' configuration sets.
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
        ] {
            command.env_remove(name);
        }
        command
    }
}

/// Takes away what `cargo run` told us about our own package: build scripts that watch these
/// variables would run again each time a build is started from here rather than by hand.
pub(crate) fn without_cargo_run(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let is_ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if is_ours {
            command.env_remove(name);
        }
    }
}
