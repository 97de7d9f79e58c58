//! Publisher keys: ed25519, their text forms, and the files that they are kept in.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub(crate) const SIGNATURE_BYTES: usize = 64;

const PREFIX: &str = "ed25519:";

/// A key file has some 120 bytes.
const FILE_BYTES_MAX: u64 = 4 << 10;

/// A publisher's, or a registry's, secret key with its public half. The secret is wiped on drop.
#[derive(Clone)]
pub struct KeyPair(SigningKey);

impl KeyPair {
    /// A new key, from the system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// The half that may be shown.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }

    /// Writes a new key file: PKCS#8 in PEM, as `openssl pkey` reads it, for its owner only. A file
    /// that is there already is never replaced: it may be the only copy of a key.
    ///
    /// # Errors
    /// The file exists, or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let pem = self
            .0
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| KeyFileError::invalid(path, error.to_string()))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |source| KeyFileError::io("write", path, source);
        let mut file = options.open(path).map_err(failed)?;
        let written = file
            .write_all(pem.as_bytes())
            .and_then(|()| file.sync_all());
        if written.is_err() {
            // Ours, and no key: it would stand in the way of the next attempt. What failed is said.
            let _gone = fs::remove_file(path);
        }
        written.map_err(failed)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// It cannot be read, others may read it too, or it holds no ed25519 key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::io("read", path, source);
        let file = fs::File::open(path).map_err(failed)?;
        refuse_shared(&file, path)?;
        let mut pem = String::new();
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut pem)
            .map_err(failed)?;
        SigningKey::from_pkcs8_pem(&pem)
            .map(Self)
            .map_err(|error| KeyFileError::invalid(path, error.to_string()))
    }
}

impl fmt::Debug for KeyPair {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyPair").field(&self.public()).finish()
    }
}

#[cfg(unix)]
fn refuse_shared(file: &fs::File, path: &Path) -> Result<(), KeyFileError> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file
        .metadata()
        .map_err(|source| KeyFileError::io("read", path, source))?;
    if metadata.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyFileError::Shared {
            path: path.to_owned(),
            mode: metadata.mode() & 0o777,
        })
    }
}

#[cfg(not(unix))]
fn refuse_shared(_: &fs::File, _: &Path) -> Result<(), KeyFileError> {
    Ok(())
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be opened, read or written.
    #[error("cannot {operation} the key file {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Whoever can read it can publish in this name.
    #[error(
        "the key file {} may be read by others (mode {mode:03o}); run `chmod 600` on it, and consider whether the key is still yours alone",
        path.display()
    )]
    Shared {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Something else is in it.
    #[error("the file {} holds no ed25519 key in PKCS#8 PEM: {reason}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The decoder's words.
        reason: String,
    },
}

impl KeyFileError {
    fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    fn invalid(path: &Path, reason: String) -> Self {
        Self::Invalid {
            path: path.to_owned(),
            reason,
        }
    }
}

/// A public key: `ed25519:` and 43 characters of unpadded URL-safe Base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

/// A text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a public key is \"ed25519:\" and 43 characters of unpadded URL-safe Base64, of a point that is no weak key"
)]
pub struct InvalidKey;

impl PublicKey {
    /// Its fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(self.0.as_bytes()))
    }

    /// Strict: refuses keys and signatures that the curve's cofactor would let stand for more than
    /// one message, which the plain check of RFC 8032 leaves open.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.0
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InvalidKey)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_error| InvalidKey)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_bytes| InvalidKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_error| InvalidKey)?;
        // A weak key "signs" many messages at once. One key has one text: `to_bytes` gives back what
        // was read, which need not be the canonical encoding of its point.
        if key.is_weak() || key.to_edwards().compress().to_bytes() != bytes {
            return Err(InvalidKey);
        }
        Ok(Self(key))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// A key's fingerprint: the SHA-256 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for KeyId {
    type Err = crate::InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_back_and_belongs_to_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = KeyPair::generate();
        key.write_new(&path).unwrap();
        assert_eq!(KeyPair::read(&path).unwrap().public(), key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(
                KeyPair::read(&path),
                Err(KeyFileError::Shared { mode: 0o640, .. })
            ));
        }
    }

    #[test]
    fn a_key_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let first = KeyPair::generate();
        first.write_new(&path).unwrap();
        assert!(matches!(
            KeyPair::generate().write_new(&path),
            Err(KeyFileError::Io {
                operation: "write",
                ..
            })
        ));
        assert_eq!(KeyPair::read(&path).unwrap().public(), first.public());
    }

    #[test]
    fn a_public_key_has_one_text() {
        let key = KeyPair::generate().public();
        assert_eq!(key.to_string().parse(), Ok(key));
        let text = key.to_string();
        for other in [
            text.replace("ed25519:", "rsa:"),
            text.replace("ed25519:", ""),
            format!("{text}="),
            format!("{text}A"),
        ] {
            assert_eq!(other.parse::<PublicKey>(), Err(InvalidKey), "{other}");
        }
    }

    #[test]
    fn weak_keys_are_refused() {
        // The neutral point: with it, one signature fits every message in the plain check.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let text = format!("ed25519:{}", URL_SAFE_NO_PAD.encode(neutral));
        assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let key = KeyPair::generate();
        let seed = URL_SAFE_NO_PAD.encode(key.0.to_bytes());
        assert!(!format!("{key:?}").contains(&seed));
    }
}
