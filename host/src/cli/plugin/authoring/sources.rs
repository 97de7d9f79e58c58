//! What belongs to a project, and whether it has changed.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::building::Recipe;

/// A project with more files than this has something in it that is none of its own.
const FILES_MAX: usize = 20_000;
/// Larger files are known by their size and time.
const READ_BYTES_MAX: u64 = 4 << 20;

/// Folders that tools fill.
const FOLDERS_OF_TOOLS: [&str; 5] = ["target", "node_modules", "__pycache__", "venv", "dist"];
/// Ends of names that editors and browsers use for a moment.
const ENDS_OF_PASSING: [&str; 9] = [
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".tmp",
    ".part",
    ".bak",
    "___jb_tmp___",
    "___jb_old___",
];
/// Vim tries whether it may write here.
const PROBE_OF_VIM: &str = "4913";

/// A project's folder, without what is built in it.
#[derive(Debug)]
pub(super) struct Sources {
    root: PathBuf,
    /// Where a recipe puts its component, and where plugins go.
    left_out: Vec<PathBuf>,
}

/// What a project's files hold.
pub(super) type Print = [u8; 32];

impl Sources {
    /// Those of the project in `root`, whose plugins go to `into`.
    pub(super) fn of(root: &Path, into: &Path) -> anyhow::Result<Self> {
        let whole = |path: &Path| {
            fs::canonicalize(path).with_context(|| format!("cannot use {}", path.display()))
        };
        let root = whole(root)?;
        // A recipe that cannot be read is said at each build.
        let recipe = Recipe::read(&root).ok().flatten();
        let built = recipe.and_then(|recipe| {
            let mut parts = recipe.component.components();
            let first = parts.find(|part| matches!(part, Component::Normal(_)))?;
            Some(root.join(first))
        });
        let left_out = built.into_iter().chain([whole(into)?]).collect();
        Ok(Self { root, left_out })
    }

    /// The folders to watch.
    pub(super) fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in self.walk() {
            let entry = entry?;
            if entry.file_type().is_dir() {
                folders.push(entry.into_path());
            }
        }
        Ok(folders)
    }

    /// A digest of every file's name and content: what an editor writes twice, or writes and takes back, is
    /// no change.
    pub(super) fn print(&self) -> anyhow::Result<Print> {
        let mut digest = Sha256::new();
        for entry in self.walk() {
            let entry = entry?;
            if entry.file_type().is_dir() {
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(&self.root).unwrap_or(path);
            let content = match fs::metadata(path) {
                Ok(data) if data.len() <= READ_BYTES_MAX => fs::read(path).ok(),
                Ok(data) => Some(format!("{} {:?}", data.len(), data.modified()).into_bytes()),
                // Gone since it was listed: it will be told of.
                Err(_) => None,
            };
            for part in [
                name.as_os_str().as_encoded_bytes(),
                content.as_deref().unwrap_or_default(),
            ] {
                digest.update(part.len().to_le_bytes());
                digest.update(part);
            }
        }
        Ok(digest.finalize().into())
    }

    fn walk(&self) -> impl Iterator<Item = anyhow::Result<DirEntry>> {
        let walk = WalkDir::new(&self.root).sort_by_file_name().into_iter();
        let entries = walk.filter_entry(|entry| {
            entry.depth() == 0
                || (belongs(entry) && !self.left_out.iter().any(|path| path == entry.path()))
        });
        let mut count = 0_usize;
        entries.filter_map(move |entry| {
            count = count.saturating_add(1);
            match entry {
                _ if count > FILES_MAX => Some(Err(anyhow::anyhow!(
                    "more than {FILES_MAX} files are in the project"
                ))),
                Ok(entry) => Some(Ok(entry)),
                // Gone while it was looked at: an editor's.
                Err(error) if is_absent(&error) => None,
                Err(error) => Some(Err(error.into())),
            }
        })
    }
}

fn is_absent(error: &walkdir::Error) -> bool {
    let source = error.io_error();
    source.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Whether a file or folder is the author's own.
fn belongs(entry: &DirEntry) -> bool {
    let Some(name) = entry.file_name().to_str() else {
        return true;
    };
    if entry.file_type().is_dir() {
        return name == ".cargo" || !(name.starts_with('.') || FOLDERS_OF_TOOLS.contains(&name));
    }
    let is_passing = name.starts_with('.')
        || name.starts_with('#')
        || name == PROBE_OF_VIM
        || ENDS_OF_PASSING.iter().any(|end| name.ends_with(end));
    !is_passing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            write(folder.path(), path, text);
        }
        folder
    }

    fn sources(folder: &tempfile::TempDir) -> Sources {
        let plugins = folder.path().join("plugins");
        let into = if plugins.exists() {
            &plugins
        } else {
            Path::new("/")
        };
        Sources::of(folder.path(), into).unwrap()
    }

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_tools_and_editors_leave_is_no_change() {
        let folder = project_with(&[
            ("src/lib.rs", "one"),
            ("plugin.toml", "id"),
            (
                "build.toml",
                "command = [\"make\"]\ncomponent = \"out/a.wasm\"\n",
            ),
        ]);
        fs::create_dir(folder.path().join("plugins")).unwrap();
        let sources = sources(&folder);
        let before = sources.print().unwrap();
        for path in [
            "target/debug/a",
            "node_modules/x/index.js",
            "out/a.wasm",
            "dist/a.wasm",
            "plugins/a.wasm",
            ".git/index",
            ".venv/bin/python",
            "src/lib.rs~",
            "src/.lib.rs.swp",
            "src/#lib.rs#",
            "src/4913",
            "src/lib.rs.tmp",
        ] {
            write(folder.path(), path, "anything");
            assert_eq!(sources.print().unwrap(), before, "{path}");
        }
        write(folder.path(), "src/lib.rs", "one");
        assert_eq!(sources.print().unwrap(), before);
    }

    #[test]
    fn a_new_a_changed_and_a_missing_file_are_changes() {
        let folder = project_with(&[("src/lib.rs", "one")]);
        let sources = sources(&folder);
        let mut seen = vec![sources.print().unwrap()];
        let mut changed = |what: &str| {
            let print = sources.print().unwrap();
            assert!(!seen.contains(&print), "{what}");
            seen.push(print);
        };
        write(folder.path(), "src/lib.rs", "two");
        changed("another content");
        write(folder.path(), "src/more.rs", "");
        changed("an empty file");
        write(folder.path(), ".cargo/config.toml", "x");
        changed("settings of cargo");
        fs::rename(
            folder.path().join("src/more.rs"),
            folder.path().join("src/less.rs"),
        )
        .unwrap();
        changed("another name");
    }

    #[test]
    fn folders_of_tools_are_not_watched() {
        let folder = project_with(&[("src/a/lib.rs", ""), ("target/debug/a", "")]);
        let root = fs::canonicalize(folder.path()).unwrap();
        let folders = sources(&folder).folders().unwrap();
        assert_eq!(
            folders,
            [root.clone(), root.join("src"), root.join("src/a")]
        );
    }
}
