//! A caller's own string pairs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Pairs that an object may carry.
pub const PAIRS_MAX: usize = 50;
/// Characters of a key.
pub const KEY_LENGTH_MAX: usize = 64;
/// Characters of a value.
pub const VALUE_LENGTH_MAX: usize = 500;

/// Checked pairs: at most 50, keys `[A-Za-z0-9_.-]{1,64}`, values to 500 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Takes pairs that a caller has checked one by one with [`key_fits`] and [`value_fits`].
    ///
    /// # Errors
    /// The first pair that breaks a rule, or an empty text when there are too many.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, String> {
        if pairs.len() > PAIRS_MAX {
            return Err(String::new());
        }
        match pairs
            .iter()
            .find(|(key, value)| !key_fits(key) || !value_fits(value))
        {
            Some((key, _)) => Err(key.clone()),
            None => Ok(Self(pairs)),
        }
    }

    /// The pairs.
    #[must_use]
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// Whether a key keeps the rule.
#[must_use]
pub fn key_fits(key: &str) -> bool {
    (1..=KEY_LENGTH_MAX).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Whether a value keeps the rule.
#[must_use]
pub fn value_fits(value: &str) -> bool {
    value.chars().count() <= VALUE_LENGTH_MAX && !value.contains('\0')
}
