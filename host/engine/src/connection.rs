//! For whom a call is made: a tenant's credentials and settings in one environment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use onerouter_domain::environment::Environment;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::recording::Recorder;
use crate::scrub::Scrubber;

/// One call: for which connection, and until when.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// For whom.
    pub connection: Arc<ConnectionContext>,
    /// The call ends by then, the wait for a slot included. The manifest's `wall_ms` may end it
    /// earlier.
    pub deadline: Instant,
}

/// What an adapter's calls share: made once per connection and kept, because the search for
/// secrets in answers is prepared here.
#[derive(Debug)]
pub struct ConnectionContext {
    /// Test or live.
    pub environment: Environment,
    /// What the tenant gave to connect.
    pub credentials: Credentials,
    /// What the tenant set besides.
    pub settings: BTreeMap<String, String>,
    /// Keeps calls so that they can be made again; none where none is to be kept.
    pub recorder: Option<Arc<dyn Recorder>>,
}

/// Credentials of one connection. `Debug` shows names only; secrets are wiped on drop.
pub struct Credentials {
    public: BTreeMap<String, String>,
    secret: BTreeMap<String, Zeroizing<String>>,
    scrubber: Arc<Scrubber>,
}

/// Why credentials are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It could not be told from ordinary text in an answer.
    #[error("the secret \"{name}\" is shorter than {SECRET_BYTES_MIN} bytes")]
    TooShort {
        /// Name of the field.
        name: String,
    },
    /// It could not be found again in every encoding.
    #[error("the secret \"{name}\" is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong {
        /// Name of the field.
        name: String,
    },
}

/// Shorter secrets are refused.
pub const SECRET_BYTES_MIN: usize = 8;

/// Longer secrets are refused.
pub const SECRET_BYTES_MAX: usize = 4 << 10;

impl Credentials {
    /// Takes the values of the manifest's credential fields: those that an adapter may read, and
    /// those that it never sees.
    ///
    /// # Errors
    /// A secret of fewer than [`SECRET_BYTES_MIN`] or more than [`SECRET_BYTES_MAX`] bytes.
    pub fn new(
        public: BTreeMap<String, String>,
        secret: BTreeMap<String, Zeroizing<String>>,
    ) -> Result<Self, CredentialsError> {
        for (name, value) in &secret {
            // An optional field that was left out.
            if value.is_empty() {
                continue;
            }
            if value.len() < SECRET_BYTES_MIN {
                return Err(CredentialsError::TooShort { name: name.clone() });
            }
            if value.len() > SECRET_BYTES_MAX {
                return Err(CredentialsError::TooLong { name: name.clone() });
            }
        }
        let scrubber = Scrubber::new(secret.values().map(|value| value.as_str()));
        Ok(Self {
            public,
            secret,
            scrubber: Arc::new(scrubber),
        })
    }

    pub(crate) fn all_public(&self) -> &BTreeMap<String, String> {
        &self.public
    }

    pub(crate) fn public(&self, name: &str) -> Option<&str> {
        self.public.get(name).map(String::as_str)
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&str> {
        self.secret.get(name).map(|value| value.as_str())
    }

    pub(crate) fn scrubber(&self) -> &Arc<Scrubber> {
        &self.scrubber
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("public", &self.public.keys())
            .field("secret", &self.secret.keys())
            .finish()
    }
}
