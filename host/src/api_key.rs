//! API keys: `unf_test_…` and `unf_live_…`.
//!
//! 32 random characters (190 bits) and a checksum of 6, so that a typo is told from a revoked key
//! without a look at the database. Only the SHA-256 of the whole text is stored: the key is random,
//! a slow hash would protect nothing.

use std::fmt;

use onerouter_domain::environment::Environment;
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 6;

/// A whole key. Shown once, never stored.
pub struct ApiKey {
    text: SecretString,
    environment: Environment,
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseApiKeyError {
    /// Not even the form.
    #[error("API keys start with unf_test_ or unf_live_ and have 47 characters")]
    Form,
    /// The form, but the checksum does not fit.
    #[error("the key is mistyped: its checksum does not fit")]
    Checksum,
}

impl ApiKey {
    /// A new random key.
    #[must_use]
    pub fn generate(environment: Environment) -> Self {
        let mut text = prefix(environment).to_owned();
        let mut random = rand::rng();
        for _ in 0..RANDOM_LENGTH {
            text.push(digit(random.random_range(0..62)));
        }
        let sum = checksum(&text);
        text.push_str(&sum);
        Self {
            text: text.into(),
            environment,
        }
    }

    /// Reads a key that a caller sent.
    ///
    /// # Errors
    /// Another form, or a checksum that does not fit.
    pub fn parse(text: &str) -> Result<Self, ParseApiKeyError> {
        let environment = [Environment::Test, Environment::Live]
            .into_iter()
            .find(|environment| text.starts_with(prefix(*environment)))
            .ok_or(ParseApiKeyError::Form)?;
        let length = prefix(environment).len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
        if text.len() != length || !text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return Err(ParseApiKeyError::Form);
        }
        let (body, sum) = text
            .split_at_checked(length - CHECKSUM_LENGTH)
            .ok_or(ParseApiKeyError::Form)?;
        if !bool::from(checksum(body).as_bytes().ct_eq(sum.as_bytes())) {
            return Err(ParseApiKeyError::Checksum);
        }
        Ok(Self {
            text: text.into(),
            environment,
        })
    }

    /// Which environment the key opens.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The whole text, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What is stored in its place.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }

    /// The part that may be shown: `unf_test_`.
    #[must_use]
    pub const fn prefix(&self) -> &'static str {
        prefix(self.environment)
    }

    /// The last four characters, which may be shown.
    #[must_use]
    pub fn last4(&self) -> &str {
        let text = self.expose();
        text.get(text.len().saturating_sub(4)..).unwrap_or_default()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.prefix())
    }
}

const fn prefix(environment: Environment) -> &'static str {
    match environment {
        Environment::Test => "unf_test_",
        Environment::Live => "unf_live_",
    }
}

fn digit(value: usize) -> char {
    BASE62.get(value).copied().map_or('0', char::from)
}

fn checksum(body: &str) -> String {
    let hash = Sha256::digest(body.as_bytes());
    let mut value = hash
        .iter()
        .take(8)
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let mut sum = String::with_capacity(CHECKSUM_LENGTH);
    for _ in 0..CHECKSUM_LENGTH {
        sum.push(digit(usize::try_from(value % 62).unwrap_or_default()));
        value /= 62;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back() {
        let key = ApiKey::generate(Environment::Live);
        let read = ApiKey::parse(key.expose()).unwrap();
        assert_eq!(read.environment(), Environment::Live);
        assert_eq!(read.hash(), key.hash());
        assert!(key.expose().ends_with(key.last4()));
        assert!(!format!("{key:?}").contains(key.last4()));
    }

    #[test]
    fn a_typo_is_told_from_another_form() {
        let key = ApiKey::generate(Environment::Test);
        let mut typo = key.expose().to_owned();
        let replaced = if typo.as_bytes()[12] == b'x' {
            "y"
        } else {
            "x"
        };
        typo.replace_range(12..13, replaced);
        assert_eq!(
            ApiKey::parse(&typo).unwrap_err(),
            ParseApiKeyError::Checksum
        );
        for form in [
            "",
            "sk_test_1",
            "unf_test_",
            "unf_prod_x",
            &format!("{}0", key.expose()),
        ] {
            assert_eq!(
                ApiKey::parse(form).unwrap_err(),
                ParseApiKeyError::Form,
                "{form}"
            );
        }
    }
}
