//! All that must hold before a component is believed to be what it says it is.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_manifest::{Manifest, PluginId};
use semver::Version;

use crate::digest::Digest;
use crate::keys::{KeyId, PublicKey};
use crate::statement::{Statement, StatementError};
use crate::trust::{KeyList, KeyStanding, Trust, TrustedBy};

/// How far two honest clocks may be apart.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Whose keys a registry lists, and what follows for one that it does not.
#[derive(Clone, Copy)]
pub enum Listing<'a> {
    /// The key must be listed for the name, and not revoked: for what comes from the registry.
    Required(&'a dyn KeyList),
    /// It must not be revoked; one that is not listed is for the operator's trust alone. For what
    /// comes from elsewhere, where a registry is known.
    RevocationsOnly(&'a dyn KeyList),
    /// No registry is known, so only the operator's trust decides.
    NoRegistry,
}

impl fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required(_) => "Required",
            Self::RevocationsOnly(_) => "RevocationsOnly",
            Self::NoRegistry => "NoRegistry",
        })
    }
}

impl Listing<'_> {
    fn standing(&self, name: &PluginId, key: KeyId) -> KeyStanding {
        match self {
            Self::Required(list) => list.standing(name, key),
            Self::RevocationsOnly(list) => match list.standing(name, key) {
                KeyStanding::Unlisted => KeyStanding::Active,
                other => other,
            },
            Self::NoRegistry => KeyStanding::Active,
        }
    }
}

/// What a statement is held against.
#[derive(Clone, Copy)]
pub struct Check<'a> {
    /// Of the component's bytes, computed by whoever has them.
    pub component: Digest,
    /// What the component itself says.
    pub manifest: &'a Manifest,
    /// Now.
    pub now: DateTime<Utc>,
    /// Whose keys the registry lists.
    pub listed: Listing<'a>,
    /// Whose keys the operator trusts.
    pub trust: &'a Trust,
}

impl fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("component", &self.component)
            .field("now", &self.now)
            .field("listed", &self.listed)
            .finish_non_exhaustive()
    }
}

/// A statement that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub statement: Statement,
    /// Why its publisher is trusted.
    pub trusted_by: TrustedBy,
}

impl Verified {
    /// Who says it.
    #[must_use]
    pub const fn publisher(&self) -> PublicKey {
        self.statement.publisher
    }
}

/// Why a component is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is no signed statement.
    #[error(
        "{name} is not signed: no statement came with it; get it from a registry, or put its .sig file beside it"
    )]
    Unsigned {
        /// Which plugin.
        name: PluginId,
    },
    /// The signed statement is none.
    #[error("the signature cannot be used: {0}")]
    Malformed(#[from] StatementError),
    /// Altered after it was signed, or never signed with that key.
    #[error(
        "the signature is not {key}'s: the statement was altered or forged; get the plugin again from its publisher"
    )]
    WrongSignature {
        /// Whose it claims to be.
        key: KeyId,
    },
    /// The component is not the one that was signed.
    #[error(
        "the component was altered or swapped: its publisher signed {signed}, but it is {found}; get it again from its publisher"
    )]
    OtherComponent {
        /// What was signed.
        signed: Digest,
        /// What is here.
        found: Digest,
    },
    /// The statement is another plugin's.
    #[error("the statement is about {signed}, but the component's manifest says {manifest}")]
    OtherName {
        /// What was signed.
        signed: PluginId,
        /// What the component says.
        manifest: PluginId,
    },
    /// The statement is another version's.
    #[error(
        "the statement is about version {signed}, but the component's manifest says {manifest}"
    )]
    OtherVersion {
        /// What was signed.
        signed: Version,
        /// What the component says.
        manifest: Version,
    },
    /// It has ended.
    #[error(
        "the statement ended on {on}; ask the publisher to sign {name} {version} again, or check this machine's clock"
    )]
    Expired {
        /// When.
        on: DateTime<Utc>,
        /// Of what.
        name: PluginId,
        /// Which version of it.
        version: Version,
    },
    /// It has not begun.
    #[error("the statement holds from {from} on; check this machine's clock and the publisher's")]
    NotYetValid {
        /// When it begins.
        from: DateTime<Utc>,
    },
    /// The publisher has given the key up.
    #[error(
        "the key {key} may no longer publish {name}: {reason}; install a version that was signed with another key"
    )]
    KeyRevoked {
        /// Which key.
        key: KeyId,
        /// For which name.
        name: PluginId,
        /// As the publisher gave it.
        reason: String,
    },
    /// The registry does not know the key as one of that name's.
    #[error(
        "the key {key} is not listed for {name}: whoever signed it is not that plugin's publisher"
    )]
    KeyNotListed {
        /// Which key.
        key: KeyId,
        /// For which name.
        name: PluginId,
    },
    /// The operator has not said that this publisher may run code here.
    #[error(
        "the key {key} is not trusted here for {name}; compare it with what the publisher states, then trust it"
    )]
    KeyNotTrusted {
        /// Which key.
        key: KeyId,
        /// For which name.
        name: PluginId,
    },
}

/// Holds a signed statement against a component, the clock, the registry and the operator's trust.
///
/// # Errors
/// The first thing that does not hold, in the order in which the variants of [`VerifyError`] stand.
pub fn verify(sidecar: &[u8], check: &Check<'_>) -> Result<Verified, VerifyError> {
    let signed = Statement::open(sidecar)?;
    let statement = signed
        .signed()
        .map_err(|wrong| VerifyError::WrongSignature { key: wrong.0 })?;
    let key = statement.publisher.id();
    agrees(statement, check)?;
    holds_now(statement, check.now)?;
    match check.listed.standing(&statement.name, key) {
        KeyStanding::Active => {}
        KeyStanding::Revoked { reason } => {
            return Err(VerifyError::KeyRevoked {
                key,
                name: statement.name.clone(),
                reason,
            });
        }
        KeyStanding::Unlisted => {
            return Err(VerifyError::KeyNotListed {
                key,
                name: statement.name.clone(),
            });
        }
    }
    let trusted_by =
        check
            .trust
            .find(&statement.name, key)
            .ok_or_else(|| VerifyError::KeyNotTrusted {
                key,
                name: statement.name.clone(),
            })?;
    Ok(Verified {
        statement: statement.clone(),
        trusted_by,
    })
}

fn agrees(statement: &Statement, check: &Check<'_>) -> Result<(), VerifyError> {
    if statement.component != check.component {
        return Err(VerifyError::OtherComponent {
            signed: statement.component,
            found: check.component,
        });
    }
    if statement.name != check.manifest.id {
        return Err(VerifyError::OtherName {
            signed: statement.name.clone(),
            manifest: check.manifest.id.clone(),
        });
    }
    if statement.version != check.manifest.version {
        return Err(VerifyError::OtherVersion {
            signed: statement.version.clone(),
            manifest: check.manifest.version.clone(),
        });
    }
    Ok(())
}

fn holds_now(statement: &Statement, now: DateTime<Utc>) -> Result<(), VerifyError> {
    if statement.expires <= now {
        return Err(VerifyError::Expired {
            on: statement.expires,
            name: statement.name.clone(),
            version: statement.version.clone(),
        });
    }
    if statement.issued.signed_duration_since(now) > CLOCK_SKEW {
        return Err(VerifyError::NotYetValid {
            from: statement.issued,
        });
    }
    Ok(())
}
