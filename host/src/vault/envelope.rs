//! The bytes: AES-256-GCM with random nonces.
//!
//! A ciphertext is `version (1) ‖ data key id (16) ‖ nonce (12) ‖ encrypted ‖ tag (16)`, a wrapped
//! data key `version (1) ‖ nonce (12) ‖ encrypted (32) ‖ tag (16)`.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use rand::TryRng as _;
use rand::rngs::SysRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::key_provider::{DataKeyBytes, DataKeyPlace, KEY_BYTES};
use super::master_key::MasterKey;
use super::{SecretPlace, VaultError};

const NONCE_BYTES: usize = 12;
const VERSION: u8 = 1;

/// A data key, ready for use. Its cipher is wiped when dropped.
pub(super) struct DataKey {
    id: Uuid,
    cipher: Aes256Gcm,
}

impl DataKey {
    pub(super) fn new(id: Uuid, bytes: &[u8; KEY_BYTES]) -> Self {
        Self {
            id,
            cipher: Aes256Gcm::new(bytes.into()),
        }
    }

    pub(super) fn encrypt(
        &self,
        place: &SecretPlace<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let header = [&[VERSION], self.id.as_bytes().as_slice()].concat();
        seal(&self.cipher, &header, &self.bound_to(place), plaintext)
    }

    pub(super) fn decrypt(
        &self,
        place: &SecretPlace<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (_, sealed) = split_id(ciphertext)?;
        open(&self.cipher, &self.bound_to(place), sealed)?.ok_or(VaultError::Refused)
    }

    /// Only the last part varies in length, so no two places look alike.
    fn bound_to(&self, place: &SecretPlace<'_>) -> Vec<u8> {
        [
            b"onerouter secret".as_slice(),
            &[VERSION],
            self.id.as_bytes(),
            place.tenant.uuid().as_bytes(),
            place.environment.as_str().as_bytes(),
            place.connection.uuid().as_bytes(),
            place.field.as_bytes(),
        ]
        .concat()
    }
}

/// Which data key a ciphertext needs.
pub(super) fn data_key_id(ciphertext: &[u8]) -> Result<Uuid, VaultError> {
    split_id(ciphertext).map(|(id, _)| id)
}

fn split_id(ciphertext: &[u8]) -> Result<(Uuid, &[u8]), VaultError> {
    let rest = strip_version(ciphertext)?;
    let (id, sealed) = rest.split_first_chunk().ok_or(VaultError::Malformed)?;
    Ok((Uuid::from_bytes(*id), sealed))
}

/// Encrypts a data key by a master key, bound to its place.
pub(super) fn wrap(
    master: &MasterKey,
    place: &DataKeyPlace,
    key: &DataKeyBytes,
) -> Result<Vec<u8>, VaultError> {
    let cipher = Aes256Gcm::new(master.bytes().into());
    seal(
        &cipher,
        &[VERSION],
        &place.associated_data(),
        key.as_slice(),
    )
}

/// Decrypts what [`wrap`] gave.
pub(super) fn unwrap(
    master: &MasterKey,
    place: &DataKeyPlace,
    wrapped: &[u8],
) -> Result<DataKeyBytes, VaultError> {
    let refused = || VaultError::DataKeyRefused { id: place.id };
    let cipher = Aes256Gcm::new(master.bytes().into());
    let sealed = strip_version(wrapped)?;
    let key = open(&cipher, &place.associated_data(), sealed)?.ok_or_else(refused)?;
    key.as_slice()
        .try_into()
        .ok()
        .map(Zeroizing::new)
        .ok_or_else(refused)
}

fn strip_version(bytes: &[u8]) -> Result<&[u8], VaultError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        _ => Err(VaultError::Malformed),
    }
}

fn seal(cipher: &Aes256Gcm, header: &[u8], aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, VaultError> {
    let nonce = random::<NONCE_BYTES>()?;
    let sealed = cipher
        .encrypt(&Nonce::from(*nonce), Payload { msg, aad })
        // Only for messages of 64 GiB.
        .or(Err(VaultError::Malformed))?;
    Ok([header, nonce.as_slice(), &sealed].concat())
}

/// `nonce ‖ encrypted ‖ tag`; none when the tag does not fit.
fn open(
    cipher: &Aes256Gcm,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let (nonce, msg) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(VaultError::Malformed)?;
    Ok(cipher
        .decrypt(&Nonce::from(*nonce), Payload { msg, aad })
        .ok()
        .map(Zeroizing::new))
}

/// From the operating system, not from a generator of ours: these outlive the process.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    SysRng
        .try_fill_bytes(bytes.as_mut_slice())
        .or(Err(VaultError::Random))?;
    Ok(bytes)
}
