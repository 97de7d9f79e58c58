//! A client's copy of the log, which only moves forward.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::head::SignedHead;
use super::view::View;
use super::{Entries, Entry, GENESIS, IndexError, chain};
use crate::digest::Digest;
use crate::keys::PublicKey;
use crate::verify::CLOCK_SKEW;

/// Whether the age of a head matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It must not have expired, nor be older than this.
    Within {
        /// Now.
        now: DateTime<Utc>,
        /// The oldest that it may be, whatever the registry itself allows.
        age_max: TimeDelta,
    },
    /// It does not: a bundle is as old as it is.
    AnyAge,
}

/// A head that goes on from a copy, if the entries between do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    registry: PublicKey,
    head: SignedHead,
    from: u64,
}

impl Seen {
    /// The head.
    #[must_use]
    pub const fn head(&self) -> &SignedHead {
        &self.head
    }

    /// The first entry that is missing. There is none when it equals the head's size.
    #[must_use]
    pub const fn from(&self) -> u64 {
        self.from
    }
}

/// The log as far as it is known, with its meaning. Everything in it has been checked.
#[derive(Debug, Clone)]
pub struct Index {
    registry: PublicKey,
    head: Option<SignedHead>,
    entries: Vec<String>,
    /// The hash after each entry.
    hashes: Vec<Digest>,
    view: View,
}

/// How a copy is kept.
#[derive(Serialize)]
struct Kept<'a> {
    head: Option<String>,
    entries: &'a [String],
}

/// The same as it is read back, from a file that may have been changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restored {
    head: Option<String>,
    entries: Entries,
}

/// Of a kept copy. As much as a client takes by default, with JSON's escapes.
pub const COPY_BYTES_MAX: usize = 512 << 20;

impl Index {
    /// Nothing is known yet of the registry with this key.
    #[must_use]
    pub fn empty(registry: PublicKey) -> Self {
        Self {
            registry,
            head: None,
            entries: Vec::new(),
            hashes: Vec::new(),
            view: View::default(),
        }
    }

    /// What the log says.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The head that was last believed.
    #[must_use]
    pub const fn head(&self) -> Option<&SignedHead> {
        self.head.as_ref()
    }

    /// The registry's key.
    #[must_use]
    pub const fn registry(&self) -> PublicKey {
        self.registry
    }

    /// How many entries are known.
    #[must_use]
    pub fn size(&self) -> u64 {
        count(&self.entries)
    }

    /// Holds a head against the copy.
    ///
    /// # Errors
    /// It is not the registry's, too old, or does not go on from what is known.
    pub fn judge(&self, head: &[u8], freshness: Freshness) -> Result<Seen, IndexError> {
        let signed = SignedHead::open(head, &self.registry)?;
        let head = signed.head();
        if let Freshness::Within { now, age_max } = freshness {
            if head.time.signed_duration_since(now) > CLOCK_SKEW {
                return Err(IndexError::Future { time: head.time });
            }
            let until = head
                .time
                .checked_add_signed(age_max)
                .map_or(head.expires, |oldest| oldest.min(head.expires));
            if until <= now {
                return Err(IndexError::Frozen {
                    time: head.time,
                    until,
                });
            }
        }
        if head.size < self.size() {
            return Err(IndexError::Rollback {
                known: self.size(),
                shown: head.size,
            });
        }
        if head.size == self.size() && head.hash != self.hash() {
            return Err(IndexError::Fork {
                position: head.size,
                known: self.hash(),
                shown: head.hash,
            });
        }
        Ok(Seen {
            registry: self.registry,
            head: signed,
            from: self.size(),
        })
    }

    /// Takes in the entries that lead to a head that [`Index::judge`] has seen. On error nothing is
    /// changed.
    ///
    /// # Errors
    /// They do not lead there ([`Index::explain`] finds out why), or contradict the ones before; or
    /// another registry's copy has judged the head.
    pub fn advance(&mut self, seen: Seen, entries: Vec<String>) -> Result<(), IndexError> {
        if seen.registry != self.registry {
            return Err(IndexError::WrongSignature {
                key: self.registry.id(),
            });
        }
        self.take_in(seen.head, entries)
    }

    fn take_in(&mut self, head: SignedHead, entries: Vec<String>) -> Result<(), IndexError> {
        // The hashes first: what the registry did not sign is not worth a reading.
        let mut hash = self.hashes.last().copied();
        let mut hashes = Vec::with_capacity(entries.len());
        for text in &entries {
            let next = chain(hash, text);
            hash = Some(next);
            hashes.push(next);
        }
        let position = self.size().saturating_add(count(&entries));
        let found = hash.unwrap_or_else(genesis);
        if position != head.head().size || found != head.head().hash {
            return Err(IndexError::Forged {
                position,
                found,
                signed: head.head().hash,
            });
        }
        let mut view = self.view.clone();
        for (position, text) in (self.size()..).zip(&entries) {
            Entry::parse(text)
                .and_then(|entry| view.apply(&entry))
                .map_err(|reason| IndexError::Entry { position, reason })?;
        }
        self.view = view;
        self.hashes.extend(hashes);
        self.entries.extend(entries);
        self.head = Some(head);
        Ok(())
    }

    /// Why entries did not lead to a head, given all of them from the first on: either the registry
    /// has signed another history than the known one, or these are not the entries that it signed.
    #[must_use]
    pub fn explain(&self, head: &SignedHead, all: &[String]) -> IndexError {
        let signed = head.head();
        let mut hash = None;
        let mut fork = None;
        let mut known = self.hashes.iter();
        for (position, text) in (1_u64..).zip(all) {
            let shown = chain(hash, text);
            hash = Some(shown);
            if let (None, Some(known)) = (&fork, known.next())
                && *known != shown
            {
                fork = Some(IndexError::Fork {
                    position,
                    known: *known,
                    shown,
                });
            }
        }
        let position = count(all);
        let found = hash.unwrap_or_else(genesis);
        let complete = found == signed.hash && position == signed.size;
        fork.filter(|_| complete).unwrap_or(IndexError::Forged {
            position,
            found,
            signed: signed.hash,
        })
    }

    /// Holds a copy from elsewhere (a bundle's) against this one: one must go on from the other.
    ///
    /// # Errors
    /// They tell different histories.
    pub fn agrees_with(&self, other: &Self) -> Result<(), IndexError> {
        let shared = self.hashes.iter().zip(&other.hashes);
        let differing = (1_u64..)
            .zip(shared)
            .find(|(_, (own, theirs))| own != theirs);
        match differing {
            None => Ok(()),
            Some((position, (own, theirs))) => Err(IndexError::Fork {
                position,
                known: *own,
                shown: *theirs,
            }),
        }
    }

    /// The copy as it is kept in a file or a bundle.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let kept = Kept {
            head: self
                .head
                .as_ref()
                .map(|head| String::from_utf8_lossy(&head.to_json()).into_owned()),
            entries: &self.entries,
        };
        // Texts only: there is nothing that JSON could not hold.
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Reads a kept copy, and checks all of it again: the file may have been changed.
    ///
    /// # Errors
    /// It is none, or not this registry's.
    pub fn restore(json: &[u8], registry: PublicKey) -> Result<Self, IndexError> {
        if json.len() > COPY_BYTES_MAX {
            let reason = format!("it has more than {COPY_BYTES_MAX} bytes");
            return Err(IndexError::Copy(reason));
        }
        let kept: Restored =
            serde_json::from_slice(json).map_err(|error| IndexError::Copy(error.to_string()))?;
        let Entries(entries) = kept.entries;
        let mut index = Self::empty(registry);
        match kept.head {
            Some(head) => {
                let head = SignedHead::open(head.as_bytes(), &registry)?;
                index.take_in(head, entries)?;
                Ok(index)
            }
            None if entries.is_empty() => Ok(index),
            None => Err(IndexError::Copy("it has entries but no head".to_owned())),
        }
    }

    fn hash(&self) -> Digest {
        self.hashes.last().copied().unwrap_or_else(genesis)
    }
}

/// The hash of the empty log.
fn genesis() -> Digest {
    Digest::of(GENESIS.as_bytes())
}

fn count(entries: &[String]) -> u64 {
    u64::try_from(entries.len()).unwrap_or(u64::MAX)
}
