//! Whose keys count: those that a registry lists, and those that the operator trusts.

use std::collections::{BTreeMap, BTreeSet};

use onerouter_manifest::PluginId;

use crate::keys::KeyId;

/// What a registry says about a key for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStanding {
    /// It may publish under the name.
    Active,
    /// It may no longer, whatever it has signed before.
    Revoked {
        /// As the publisher gave it.
        reason: String,
    },
    /// It was never listed for the name.
    Unlisted,
}

/// Who may publish under which name.
pub trait KeyList {
    /// What is known of this key for this name.
    fn standing(&self, name: &PluginId, key: KeyId) -> KeyStanding;
}

/// Whom the operator trusts.
///
/// A key may be trusted for every name or for one. Once a name has keys of its own, only those
/// count for it: that is what makes trust on first use worth anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    every_name: BTreeSet<KeyId>,
    of_name: BTreeMap<PluginId, BTreeSet<KeyId>>,
    never: BTreeSet<KeyId>,
    first_use: bool,
}

/// Why a key is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedBy {
    /// The operator named it.
    Operator,
    /// It is the first one seen for the name. Whoever installs keeps it, with
    /// [`Trust::key_for`], so that the next one must be the same.
    FirstUse,
}

impl Trust {
    /// Nobody is trusted.
    #[must_use]
    pub fn nobody() -> Self {
        Self::default()
    }

    /// Trusts a key under whatever name a registry lists it for.
    #[must_use]
    pub fn key(mut self, key: KeyId) -> Self {
        self.every_name.insert(key);
        self
    }

    /// Trusts a key for one name, and for that name only keys that were named so.
    #[must_use]
    pub fn key_for(mut self, name: PluginId, key: KeyId) -> Self {
        self.of_name.entry(name).or_default().insert(key);
        self
    }

    /// Trusts a key for nothing, whatever else is said of it, and whenever that is said.
    #[must_use]
    pub fn never(mut self, key: KeyId) -> Self {
        self.never.insert(key);
        self
    }

    /// Trusts the first key that is seen for a name which has none of its own.
    #[must_use]
    pub const fn on_first_use(mut self) -> Self {
        self.first_use = true;
        self
    }

    /// Why this key is trusted for this name, if it is.
    #[must_use]
    pub fn find(&self, name: &PluginId, key: KeyId) -> Option<TrustedBy> {
        if self.never.contains(&key) {
            return None;
        }
        match self.of_name.get(name) {
            Some(own) => own.contains(&key).then_some(TrustedBy::Operator),
            None if self.every_name.contains(&key) => Some(TrustedBy::Operator),
            None => self.first_use.then_some(TrustedBy::FirstUse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyPair;

    #[test]
    fn a_name_with_keys_of_its_own_knows_no_others() {
        let name = |text: &str| PluginId::try_from(text.to_owned()).unwrap();
        let (own, common) = (
            KeyPair::generate().public().id(),
            KeyPair::generate().public().id(),
        );
        let trust = Trust::nobody()
            .key(common)
            .key_for(name("acme"), own)
            .on_first_use();
        assert_eq!(trust.find(&name("acme"), own), Some(TrustedBy::Operator));
        assert_eq!(trust.find(&name("acme"), common), None);
        assert_eq!(
            trust.find(&name("other"), common),
            Some(TrustedBy::Operator)
        );
        assert_eq!(trust.find(&name("other"), own), Some(TrustedBy::FirstUse));
        assert_eq!(Trust::nobody().find(&name("acme"), own), None);
    }

    #[test]
    fn a_key_that_is_never_trusted_is_not_whatever_else_is_said() {
        let name = |text: &str| PluginId::try_from(text.to_owned()).unwrap();
        let (bad, good) = (
            KeyPair::generate().public().id(),
            KeyPair::generate().public().id(),
        );
        let trust = Trust::nobody()
            .never(bad)
            .key(bad)
            .key_for(name("acme"), bad)
            .on_first_use();
        assert_eq!(trust.find(&name("acme"), bad), None);
        assert_eq!(trust.find(&name("other"), bad), None);
        assert_eq!(trust.find(&name("other"), good), Some(TrustedBy::FirstUse));
    }
}
