//! A registry's side of the log.

use chrono::TimeDelta;
use onerouter_registry::index::{Entry, Event, Freshness, Head, Index, IndexError, chain};
use onerouter_registry::{Digest, KeyPair};

use crate::support::{at, name, statement};

/// A registry's side of the log.
pub(crate) struct Log {
    pub(crate) registry: KeyPair,
    pub(crate) publisher: KeyPair,
    pub(crate) entries: Vec<String>,
}

impl Log {
    pub(crate) fn new() -> Self {
        let mut log = Self {
            registry: KeyPair::generate(),
            publisher: KeyPair::generate(),
            entries: Vec::new(),
        };
        log.push(Event::KeyAdded {
            name: name("acme-texts"),
            key: log.publisher.public(),
        });
        log
    }

    pub(crate) fn push(&mut self, event: Event) {
        let entry = Entry { at: at(0), event };
        self.entries.push(entry.to_text().unwrap());
    }

    pub(crate) fn published(&self, version: &str) -> Event {
        let component = version.as_bytes();
        let signed = statement(&self.publisher, "acme-texts", version, component)
            .sign(&self.publisher)
            .unwrap();
        Event::Published {
            name: name("acme-texts"),
            version: version.parse().unwrap(),
            component: Digest::of(component),
            manifest: Digest::of(b"manifest"),
            statement: String::from_utf8(signed.to_json()).unwrap(),
        }
    }

    pub(crate) fn publish(&mut self, version: &str) {
        self.push(self.published(version));
    }

    pub(crate) fn yank(&mut self, version: &str) {
        self.push(Event::Yanked {
            name: name("acme-texts"),
            version: version.parse().unwrap(),
            reason: "it sends twice".to_owned(),
        });
    }

    pub(crate) fn hash(&self, size: usize) -> Digest {
        let mut hash = None;
        for entry in &self.entries[..size] {
            hash = Some(chain(hash, entry));
        }
        hash.unwrap()
    }

    /// A head over the first entries, signed so many seconds after the tests' time.
    pub(crate) fn head_of(&self, size: usize, seconds: i64) -> Vec<u8> {
        let head = Head {
            size: size as u64,
            hash: self.hash(size),
            time: at(seconds),
            expires: at(seconds) + TimeDelta::days(1),
        };
        head.sign(&self.registry).to_json()
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        self.head_of(self.entries.len(), 0)
    }

    pub(crate) fn client(&self) -> Index {
        let mut index = Index::empty(self.registry.public());
        self.update(&mut index).unwrap();
        index
    }

    pub(crate) fn update(&self, index: &mut Index) -> Result<(), IndexError> {
        let seen = index.judge(&self.head(), now())?;
        let from = usize::try_from(seen.from()).unwrap();
        index.advance(seen, self.entries[from..].to_vec())
    }
}

pub(crate) fn now() -> Freshness {
    Freshness::Within {
        now: at(0),
        age_max: TimeDelta::days(1),
    }
}
