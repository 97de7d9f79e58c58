//! Master keys: 32 bytes that only the configuration knows.

use std::fmt;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use futures_util::FutureExt as _;
use futures_util::future::ready;
use onerouter_domain::environment::Environment;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::VaultError;
use super::envelope::{self, random};
use super::key_provider::{
    Answer, DataKeyBytes, DataKeyPlace, KEY_BYTES, KeyProvider, WrappedDataKey,
};

/// Bytes of the hash that make an id: enough to tell the few keys of a house apart, and nothing by
/// which a random key could be found.
const ID_BYTES: usize = 8;
/// Keeps the id from being the start of a plain hash of the key.
const ID_LABEL: &[u8] = b"onerouter master key id";

/// A key that wraps data keys.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// The text is no master key. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 bytes in base64 (standard or URL-safe) or 64 hexadecimal digits")]
pub struct ParseMasterKeyError;

impl MasterKey {
    /// Reads a key: base64 of either alphabet, with or without padding, or hexadecimal.
    ///
    /// # Errors
    /// Another form, or not 32 bytes.
    pub fn parse(text: &SecretString) -> Result<Self, ParseMasterKeyError> {
        let text = text.expose_secret().trim();
        let bytes = if text.len() == 2 * KEY_BYTES {
            decode_hex(text)
        } else {
            decode_base64(text)
        }
        .ok_or(ParseMasterKeyError)?;
        Ok(Self::new(bytes))
    }

    /// The text of a new random key.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn generate() -> Result<SecretString, VaultError> {
        let bytes = random::<KEY_BYTES>()?;
        Ok(base64(STANDARD).encode(bytes.as_slice()).into())
    }

    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let hash = Sha256::new()
            .chain_update(ID_LABEL)
            .chain_update(bytes.as_slice())
            .finalize();
        let mut id = String::with_capacity(2 * ID_BYTES);
        for byte in hash.iter().take(ID_BYTES) {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        Self { id, bytes }
    }

    /// Tells keys apart; may be shown.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

fn decode_hex(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
}

fn decode_base64(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let alphabet = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    let decoded = Zeroizing::new(base64(alphabet).decode(text).ok()?);
    let bytes = decoded.as_slice().try_into().ok()?;
    Some(Zeroizing::new(bytes))
}

fn base64(alphabet: base64::alphabet::Alphabet) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet, config)
}

/// Every master key that is configured.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    /// Wraps new data keys, and old ones after a rotation.
    pub current: MasterKey,
    /// The one before, while a rotation is under way: only unwraps.
    pub previous: Option<MasterKey>,
    /// In place of `current` in the live environment.
    pub live: Option<MasterKey>,
    /// In place of `current` in the test environment.
    pub test: Option<MasterKey>,
}

impl MasterKeys {
    /// One key for everything.
    #[must_use]
    pub const fn single(current: MasterKey) -> Self {
        Self {
            current,
            previous: None,
            live: None,
            test: None,
        }
    }

    /// The key that wraps in an environment.
    #[must_use]
    pub fn for_environment(&self, environment: Environment) -> &MasterKey {
        match environment {
            Environment::Live => self.live.as_ref(),
            Environment::Test => self.test.as_ref(),
        }
        .unwrap_or(&self.current)
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&MasterKey> {
        self.all().find(|key| key.id() == id)
    }

    fn all(&self) -> impl Iterator<Item = &MasterKey> {
        [
            Some(&self.current),
            self.previous.as_ref(),
            self.live.as_ref(),
            self.test.as_ref(),
        ]
        .into_iter()
        .flatten()
    }
}

/// In this process, so every answer is there at once.
impl KeyProvider for MasterKeys {
    fn wrapping_key_id(&self, environment: Environment) -> Answer<'_, String> {
        ready(Ok(self.for_environment(environment).id().to_owned())).boxed()
    }

    fn knows(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    fn wrap<'a>(
        &'a self,
        place: &'a DataKeyPlace,
        key: &'a DataKeyBytes,
    ) -> Answer<'a, WrappedDataKey> {
        let master = self.for_environment(place.environment);
        let wrapped = envelope::wrap(master, place, key).map(|bytes| WrappedDataKey {
            key_id: master.id().to_owned(),
            bytes,
        });
        ready(wrapped).boxed()
    }

    fn unwrap<'a>(
        &'a self,
        place: &'a DataKeyPlace,
        wrapped: &'a WrappedDataKey,
    ) -> Answer<'a, DataKeyBytes> {
        let key = match self.find(&wrapped.key_id) {
            Some(master) => envelope::unwrap(master, place, &wrapped.bytes),
            None => Err(VaultError::DataKeyRefused { id: place.id }),
        };
        ready(key).boxed()
    }

    fn describe(&self) -> String {
        let ids: Vec<&str> = self.all().map(MasterKey::id).collect();
        ids.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MasterKey, ParseMasterKeyError> {
        MasterKey::parse(&text.into())
    }

    #[test]
    fn one_key_has_one_id_in_every_form() {
        let hex = "fb".repeat(32);
        let id = parse(&hex).unwrap().id().to_owned();
        for text in [
            hex.to_uppercase().as_str(),
            "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=",
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s=",
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s\n",
        ] {
            assert_eq!(parse(text).unwrap().id(), id, "{text:?}");
        }
        assert_eq!(id.len(), 16);
        assert_ne!(parse(&"00".repeat(32)).unwrap().id(), id);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "secret",
            &"0".repeat(63),
            &"g".repeat(64),
            &"A".repeat(40),
            &"é".repeat(32),
        ] {
            assert_eq!(parse(text).unwrap_err(), ParseMasterKeyError, "{text:?}");
        }
    }

    #[test]
    fn a_generated_key_is_read_back_and_never_shown() {
        let text = MasterKey::generate().unwrap();
        let key = MasterKey::parse(&text).unwrap();
        assert_eq!(format!("{key:?}"), format!("MasterKey({})", key.id()));
    }

    #[test]
    fn an_environment_may_have_its_own_key() {
        let [current, live] = ["00", "11"].map(|byte| parse(&byte.repeat(32)).unwrap());
        let keys = MasterKeys {
            live: Some(live.clone()),
            ..MasterKeys::single(current.clone())
        };
        assert_eq!(keys.for_environment(Environment::Live).id(), live.id());
        assert_eq!(keys.for_environment(Environment::Test).id(), current.id());
        assert!(keys.find(live.id()).is_some());
    }
}
