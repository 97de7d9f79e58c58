//! What a publisher signs: this component is this version of this plugin.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_manifest::PluginId;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeError, WrongSignature};
use crate::keys::{KeyId, KeyPair, PublicKey};

/// Media type of a statement, of the referrer that carries it, and of the layer in that.
pub const STATEMENT_TYPE: &str = "application/vnd.onerouter.statement.v1+json";

/// A signed statement has some 700 bytes.
pub const STATEMENT_BYTES_MAX: usize = 4 << 10;

/// Statements about one image that are looked at: of the right type, before anything else is known of
/// them.
pub(crate) const STATEMENTS_MAX: usize = 16;

/// The longest that a statement may hold: after that, somebody must say again that they stand by
/// the component.
pub const LIFETIME_MAX: TimeDelta = TimeDelta::days(5 * 366);

/// A version is a tag in OCI registries, which has at most 128 characters.
const VERSION_CHARACTERS_MAX: usize = 128;

/// A publisher's word on one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Which plugin it is.
    pub name: PluginId,
    /// Which version.
    pub version: Version,
    /// The component, by its bytes.
    pub component: Digest,
    /// Who says so.
    pub publisher: PublicKey,
    /// From when it holds.
    pub issued: DateTime<Utc>,
    /// Until when.
    pub expires: DateTime<Utc>,
}

/// Why bytes are no signed statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The envelope is none.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// What is in it is no statement.
    #[error("the statement cannot be read: {0}")]
    Syntax(String),
    /// Build metadata, or a version too long.
    #[error(
        "the version {0} cannot be published: it may have no build metadata (+…) and at most {VERSION_CHARACTERS_MAX} characters"
    )]
    Version(Version),
    /// It ends before it begins, or holds for too long.
    #[error(
        "the statement holds from {issued} to {expires}; it must end after it begins, within {} days",
        LIFETIME_MAX.num_days()
    )]
    Lifetime {
        /// Its beginning.
        issued: DateTime<Utc>,
        /// Its end.
        expires: DateTime<Utc>,
    },
}

/// Why a statement cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It would be refused by whoever reads it.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It names another publisher than the one who signs.
    #[error("the statement is {named}'s, but the key at hand is {own}")]
    OtherKey {
        /// Whose it is.
        named: KeyId,
        /// Whose key was given.
        own: KeyId,
    },
}

impl Statement {
    /// Signs it.
    ///
    /// # Errors
    /// It breaks a rule, or is another publisher's.
    pub fn sign(&self, key: &KeyPair) -> Result<Envelope, SignError> {
        self.check()?;
        if self.publisher != key.public() {
            return Err(SignError::OtherKey {
                named: self.publisher.id(),
                own: key.public().id(),
            });
        }
        let payload =
            serde_json::to_vec(self).map_err(|error| StatementError::Syntax(error.to_string()))?;
        Ok(Envelope::sign(STATEMENT_TYPE, payload, key))
    }

    /// Reads a signed statement: the contents of a `.sig` file.
    ///
    /// # Errors
    /// The bytes are no statement that keeps the rules. Whether it is true is not known yet.
    pub fn open(json: &[u8]) -> Result<SignedStatement, StatementError> {
        let envelope = Envelope::parse(json, STATEMENT_TYPE, STATEMENT_BYTES_MAX)?;
        let statement: Self = serde_json::from_slice(envelope.payload())
            .map_err(|error| StatementError::Syntax(error.to_string()))?;
        statement.check()?;
        Ok(SignedStatement {
            envelope,
            statement,
        })
    }

    fn check(&self) -> Result<(), StatementError> {
        if !is_publishable(&self.version) {
            return Err(StatementError::Version(self.version.clone()));
        }
        let lifetime = self.expires.signed_duration_since(self.issued);
        if lifetime <= TimeDelta::zero() || lifetime > LIFETIME_MAX {
            return Err(StatementError::Lifetime {
                issued: self.issued,
                expires: self.expires,
            });
        }
        Ok(())
    }
}

/// Whether a version can be a tag: those know no `+`, and 1.0.0+a is the same version as 1.0.0+b.
#[must_use]
pub fn is_publishable(version: &Version) -> bool {
    version.build.is_empty() && version.to_string().len() <= VERSION_CHARACTERS_MAX
}

/// Whether this is what is looked for among what lies beside a component: validly signed by whomever
/// it names, and about that component. Whether that publisher may say so is for
/// [`verify`](crate::verify()).
pub(crate) fn speaks_of(sidecar: &[u8], component: Digest) -> bool {
    Statement::open(sidecar).is_ok_and(|opened| {
        opened
            .signed()
            .is_ok_and(|statement| statement.component == component)
    })
}

/// A statement and the signature that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    envelope: Envelope,
    statement: Statement,
}

impl SignedStatement {
    /// What it says, unchecked.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// It in the form of a `.sig` file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.envelope.to_json()
    }

    /// What it says, after its signature was held against the key that it names.
    ///
    /// # Errors
    /// The signature does not fit.
    pub fn signed(&self) -> Result<&Statement, WrongSignature> {
        self.envelope
            .verified_by(&self.statement.publisher)
            .map(|_payload| &self.statement)
    }
}
