//! Keys that a development machine makes for itself: 32 random bytes in a file that only its owner
//! can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Reading or writing it failed.
    #[error("cannot use the key file {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the key file {} can be read by others; run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// It holds no key.
    #[error("the key file {} holds no key of 32 bytes in base64", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
}

/// The key in a file; a new one is written where there is none.
///
/// # Errors
/// The file cannot be read or written, is readable by others, or holds something else.
pub fn read_or_generate(path: &Path) -> Result<SecretString, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    if !path.exists() {
        write_new(path).map_err(failed)?;
    }
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
        });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    let text = text.trim();
    let is_key = STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
    if !is_key {
        return Err(KeyFileError::Damaged {
            path: path.to_owned(),
        });
    }
    Ok(text.to_owned().into())
}

/// Written under another name and linked into place, so that of two processes that start at once
/// both use the same key, and a crash leaves no half of one.
fn write_new(path: &Path) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(bytes.as_mut_slice());
    let draft = path.with_extension(format!("draft-{}", uuid::Uuid::now_v7()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", STANDARD.encode(bytes.as_slice()))?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&draft)?;
    linked?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// 32 bytes out of a key that [`read_or_generate`] gave, for a use of its own.
#[must_use]
pub fn to_bytes(key: &SecretString) -> [u8; 32] {
    Sha256::digest(key.expose_secret()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        let first = read_or_generate(&path).unwrap();
        let second = read_or_generate(&path).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_exposed_or_damaged_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        read_or_generate(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            read_or_generate(&path),
            Err(KeyFileError::Exposed { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(matches!(
            read_or_generate(&path),
            Err(KeyFileError::Damaged { .. })
        ));
    }
}
