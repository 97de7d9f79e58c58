//! HashiCorp Vault as a provider: its transit engine wraps data keys by keys that never leave it.
//!
//! The settings and the ids of keys are always there, so that a program that was built without the
//! feature `hashicorp-vault` can say what is missing. The client is behind the feature.

#[cfg(feature = "hashicorp-vault")]
mod client;
#[cfg(feature = "hashicorp-vault")]
mod transit;

use std::fmt;
use std::path::PathBuf;

use onerouter_domain::environment::Environment;
use secrecy::SecretString;

#[cfg(feature = "hashicorp-vault")]
pub use client::ClientError;
#[cfg(feature = "hashicorp-vault")]
pub use transit::Transit;

/// Starts the id of every key of the transit engine.
const ID_PREFIX: &str = "hashicorp-vault:";

/// Where it is, and with which keys it is asked to wrap.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://vault.example:8200`
    pub address: String,
    /// What it knows us by.
    pub token: Token,
    /// The namespace, where there are some.
    pub namespace: Option<String>,
    /// Where the transit engine is mounted.
    pub mount: String,
    /// Certificates of those who may sign its own, in PEM, in place of the bundled ones.
    pub ca_file: Option<PathBuf>,
    /// Names of keys.
    pub keys: TransitKeys,
}

/// Where the token is.
#[derive(Debug, Clone)]
pub enum Token {
    /// Here.
    Text(SecretString),
    /// In a file, which is read for every call: an agent writes a new one before the old one ends.
    File(PathBuf),
}

/// Names of keys of the transit engine.
#[derive(Debug, Clone, Default)]
pub struct TransitKeys {
    /// Wraps new data keys, and old ones after a rotation.
    pub current: Option<String>,
    /// The one before: only unwraps.
    pub previous: Option<String>,
    /// In place of `current` in the live environment.
    pub live: Option<String>,
    /// In place of `current` in the test environment.
    pub test: Option<String>,
}

impl TransitKeys {
    /// Whether data keys are to be wrapped by it, and not only unwrapped.
    #[must_use]
    pub const fn wraps(&self) -> bool {
        self.current.is_some() || self.live.is_some() || self.test.is_some()
    }

    /// The key that wraps in an environment.
    #[must_use]
    pub fn for_environment(&self, environment: Environment) -> Option<&str> {
        match environment {
            Environment::Live => self.live.as_deref(),
            Environment::Test => self.test.as_deref(),
        }
        .or(self.current.as_deref())
    }

    /// Every name.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.current, &self.previous, &self.live, &self.test]
            .into_iter()
            .filter_map(Option::as_deref)
    }
}

/// A version of a key of the transit engine. The mount is not in it, so that the engine can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitKeyId<'a> {
    /// The key.
    pub name: &'a str,
    /// From 1 on; rotating the key in the transit engine makes the next.
    pub version: u64,
}

impl<'a> TransitKeyId<'a> {
    /// Reads what `Display` gives; none where it is the id of another provider's key.
    #[must_use]
    pub fn parse(id: &'a str) -> Option<Self> {
        let (name, version) = id.strip_prefix(ID_PREFIX)?.rsplit_once(":v")?;
        Some(Self {
            name,
            version: version.parse().ok()?,
        })
    }
}

impl fmt::Display for TransitKeyId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ID_PREFIX}{}:v{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_the_key_and_its_version() {
        let id = TransitKeyId {
            name: "onerouter:v2",
            version: 12,
        };
        let text = id.to_string();
        assert_eq!(text, "hashicorp-vault:onerouter:v2:v12");
        assert_eq!(TransitKeyId::parse(&text), Some(id));
        for other in [
            "0123456789abcdef",
            "hashicorp-vault:onerouter",
            "hashicorp-vault:onerouter:v",
            "hashicorp-vault:onerouter:v-1",
        ] {
            assert_eq!(TransitKeyId::parse(other), None, "{other}");
        }
    }
}
