//! Files of authors: read up to a bound, written in one piece.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use onerouter_engine::COMPONENT_BYTES_MAX;
use onerouter_manifest::Manifest;
use sha2::{Digest as _, Sha256};

/// A manifest's source is a page or two.
const TOML_BYTES_MAX: u64 = 256 << 10;

pub(super) fn component_bytes_max() -> u64 {
    u64::try_from(COMPONENT_BYTES_MAX).unwrap_or(u64::MAX)
}

pub(super) fn read(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        bail!("{} is larger than {most} bytes", path.display());
    }
    Ok(bytes)
}

/// A text of the size of a manifest's source.
pub(super) fn read_toml(path: &Path) -> anyhow::Result<String> {
    let bytes = read(path, TOML_BYTES_MAX)?;
    String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8 text", path.display()))
}

/// `plugin.toml`, by whatever name.
pub(super) fn read_manifest(path: &Path) -> anyhow::Result<Manifest> {
    Manifest::from_toml(&read_toml(path)?).with_context(|| path.display().to_string())
}

/// In one piece: a reader sees the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(folder_of(path))?;
        new.write_all(bytes)?;
        // What is packed or signed may be read by everybody.
        #[cfg(unix)]
        new.as_file()
            .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        new.as_file().sync_all()?;
        new.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    folder
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// SHA-256 in lower-case hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
