//! What can be wrong with an index, and why a version cannot be chosen.

use chrono::{DateTime, Utc};
use onerouter_manifest::PluginId;
use semver::{Version, VersionReq};

use crate::digest::Digest;
use crate::envelope::EnvelopeError;
use crate::keys::KeyId;
use crate::statement::StatementError;

/// Why an index is not believed. The copy that a client has stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The head is none.
    #[error("the head of the index cannot be used: {0}")]
    Malformed(#[from] EnvelopeError),
    /// What is in its envelope is no head.
    #[error("the head of the index cannot be read: {0}")]
    Syntax(String),
    /// Somebody else signed it.
    #[error(
        "the head of the index is not signed with the registry's key {key}: this is another registry, or somebody stands in between"
    )]
    WrongSignature {
        /// The key that was expected.
        key: KeyId,
    },
    /// The registry shows less than before.
    #[error(
        "the index was rolled back: {known} entries are known, the registry shows {shown}; something that was published or revoked is being kept from this machine"
    )]
    Rollback {
        /// How many are known.
        known: u64,
        /// How many it shows now.
        shown: u64,
    },
    /// The registry shows another history.
    #[error(
        "the index was forked: entry {position} is {known} here, and the registry now shows {shown}; it tells others another history, do not install from it"
    )]
    Fork {
        /// After how many entries.
        position: u64,
        /// The hash that is known.
        known: Digest,
        /// The one that it shows now.
        shown: Digest,
    },
    /// The head is old.
    #[error(
        "the index is frozen: its head is of {time} and held until {until}; the registry, or somebody in between, keeps news from this machine, or a clock is wrong"
    )]
    Frozen {
        /// When it was signed.
        time: DateTime<Utc>,
        /// Until when it was good.
        until: DateTime<Utc>,
    },
    /// The head comes from the future.
    #[error("the head of the index is of {time}, which is yet to come; check this machine's clock")]
    Future {
        /// When it was signed.
        time: DateTime<Utc>,
    },
    /// The entries do not lead to the head.
    #[error(
        "the entries of the index are not those that the registry signed: after {position} of them the hash is {found}, not {signed}"
    )]
    Forged {
        /// How many.
        position: u64,
        /// What they lead to.
        found: Digest,
        /// What was signed.
        signed: Digest,
    },
    /// An entry contradicts the ones before it.
    #[error("entry {position} of the index cannot be right: {reason}")]
    Entry {
        /// Which one, counted from 0.
        position: u64,
        /// Why.
        reason: ViewError,
    },
    /// A kept copy is none.
    #[error("the kept copy of the index cannot be read: {0}")]
    Copy(String),
}

/// Why an entry cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// Too long.
    #[error("it has {0} bytes")]
    TooLarge(usize),
    /// Not an entry, or of a kind that this program does not know.
    #[error("it cannot be read, perhaps because it is newer than this program: {0}")]
    Syntax(String),
    /// A key that is there already.
    #[error("the key {key} was added to {name} before")]
    KeyAgain {
        /// The name.
        name: PluginId,
        /// The key.
        key: KeyId,
    },
    /// A key that is not there, or was revoked.
    #[error("the key {key} is no active key of {name}")]
    NoSuchKey {
        /// The name.
        name: PluginId,
        /// The key.
        key: KeyId,
    },
    /// A version that is there already: versions never change.
    #[error("{name} {version} was published before")]
    VersionAgain {
        /// The plugin.
        name: PluginId,
        /// The version.
        version: Version,
    },
    /// A version that is not there.
    #[error("{name} {version} was never published")]
    NoSuchVersion {
        /// The plugin.
        name: PluginId,
        /// The version.
        version: Version,
    },
    /// The statement of a version is none.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The statement of a version is not its publisher's, or is about something else.
    #[error("the statement of {name} {version} does not say what the entry says")]
    OtherStatement {
        /// The plugin.
        name: PluginId,
        /// The version.
        version: Version,
    },
}

/// Why no version can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// `NAME@RANGE` is not of that form.
    #[error("\"{given}\" is not NAME or NAME@RANGE: {reason}")]
    Syntax {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody has published under that name.
    #[error("no plugin is called {0}; look for it with a search")]
    UnknownName(PluginId),
    /// There are versions, but none of them fits.
    #[error("no version of {name} fits {range}; there are {}", listed(.versions))]
    NoneFits {
        /// The plugin.
        name: PluginId,
        /// What was asked for.
        range: VersionReq,
        /// The newest that there are.
        versions: Vec<Version>,
    },
    /// All that fit were yanked.
    #[error(
        "every version of {name} that fits {range} was yanked ({version}: {reason}); ask for {name}@={version} to have it all the same"
    )]
    Yanked {
        /// The plugin.
        name: PluginId,
        /// What was asked for.
        range: VersionReq,
        /// The newest that was yanked.
        version: Version,
        /// Why it was.
        reason: String,
    },
}

fn listed(versions: &[Version]) -> String {
    if versions.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<String> = versions.iter().map(Version::to_string).collect();
    texts.join(", ")
}
