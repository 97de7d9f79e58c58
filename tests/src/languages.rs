//! The examples in other languages, built as their authors build them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use onerouter_manifest::Manifest;
use sha2::{Digest as _, Sha256};

/// An example below `examples/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    Python,
    JavaScript,
}

/// A change of an example: in this file, this text by that.
pub type Edit<'t> = (&'t str, &'t str, &'t str);

impl Example {
    pub const ALL: [Self; 2] = [Self::Python, Self::JavaScript];

    /// Its id, which is the provider's name in paths.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Python => "acme-texts-python",
            Self::JavaScript => "acme-texts-js",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Python => "python-sms",
            Self::JavaScript => "js-sms",
        }
    }

    /// The answers of its provider, beside its sources.
    pub fn cassettes(self) -> PathBuf {
        root()
            .join("examples")
            .join(self.folder())
            .join("cassettes")
    }

    /// Where `cargo xtask` says that its compiler is.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Python => "ONEROUTER_TEST_COMPONENTIZE_PY",
            Self::JavaScript => "ONEROUTER_TEST_COMPONENTIZE_JS",
        }
    }

    /// The packed plugin, built unless it has been built of the same sources before.
    ///
    /// # Panics
    /// Its compiler is not there, or fails.
    pub fn plugin(self, edits: &[Edit<'_>]) -> PathBuf {
        let compiler = std::env::var_os(self.variable())
            .unwrap_or_else(|| panic!("{} is not set; run cargo xtask test", self.variable()));
        self.built_with(Path::new(&compiler), edits)
    }

    /// The same where there is a compiler.
    pub fn plugin_if_possible(self) -> Option<PathBuf> {
        let compiler = std::env::var_os(self.variable())?;
        Some(self.built_with(Path::new(&compiler), &[]))
    }

    /// In a copy of the example's folder, by the command in its `build.toml`.
    fn built_with(self, compiler: &Path, edits: &[Edit<'_>]) -> PathBuf {
        let root = root();
        let source = root.join("examples").join(self.folder());
        let built = target().join("languages");
        fs::create_dir_all(&built).unwrap();
        let key = key(&[&source, &root.join("wit")], edits);
        let plugin = built.join(format!("{}-{key}.wasm", self.folder()));
        // Tests run at the same time, and each build takes all of a core for many seconds.
        let turn = File::create(built.join(format!("{}.lock", self.folder()))).unwrap();
        turn.lock().unwrap();
        if plugin.is_file() {
            return plugin;
        }
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path();
        copy_all(&source, copy).unwrap();
        for (file, from, to) in edits {
            let path = copy.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{file} has no {from:?}");
            fs::write(&path, text.replace(from, to)).unwrap();
        }
        let build = fs::read_to_string(copy.join("build.toml")).unwrap();
        let build: toml::Table = build.parse().unwrap();
        let words = build["command"].as_array().unwrap();
        let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .current_dir(copy)
            .env("ONEROUTER_WIT", root.join("wit").canonicalize().unwrap());
        match self {
            Self::Python => _ = command.env("COMPONENTIZE_PY", compiler),
            Self::JavaScript => {
                let packages = compiler.join("node_modules");
                std::os::unix::fs::symlink(packages, copy.join("node_modules")).unwrap();
            }
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let component = fs::read(copy.join(build["component"].as_str().unwrap())).unwrap();
        let manifest = fs::read_to_string(copy.join("plugin.toml")).unwrap();
        let manifest = Manifest::from_toml(&manifest).unwrap();
        let packed = onerouter_manifest::pack(&component, manifest).unwrap();
        let part = plugin.with_extension("part");
        fs::write(&part, packed).unwrap();
        fs::rename(&part, &plugin).unwrap();
        plugin
    }
}

/// Of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Beside what tests have compiled.
fn target() -> PathBuf {
    crate::harness::built("ONEROUTER_TEST_COMPILED_DIR", "test-compiled")
}

/// Names a build by everything that goes into it.
fn key(folders: &[&Path], edits: &[Edit<'_>]) -> String {
    let mut hasher = Sha256::new();
    for folder in folders {
        for file in files(folder).unwrap() {
            hasher.update(file.to_string_lossy().as_bytes());
            hasher.update([0]);
            hasher.update(fs::read(folder.join(&file)).unwrap());
            hasher.update([0]);
        }
    }
    for (file, from, to) in edits {
        hasher.update(format!("{file}\0{from}\0{to}\0"));
    }
    hasher.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The files of a folder that are sources, sorted.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let name = entry.file_name();
            // Or says nothing about the component.
            let is_made = ["build", "node_modules", ".venv", "__pycache__", "cassettes"]
                .map(|it| name == *it);
            if is_made.contains(&true) {
                continue;
            }
            let path = below.join(name);
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for file in files(from)? {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(from.join(&file), target)?;
    }
    Ok(())
}
