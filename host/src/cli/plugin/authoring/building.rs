//! `onerouter plugin build`: from a project to one packed file.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use onerouter_manifest::{Manifest, pack};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::Output;
use crate::cli::plugin::files::{
    component_bytes_max, digest, folder_of, read, read_manifest, read_toml, replace,
};
use crate::cli::terminal;

/// What plugins are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// The manifest's source in a project.
pub(super) const MANIFEST: &str = "plugin.toml";
/// How a project that is not cargo's is built.
pub(super) const RECIPE: &str = "build.toml";

/// What `build.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli::plugin) struct Recipe {
    /// A program and its arguments, run in the project's folder.
    command: Vec<String>,
    /// The component that it writes, from there.
    pub(in crate::cli::plugin) component: PathBuf,
}

impl Recipe {
    /// None for a project without one.
    pub(in crate::cli::plugin) fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = dir.join(RECIPE);
        if !path.exists() {
            return Ok(None);
        }
        let recipe: Self = toml::from_str(&read_toml(&path)?)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if recipe.command.is_empty() {
            bail!("{}: command names no program", path.display());
        }
        Ok(Some(recipe))
    }
}

/// A packed plugin that is not written yet.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) manifest: Manifest,
    pub(super) bytes: Vec<u8>,
    pub(super) took: Duration,
}

pub(super) async fn run(dir: &Path, output: Option<PathBuf>, answer: Output) -> anyhow::Result<()> {
    let built = build(dir).await?;
    let path = output.unwrap_or_else(|| default_output(dir, &built.manifest));
    fs::create_dir_all(folder_of(&path))
        .with_context(|| format!("cannot make {}", folder_of(&path).display()))?;
    replace(&path, &built.bytes)?;
    let document = described(&built, &path);
    match answer {
        Output::Json => terminal::json(&document),
        Output::Text => {
            terminal::say(&format!(
                "Wrote {}: {} {}, {} bytes, in {:.1} s.",
                path.display(),
                built.manifest.id,
                built.manifest.version,
                built.bytes.len(),
                built.took.as_secs_f64()
            ));
            terminal::data(&format!("sha256:{}", digest(&built.bytes)));
            Ok(())
        }
    }
}

/// Where a project's plugin is written if nobody says otherwise.
pub(super) fn default_output(dir: &Path, manifest: &Manifest) -> PathBuf {
    let file = Path::new("target").join(format!("{}.wasm", manifest.id));
    if dir == Path::new(".") {
        file
    } else {
        dir.join(file)
    }
}

/// What programs are told of a plugin that was written.
pub(super) fn described(built: &Built, path: &Path) -> Value {
    json!({
        "object": "plugin",
        "id": built.manifest.id,
        "version": built.manifest.version,
        "path": path,
        "size_bytes": built.bytes.len(),
        "sha256": digest(&built.bytes),
        "duration_ms": u64::try_from(built.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Compiles and packs. What the compiler says goes to standard error. When the future is dropped, the
/// compiler is ended.
pub(super) async fn build(dir: &Path) -> anyhow::Result<Built> {
    let started = Instant::now();
    let manifest = dir.join(MANIFEST);
    if !manifest.exists() {
        bail!(
            "{} is no plugin's project: it has no {MANIFEST}; start one with `onerouter plugin new`",
            dir.display()
        );
    }
    // Cheaper than the compiler, so first.
    let manifest = read_manifest(&manifest)?;
    let component = match Recipe::read(dir)? {
        Some(recipe) => by_recipe(dir, &recipe).await?,
        None if dir.join("Cargo.toml").exists() => by_cargo(dir).await?,
        None => bail!(
            "{} has neither a Cargo.toml nor a {RECIPE} that says how it is built",
            dir.display()
        ),
    };
    let bytes = read(&component, component_bytes_max())?;
    let bytes = pack(&bytes, manifest.clone())
        .with_context(|| format!("cannot pack {}", component.display()))?;
    Ok(Built {
        manifest,
        bytes,
        took: started.elapsed(),
    })
}

async fn by_recipe(dir: &Path, recipe: &Recipe) -> anyhow::Result<PathBuf> {
    let (program, args) = recipe.command.split_first().context("no command")?;
    let mut command = command(dir, program);
    // Standard output is ours.
    command.args(args).stdout(Stdio::from(io::stderr()));
    finished(command.status().await, program)?;
    let component = dir.join(&recipe.component);
    if !component.exists() {
        bail!(
            "`{}` has ended well, but has not written {}, the component that {RECIPE} names",
            recipe.command.join(" "),
            component.display()
        );
    }
    Ok(component)
}

async fn by_cargo(dir: &Path) -> anyhow::Result<PathBuf> {
    ensure_target(dir).await?;
    let manifest = fs::canonicalize(dir.join("Cargo.toml"))
        .with_context(|| format!("cannot use {}", dir.display()))?;
    let mut command = command(dir, "cargo");
    command
        .args(["build", "--release", "--target", TARGET])
        // Where the component is stands in there, whatever target folder is set.
        .args(["--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped());
    let mut cargo = command
        .spawn()
        .map_err(|error| not_started("cargo", error))?;
    let mut found = None;
    if let Some(messages) = cargo.stdout.take() {
        let mut lines = BufReader::new(messages).lines();
        while let Some(line) = lines.next_line().await.context("cannot read from cargo")? {
            found = component_in(&line, &manifest).or(found);
        }
    }
    finished(cargo.wait().await, "cargo build")?;
    found.with_context(|| {
        format!(
            "cargo made no component of {}: it needs crate-type = [\"cdylib\"] under [lib]",
            dir.display()
        )
    })
}

/// The component that one of cargo's messages tells of, where it is of this package.
fn component_in(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_artifact = message.get("reason")?.as_str() == Some("compiler-artifact");
    let is_ours = message.get("manifest_path")?.as_str().map(Path::new) == Some(manifest);
    let kinds = message.get("target")?.get("kind")?.as_array()?;
    let is_library = kinds.iter().any(|kind| kind == "cdylib");
    if !(is_artifact && is_ours && is_library) {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter();
    files
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension() == Some(OsStr::new("wasm")))
}

/// Adds the plugins' target to the toolchain in use, where it is missing.
async fn ensure_target(dir: &Path) -> anyhow::Result<()> {
    // The compiler is asked, not rustup: it also answers where Rust came from a distribution.
    let mut rustc = command(dir, "rustc");
    rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdout(Stdio::piped());
    let asked = rustc.output().await;
    let asked = asked.map_err(|error| not_started("rustc", error))?;
    let libraries = String::from_utf8_lossy(&asked.stdout).trim_end().to_owned();
    if asked.status.success() && Path::new(&libraries).is_dir() {
        return Ok(());
    }
    terminal::say(&format!(
        "Adding the target {TARGET}, which plugins are compiled for."
    ));
    let mut rustup = command(dir, "rustup");
    rustup
        .args(["target", "add", TARGET])
        .stdout(Stdio::from(io::stderr()));
    finished(rustup.status().await, "rustup target add").with_context(|| {
        format!(
            "the Rust target {TARGET} is missing and could not be added; a Rust from elsewhere than https://rustup.rs needs its own package for it"
        )
    })
}

fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // Flags meant for this machine would replace the ones that a project's configuration sets for the
    // target.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}

fn finished(status: io::Result<std::process::ExitStatus>, program: &str) -> anyhow::Result<()> {
    let status = status.map_err(|error| not_started(program, error))?;
    if !status.success() {
        bail!("`{program}` failed ({status})");
    }
    Ok(())
}

fn not_started(program: &str, error: io::Error) -> anyhow::Error {
    let hint = match (error.kind(), program) {
        (io::ErrorKind::NotFound, "cargo" | "rustc") => ": Rust comes from https://rustup.rs",
        (io::ErrorKind::NotFound, _) => ": it is not installed, or not in PATH",
        (_, _) => "",
    };
    anyhow::Error::new(error).context(format!("cannot run `{program}`{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_tell_where_the_component_is() {
        let message = |reason: &str, manifest: &str, kind: &str| {
            format!(
                r#"{{"reason":"{reason}","manifest_path":"{manifest}","target":{{"kind":["{kind}"]}},"filenames":["/t/a.d","/t/a.wasm"]}}"#
            )
        };
        let find = |message: &str| component_in(message, Path::new("/p/Cargo.toml"));
        let ours = message("compiler-artifact", "/p/Cargo.toml", "cdylib");
        assert_eq!(find(&ours), Some(PathBuf::from("/t/a.wasm")));
        for other in [
            message("compiler-artifact", "/q/Cargo.toml", "cdylib"),
            message("compiler-artifact", "/p/Cargo.toml", "lib"),
            message("build-finished", "/p/Cargo.toml", "cdylib"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
            "warning: not JSON".to_owned(),
        ] {
            assert_eq!(find(&other), None, "{other}");
        }
    }

    #[test]
    fn a_recipe_names_a_command_and_a_component() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            fs::write(folder.path().join(RECIPE), text).unwrap();
            Recipe::read(folder.path())
        };
        let recipe = read("command = [\"make\"]\ncomponent = \"out/a.wasm\"\n")
            .unwrap()
            .unwrap();
        assert_eq!(recipe.component, Path::new("out/a.wasm"));
        for odd in [
            "command = []\ncomponent = \"a.wasm\"",
            "command = \"make\"\ncomponent = \"a.wasm\"",
            "command = [\"make\"]",
            "command = [\"make\"]\ncomponent = \"a.wasm\"\nenvironment = 1",
        ] {
            let refused = read(odd).unwrap_err();
            assert!(format!("{refused:#}").contains(RECIPE), "{refused:#}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(Recipe::read(empty.path()).unwrap().is_none());
    }
}
