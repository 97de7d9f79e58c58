//! Compiled code on disk, believed only with this host's seal on it.
//!
//! Loading compiled code is running it with the host's rights, so a file counts only when an HMAC
//! under the host's key fits its key and its content. The check is made on the very bytes that
//! are then loaded. A file that fails is compiled anew and replaced; it is never an error.
//!
//! The key of an entry covers the component, the target, and everything in wasmtime's version and
//! settings that shapes the code: an upgrade leaves old entries unused.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::config::MacKey;

/// First bytes of a file; the number is the format's version.
const MAGIC: &[u8; 8] = b"ORCODE1\n";

const MAC_BYTES: usize = 32;

/// More code than this is not kept: it is some three times as large as its component.
pub(crate) const CODE_BYTES_MAX: u64 = 256 << 20;

/// A larger file is not ours.
const FILE_BYTES_MAX: u64 = CODE_BYTES_MAX + (MAGIC.len() + MAC_BYTES) as u64;

/// Entries that are kept; beyond, the oldest go. Upgrades leave entries behind that nobody reads.
const ENTRIES_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct CodeCache {
    folder: PathBuf,
    mac_key: MacKey,
}

/// Names compiled code by everything that it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeKey([u8; 32]);

impl CodeKey {
    /// `compatibility` is wasmtime's hash of its version, settings and target.
    pub(crate) fn new(component: &[u8; 32], compatibility: &impl Hash) -> Self {
        let mut hasher = ShaHasher(Sha256::new());
        hasher.write(b"onerouter compiled code 1\n");
        hasher.write(component);
        hasher.write(std::env::consts::ARCH.as_bytes());
        hasher.write(b"-");
        hasher.write(std::env::consts::OS.as_bytes());
        hasher.write(b"\n");
        compatibility.hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }

    fn file_name(self) -> String {
        let hex: String = self.0.iter().map(|b| format!("{b:02x}")).collect();
        format!("{hex}.code")
    }
}

/// Feeds a `Hash` to SHA-256: the 64 bits of an ordinary hasher are too few for a name.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Why an entry is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("there is none")]
    Absent,
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    #[error("the file is not sealed by this host")]
    Seal,
}

impl CodeCache {
    /// Makes the folder, for this user only.
    pub(crate) fn open(folder: &Path, mac_key: MacKey) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        Ok(Self {
            folder: folder.to_owned(),
            mac_key,
        })
    }

    /// Code whose seal fits. These very bytes were checked; nobody can change them any more.
    pub(crate) fn get(&self, key: CodeKey) -> Result<Vec<u8>, EntryError> {
        let mut bytes = Vec::new();
        File::open(self.path(key))
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => EntryError::Absent,
                _ => EntryError::Read(error),
            })?;
        let rest = bytes.strip_prefix(MAGIC).ok_or(EntryError::Seal)?;
        let (seal, code) = rest.split_at_checked(MAC_BYTES).ok_or(EntryError::Seal)?;
        self.mac(key, code)
            .verify_slice(seal)
            .map_err(|_differs| EntryError::Seal)?;
        Ok(bytes.split_off(MAGIC.len() + MAC_BYTES))
    }

    /// Keeps code. A reader sees the old file or the whole new one.
    pub(crate) fn put(&self, key: CodeKey, code: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = self
            .folder
            .join(format!(".{}-{number}.new", std::process::id()));
        let written = self
            .write(&temporary, key, code)
            .and_then(|()| fs::rename(&temporary, self.path(key)));
        if written.is_err() {
            // Best effort: the first error is the one that matters.
            fs::remove_file(&temporary).ok();
        }
        written?;
        File::open(&self.folder)?.sync_all()?;
        self.shrink()
    }

    fn write(&self, path: &Path, key: CodeKey, code: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.mac(key, code).finalize().into_bytes())?;
        file.write_all(code)?;
        file.sync_all()
    }

    fn mac(&self, key: CodeKey, code: &[u8]) -> Hmac<Sha256> {
        // A key shorter than the hash's block is filled up with zeros; that is HMAC's own rule.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(self.mac_key.bytes()) {
            *to = *from;
        }
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(MAGIC);
        mac.update(&key.0);
        mac.update(code);
        mac
    }

    fn path(&self, key: CodeKey) -> PathBuf {
        self.folder.join(key.file_name())
    }

    fn shrink(&self) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "code")
            {
                entries.push((entry.metadata()?.modified()?, path));
            }
        }
        let surplus = entries.len().saturating_sub(ENTRIES_MAX);
        entries.sort_unstable();
        for (_, path) in entries.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{CodeCache, CodeKey, ENTRIES_MAX, EntryError};
    use crate::config::MacKey;

    const CODE: &[u8] = b"compiled code";

    struct Fixture {
        folder: tempfile::TempDir,
        cache: CodeCache,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(folder.path(), MacKey::new([1; 32])).unwrap();
        Fixture { folder, cache }
    }

    fn key(component: u8) -> CodeKey {
        CodeKey::new(&[component; 32], &"settings")
    }

    #[test]
    fn what_was_put_comes_back() {
        let Fixture {
            folder: _folder,
            cache,
        } = fixture();
        assert!(matches!(cache.get(key(1)), Err(EntryError::Absent)));
        cache.put(key(1), CODE).unwrap();
        assert_eq!(cache.get(key(1)).unwrap(), CODE);
        cache.put(key(1), b"newer").unwrap();
        assert_eq!(cache.get(key(1)).unwrap(), b"newer");
    }

    #[test]
    fn the_key_covers_component_and_settings() {
        assert_ne!(key(1), key(2));
        assert_ne!(key(1), CodeKey::new(&[1; 32], &"other settings"));
    }

    #[test]
    fn no_changed_byte_is_accepted() {
        let Fixture {
            folder: _folder,
            cache,
        } = fixture();
        cache.put(key(1), CODE).unwrap();
        let path = cache.path(key(1));
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).unwrap();
                assert!(
                    matches!(cache.get(key(1)), Err(EntryError::Seal)),
                    "byte {at}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn no_cut_or_grown_file_is_accepted() {
        let Fixture {
            folder: _folder,
            cache,
        } = fixture();
        cache.put(key(1), CODE).unwrap();
        let path = cache.path(key(1));
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(
                matches!(cache.get(key(1)), Err(EntryError::Seal)),
                "{length} bytes"
            );
        }
        fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert!(matches!(cache.get(key(1)), Err(EntryError::Seal)));
    }

    #[test]
    fn an_entry_under_another_key_or_host_is_not_accepted() {
        let Fixture { folder, cache } = fixture();
        cache.put(key(1), CODE).unwrap();
        fs::copy(cache.path(key(1)), cache.path(key(2))).unwrap();
        assert!(matches!(cache.get(key(2)), Err(EntryError::Seal)));

        let other = CodeCache::open(folder.path(), MacKey::new([2; 32])).unwrap();
        assert!(matches!(other.get(key(1)), Err(EntryError::Seal)));
    }

    #[test]
    fn nobody_else_can_read_or_write() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
        let cache = CodeCache::open(&inner, MacKey::new([1; 32])).unwrap();
        cache.put(key(1), CODE).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(inner), 0o700);
        assert_eq!(mode(cache.path(key(1))), 0o600);
    }

    #[test]
    fn the_cache_does_not_grow_without_end() {
        let Fixture { folder, cache } = fixture();
        for number in 0..ENTRIES_MAX + 3 {
            let name = format!("{number:064x}.code");
            fs::write(folder.path().join(name), b"old").unwrap();
        }
        cache.put(key(1), CODE).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), ENTRIES_MAX);
        assert_eq!(cache.get(key(1)).unwrap(), CODE);
    }
}
