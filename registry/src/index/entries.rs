//! Entries as texts, from a file or from somebody who is not trusted.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::ENTRY_BYTES_MAX;

/// The least that an entry can be. A list of shorter ones would take far more memory than its text.
const ENTRY_BYTES_MIN: usize = 32;
/// What keeping one takes besides its text: the text's place, its hash.
const KEPT_BESIDES: usize = 64;

/// Entries, each of a length that one can have.
#[derive(Debug, Default)]
pub(crate) struct Entries(pub(crate) Vec<String>);

/// What keeping an entry takes.
pub(crate) fn kept_bytes(entry: &str) -> usize {
    entry.len().saturating_add(KEPT_BESIDES)
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries of an index")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element::<String>()? {
            if !(ENTRY_BYTES_MIN..=ENTRY_BYTES_MAX).contains(&entry.len()) {
                let bytes = entry.len();
                return Err(A::Error::custom(format!("{bytes} bytes are no entry")));
            }
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
