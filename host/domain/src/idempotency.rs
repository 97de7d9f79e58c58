//! Keys by which a caller's repeated request is known, and ours toward providers.

use std::fmt;

/// A caller's `Idempotency-Key`: 1–255 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 printable ASCII characters, bare or in double quotes")]
pub struct ParseKeyError;

impl IdempotencyKey {
    /// Reads the bare form or the quoted one of structured fields (`"…"` with `\"` and `\\`).
    ///
    /// # Errors
    /// Empty, too long, or with characters outside printable ASCII.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        let bare = match text.strip_prefix('"') {
            Some(rest) => unquote(rest)?,
            None => text.to_owned(),
        };
        let printable = bare.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        if !printable || bare.trim().is_empty() || bare.len() > 255 {
            return Err(ParseKeyError);
        }
        Ok(Self(bare))
    }

    /// The key without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn unquote(rest: &str) -> Result<String, ParseKeyError> {
    let mut bare = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(bare),
            '"' => return Err(ParseKeyError),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => bare.push(escaped),
                _ => return Err(ParseKeyError),
            },
            plain => bare.push(plain),
        }
    }
    Err(ParseKeyError)
}

/// Our key toward a provider: derived from (object, operation, step), so the same over all
/// attempts, nodes and restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderKey(String);

impl ProviderKey {
    /// The key of one step of an operation on an object.
    #[must_use]
    pub fn derive(object: impl fmt::Display, operation: &str, step: u32) -> Self {
        Self(format!("{object}-{operation}-{step}"))
    }

    /// The key as text: `[A-Za-z0-9_-]`, under 100 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_and_quoted_keys_are_the_same() {
        assert_eq!(
            IdempotencyKey::parse("a-1"),
            IdempotencyKey::parse("\"a-1\"")
        );
        assert_eq!(
            IdempotencyKey::parse(r#""a\"b\\""#).unwrap().as_str(),
            r#"a"b\"#
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "x".repeat(256);
        for text in [
            "",
            " ",
            "\"\"",
            "\"a",
            "\"a\"b",
            "a\nb",
            "é",
            "\"\\x\"",
            long.as_str(),
        ] {
            assert_eq!(IdempotencyKey::parse(text), Err(ParseKeyError), "{text:?}");
        }
        assert!(IdempotencyKey::parse(&"x".repeat(255)).is_ok());
    }
}
