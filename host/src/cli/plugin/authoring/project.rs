//! `onerouter plugin new`: a project out of what this program carries.
//!
//! Templates, SDK and WIT packages are compiled in, so they fit each other and this gateway, and an author
//! needs no copy of the repository.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use include_dir::{Dir, DirEntry, include_dir};
use onerouter_manifest::{Category, Manifest, PluginId};

use crate::cli::plugin::files::folder_of;
use crate::cli::terminal;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-plugin/templates");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-plugin/src");
static SDK_MACROS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-plugin/macros/src");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");

/// What the SDK was compiled with here, its target among it.
const TOOLCHAIN: &str = include_str!("../../../../../rust-toolchain.toml");

/// Where the SDK lies in a project.
const SDK_FOLDER: &str = "vendor/onerouter-plugin";

/// A file of a project: its path in it, and what is in it.
type File = (PathBuf, Vec<u8>);

pub(super) fn create(
    id: &PluginId,
    category: Category,
    path: Option<PathBuf>,
) -> anyhow::Result<()> {
    let path = path.unwrap_or_else(|| PathBuf::from(id.as_str()));
    write(&path, &files(id, category)?)?;
    let folder = path.display();
    terminal::say(&format!(
        "Wrote {folder}: an adapter for {category} that speaks to an invented provider. Next:

  cd {folder}
  cargo test
  onerouter plugin build
  onerouter plugin check
  onerouter plugin dev

README.md says what to change."
    ));
    Ok(())
}

/// Everything that a new project consists of.
fn files(id: &PluginId, category: Category) -> anyhow::Result<Vec<File>> {
    let of_templates = |name: &str| {
        let folder = TEMPLATES.get_dir(name);
        folder.with_context(|| format!("this program has no template for {name}"))
    };
    let mut files = Vec::new();
    for name in ["common", category.as_str()] {
        let folder = of_templates(name)?;
        add(&mut files, folder, folder.path(), Path::new(""))?;
    }
    let vendor = of_templates("vendor")?;
    let sdk = Path::new(SDK_FOLDER);
    add(&mut files, vendor, vendor.path(), sdk)?;
    for (folder, place) in [(&SDK, "src"), (&SDK_MACROS, "macros/src"), (&WIT, "wit")] {
        add(&mut files, folder, folder.path(), &sdk.join(place))?;
    }
    let toolchain = (PathBuf::from("rust-toolchain.toml"), TOOLCHAIN.into());
    files.push(toolchain);
    for (path, bytes) in &mut files {
        // What the SDK consists of has nothing to fill in.
        let is_template = !path.starts_with(sdk) || path.ends_with("Cargo.toml");
        if is_template {
            *bytes = fill(bytes, id).with_context(|| path.display().to_string())?;
        }
    }
    check(&files)?;
    Ok(files)
}

/// The files of a folder, with their paths below `base` put below `place`.
fn add(files: &mut Vec<File>, folder: &Dir<'_>, base: &Path, place: &Path) -> anyhow::Result<()> {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(inner) => add(files, inner, base, place)?,
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(base)?;
                files.push((place.join(path), file.contents().to_vec()));
            }
        }
    }
    Ok(())
}

fn fill(template: &[u8], id: &PluginId) -> anyhow::Result<Vec<u8>> {
    let text = std::str::from_utf8(template)?;
    let text = text
        .replace("{{id}}", id.as_str())
        .replace("{{name}}", &name_of(id))
        .replace("{{version}}", env!("CARGO_PKG_VERSION"));
    Ok(text.into_bytes())
}

/// `acme-texts` is "Acme Texts" to people.
fn name_of(id: &PluginId) -> String {
    let words = id.as_str().split('-').filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A manifest that this program would not take is no start.
fn check(files: &[File]) -> anyhow::Result<()> {
    let manifest = files
        .iter()
        .find(|(path, _)| path == Path::new("plugin.toml"));
    let (_, manifest) = manifest.context("the template has no plugin.toml")?;
    Manifest::from_toml(std::str::from_utf8(manifest)?).context("the template's plugin.toml")?;
    Ok(())
}

/// Writes all of them, or nothing.
fn write(target: &Path, files: &[File]) -> anyhow::Result<()> {
    let name = target.display();
    let is_there = match fs::read_dir(target) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("{name} is not empty; a project starts in a folder of its own");
            }
            true
        }
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot use {name}")),
    };
    // Beside the target, so that it can be moved there in one step.
    let beside = if is_there { target } else { folder_of(target) };
    let cannot = || format!("cannot write {name}");
    let draft = tempfile::Builder::new()
        .prefix(".onerouter-new-")
        .tempdir_in(beside)
        .with_context(cannot)?;
    let project = draft.path().join("project");
    for (path, bytes) in files {
        let path = project.join(path);
        fs::create_dir_all(folder_of(&path)).with_context(cannot)?;
        fs::write(path, bytes).with_context(cannot)?;
    }
    if !is_there {
        return fs::rename(&project, target).with_context(cannot);
    }
    // A shell may stand in the folder: it stays the same one.
    move_into(target, &project).with_context(cannot)
}

fn move_into(target: &Path, project: &Path) -> std::io::Result<()> {
    let mut moved = Vec::new();
    let done = move_each(target, project, &mut moved);
    if done.is_err() {
        for (from, to) in moved {
            // What cannot be taken back either is the disk's fault, which the error names.
            let _left = fs::rename(to, from);
        }
    }
    done
}

/// Notes what was moved: from where, and to where.
fn move_each(
    target: &Path,
    project: &Path,
    moved: &mut Vec<(PathBuf, PathBuf)>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(project)? {
        let entry = entry?;
        let to = target.join(entry.file_name());
        fs::rename(entry.path(), &to)?;
        moved.push((entry.path(), to));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PluginId {
        PluginId::try_from(text.to_owned()).unwrap()
    }

    fn text<'f>(files: &'f [File], path: &str) -> &'f str {
        let file = files.iter().find(|(known, _)| known == Path::new(path));
        std::str::from_utf8(&file.unwrap_or_else(|| panic!("no {path}")).1).unwrap()
    }

    #[test]
    fn every_category_has_a_whole_project() {
        for category in Category::ALL {
            let files = files(&id("acme-2-go"), category).unwrap();
            for (path, bytes) in &files {
                let text = std::str::from_utf8(bytes).unwrap();
                for left in ["{{id", "{{name", "{{version"] {
                    assert!(!text.contains(left), "{left} in {}", path.display());
                }
            }
            let manifest = Manifest::from_toml(text(&files, "plugin.toml")).unwrap();
            assert_eq!(manifest.id.as_str(), "acme-2-go");
            assert_eq!(manifest.name, "Acme 2 Go");
            for path in [
                ".cargo/config.toml",
                ".gitignore",
                "Cargo.lock",
                "README.md",
                "cassettes/README.md",
                "rust-toolchain.toml",
                "src/lib.rs",
                "vendor/onerouter-plugin/Cargo.toml",
                "vendor/onerouter-plugin/src/lib.rs",
                "vendor/onerouter-plugin/src/json/reader.rs",
                "vendor/onerouter-plugin/macros/Cargo.toml",
                "vendor/onerouter-plugin/macros/src/lib.rs",
                "vendor/onerouter-plugin/wit/adapter.wit",
                "vendor/onerouter-plugin/wit/deps/onerouter-sms/sms.wit",
            ] {
                assert!(!text(&files, path).is_empty(), "{path}");
            }
            let mut paths: Vec<_> = files.iter().map(|(path, _)| path).collect();
            let count = paths.len();
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), count, "two files of one name");
        }
    }

    /// What this repository's own adapters are built from is what a new project gets: cargo then has
    /// nothing to look for.
    #[test]
    fn a_project_has_the_versions_of_the_plugins_of_this_repository() {
        let files = files(&id("acme"), Category::Sms).unwrap();
        let packages = |lock: &str| -> Vec<(String, String)> {
            let lock: toml::Table = lock.parse().unwrap();
            let packages = lock["package"].as_array().unwrap().iter();
            packages
                .map(|package| {
                    let field = |name: &str| package[name].as_str().unwrap().to_owned();
                    (field("name"), field("version"))
                })
                .collect()
        };
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let read = |path: &str| fs::read_to_string(format!("{root}/{path}")).unwrap();
        let ours = packages(&read("plugins/Cargo.lock"));
        for package in packages(text(&files, "Cargo.lock")) {
            let is_own = package.0 == "acme-adapter";
            assert!(is_own || ours.contains(&package), "{package:?}");
        }
        let guests: toml::Table = read("plugins/Cargo.toml").parse().unwrap();
        let workspace = &guests["workspace"];
        let sdk: toml::Table = text(&files, "vendor/onerouter-plugin/Cargo.toml")
            .parse()
            .unwrap();
        assert_eq!(
            sdk["dependencies"]["wit-bindgen"],
            workspace["dependencies"]["wit-bindgen"]
        );
        assert_eq!(sdk["package"]["version"], workspace["package"]["version"]);
        let project: toml::Table = text(&files, "Cargo.toml").parse().unwrap();
        assert_eq!(
            project["profile"]["release"]["opt-level"].as_str(),
            Some("s")
        );
        let flags = |config: &str| -> toml::Value {
            let config: toml::Table = config.parse().unwrap();
            config["target"]["wasm32-wasip2"]["rustflags"].clone()
        };
        assert_eq!(
            flags(text(&files, ".cargo/config.toml")),
            flags(&read(".cargo/config.toml"))
        );
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let files = [(PathBuf::from("src/lib.rs"), b"new".to_vec())];
        let target = place.path().join("acme");
        fs::create_dir(&target).unwrap();
        write(&target, &files).unwrap();
        assert_eq!(fs::read(target.join("src/lib.rs")).unwrap(), b"new");
        let refused = write(&target, &files).unwrap_err();
        assert!(refused.to_string().contains("not empty"), "{refused}");
        let file = place.path().join("file");
        fs::write(&file, "old").unwrap();
        write(&file, &files).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), b"old");
        write(&place.path().join("none/acme"), &files).unwrap_err();
        let left: Vec<_> = fs::read_dir(place.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn what_fails_half_way_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        // A file where the second one needs a folder.
        let files = [
            (PathBuf::from("src"), b"a file".to_vec()),
            (PathBuf::from("src/lib.rs"), b"new".to_vec()),
        ];
        write(&place.path().join("acme"), &files).unwrap_err();
        write(place.path(), &files).unwrap_err();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
