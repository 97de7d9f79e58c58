//! Pairs of texts, metadata among them.

use onerouter_domain::metadata::{self, Metadata};

use super::Fields;

impl Fields<'_> {
    /// Text pairs, in the order of their names.
    pub(crate) fn pairs(&mut self, name: &str, most: usize) -> Option<Vec<(String, String)>> {
        let value = self.value(name)?;
        let mut inner = Self::at(self.pointer(name), value);
        if !inner.is_object {
            self.adopt(inner.mistakes);
            return None;
        }
        let names: Vec<String> = inner.entries.keys().cloned().collect();
        if names.len() > most {
            self.mistake(
                name,
                "too_many",
                format!("may have at most {most} entries; it has {}", names.len()),
            );
            return None;
        }
        let mut pairs = Vec::with_capacity(names.len());
        for key in names {
            if let Some(text) = inner.required_text(&key) {
                pairs.push((key, text));
            }
        }
        self.adopt(inner.mistakes);
        Some(pairs)
    }

    /// As [`Fields::pairs`], and they must be there.
    pub(crate) fn required_pairs(
        &mut self,
        name: &str,
        most: usize,
    ) -> Option<Vec<(String, String)>> {
        if self.require(name) {
            self.pairs(name, most)
        } else {
            None
        }
    }

    /// `metadata`, also under its second name `notes`.
    pub(crate) fn metadata(&mut self) -> Metadata {
        let name = match (self.has("metadata"), self.has("notes")) {
            (true, true) => {
                let detail = "is another name of metadata; give one of them";
                self.mistake("notes", "conflict", detail);
                "metadata"
            }
            (false, true) => "notes",
            (true | false, false) => "metadata",
        };
        let pairs = self.pairs(name, metadata::PAIRS_MAX).unwrap_or_default();
        for other in ["metadata", "notes"] {
            self.entries.remove(other);
        }
        for (key, value) in &pairs {
            if !metadata::key_fits(key) {
                let detail = "the key must be 1 to 64 characters of A-Z, a-z, 0-9, _, . and -";
                self.mistake_in(name, key, "invalid", detail);
            } else if !metadata::value_fits(value) {
                let detail = "the value may have at most 500 characters";
                self.mistake_in(name, key, "too_long", detail);
            }
        }
        Metadata::new(pairs.into_iter().collect()).unwrap_or_default()
    }
}
