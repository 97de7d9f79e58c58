//! Building and packing the adapters.
//!
//! Each folder of `plugins/` that has a `plugin.toml` is a plugin that ships with the gateway; each
//! such folder of `plugins/fixtures/` is a component that only tests use.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use onerouter_manifest::Manifest;

use crate::process;
use crate::toolchain::{self, WASM_TARGET};
use crate::workspace::Workspace;

/// Bundled plugins stay below this. The limit is ours, not the host's: an adapter is a small
/// translator, and one that grows past this has pulled in something it does not need. Each function
/// that it exports costs about 4 KiB of generated glue, and one for payments has twenty-five of them.
const BUNDLED_BYTES_MAX: usize = 288 << 10;

/// Compiles all plugins and writes the packed components to the target folder.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    toolchain::ensure_wasm_target(workspace)?;
    process::run(workspace.cargo_for_guests().args([
        "build",
        "--workspace",
        "--release",
        "--target",
        WASM_TARGET,
    ]))?;

    let compiled = workspace
        .compiled_guests()
        .join(WASM_TARGET)
        .join("release");
    let bundled = pack_all(&workspace.guests(), &compiled)?;
    let fixtures = pack_all(&workspace.guests().join("fixtures"), &compiled)?;
    for plugin in &bundled {
        ensure!(
            plugin.component.len() < BUNDLED_BYTES_MAX,
            "plugins/{} is {} when packed; a bundled plugin must stay below {}. That limit is this \
             project's own: see what the adapter pulls in before raising it",
            plugin.folder,
            kib(plugin.component.len()),
            kib(BUNDLED_BYTES_MAX),
        );
    }
    write_all(&workspace.plugins(), &bundled, |plugin| &plugin.id)?;
    write_all(&workspace.fixtures(), &fixtures, |plugin| &plugin.folder)
}

struct Packed {
    folder: String,
    id: String,
    component: Vec<u8>,
}

fn pack_all(parent: &Path, compiled: &Path) -> Result<Vec<Packed>> {
    let mut folders = Vec::new();
    if parent.is_dir() {
        for entry in fs::read_dir(parent)? {
            let folder = entry?.path();
            if folder.join("plugin.toml").is_file() {
                folders.push(folder);
            }
        }
    }
    folders.sort();
    folders
        .iter()
        .map(|folder| {
            pack(folder, compiled).with_context(|| format!("cannot pack {}", folder.display()))
        })
        .collect()
}

fn pack(folder: &Path, compiled: &Path) -> Result<Packed> {
    let manifest = Manifest::from_toml(&fs::read_to_string(folder.join("plugin.toml"))?)
        .context("plugin.toml")?;
    let id = manifest.id.to_string();
    let artifact = compiled.join(artifact_name(&fs::read_to_string(
        folder.join("Cargo.toml"),
    )?)?);
    let component =
        fs::read(&artifact).with_context(|| format!("cannot read {}", artifact.display()))?;
    Ok(Packed {
        folder: folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        id,
        component: onerouter_manifest::pack(&component, manifest)?,
    })
}

/// What cargo calls the component of a package.
fn artifact_name(cargo_toml: &str) -> Result<String> {
    let package: toml::Table = cargo_toml.parse().context("Cargo.toml")?;
    let name = |table: &str| package.get(table)?.get("name")?.as_str();
    let name = name("lib")
        .or_else(|| name("package"))
        .context("Cargo.toml has no package name")?;
    Ok(format!("{}.wasm", name.replace('-', "_")))
}

/// Makes `folder` hold exactly these components.
fn write_all<'a>(
    folder: &Path,
    plugins: &'a [Packed],
    name: impl Fn(&'a Packed) -> &'a str,
) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut current = BTreeSet::new();
    for plugin in plugins {
        let path = folder.join(format!("{}.wasm", name(plugin)));
        let written = write_if_changed(&path, &plugin.component)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let state = if written { "" } else { " (unchanged)" };
        eprintln!(
            "{:>9}  {}{state}",
            kib(plugin.component.len()),
            path.display()
        );
        ensure!(
            current.insert(path),
            "two plugins share the name {}",
            name(plugin)
        );
    }
    remove_others(folder, &current)
}

/// A running host may be watching the folder: it must never read half a component, nor see news
/// where there are none.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let part = path.with_extension("part");
    fs::write(&part, content)?;
    fs::rename(&part, path)?;
    Ok(true)
}

/// A plugin that has left the repository must not stay installed.
fn remove_others(folder: &Path, current: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
            && !current.contains(&path)
        {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn kib(bytes: usize) -> String {
    format!("{}.{} KiB", bytes >> 10, ((bytes & 1023) * 10) >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_named_after_the_library_else_after_the_package() {
        let package = "[package]\nname = \"plugin-acme\"\n";
        assert_eq!(artifact_name(package).unwrap(), "plugin_acme.wasm");
        let library = format!("{package}[lib]\nname = \"acme\"\n");
        assert_eq!(artifact_name(&library).unwrap(), "acme.wasm");
    }

    #[test]
    fn an_unchanged_component_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.wasm");
        assert!(write_if_changed(&path, b"one").unwrap());
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_component_without_a_plugin_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gone.wasm"), b"old").unwrap();
        let acme = Packed {
            folder: "acme".to_owned(),
            id: "acme".to_owned(),
            component: b"new".to_vec(),
        };
        write_all(folder.path(), &[acme], |plugin| &plugin.id).unwrap();
        assert!(!folder.path().join("gone.wasm").exists());
        assert!(folder.path().join("acme.wasm").exists());
    }
}
