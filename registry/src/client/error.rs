//! Why a plugin cannot be had.

use std::io;
use std::path::PathBuf;

use onerouter_manifest::{PluginId, UnpackError};
use semver::Version;

use crate::digest::Digest;
use crate::index::{IndexError, ResolveError};
use crate::package::PackageError;

/// Why a plugin, or an index, cannot be had or published.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answers, or the answer broke off.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Who.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The TLS library cannot be set up.
    #[error("cannot make an HTTP client")]
    Setup(#[source] reqwest::Error),
    /// It took too long as a whole.
    #[error("it took too long; try again, or raise the time limit")]
    TooSlow,
    /// A task of ours broke off.
    #[error("the work on it broke off; this is a fault of this program")]
    Stopped(#[source] tokio::task::JoinError),
    /// The other side refused.
    #[error("{host} refused with {status}: {message}")]
    Refused {
        /// Who.
        host: String,
        /// The HTTP status.
        status: u16,
        /// Its words, cut short.
        message: String,
    },
    /// There is no such thing there.
    #[error("{host} has no {what}")]
    Absent {
        /// Who.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// More than is taken.
    #[error("{what} has more than the {most} bytes that are taken")]
    TooLarge {
        /// What was asked for.
        what: &'static str,
        /// How much is taken.
        most: usize,
    },
    /// The answer leads to a host that was not named.
    #[error(
        "{from} sends on to {to}, which is not allowed; if that host is part of that registry, add it to the registry's other hosts"
    )]
    OtherHost {
        /// Who answered.
        from: String,
        /// Where it leads.
        to: String,
    },
    /// The registry would be spoken to without TLS.
    #[error("{0} would be spoken to without TLS; use https, or allow plain HTTP for it")]
    PlainHttp(String),
    /// The bytes are others than asked for.
    #[error("the {what} is {found}, not {wanted}: it was altered on its way or at the registry")]
    OtherDigest {
        /// What was asked for.
        what: &'static str,
        /// What was asked for, by digest.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// A list of images where an image was expected, or something else.
    #[error(
        "{host} gives a document of type {found} instead of an image; name one image, by its digest if need be"
    )]
    OtherType {
        /// Who.
        host: String,
        /// What it gives.
        found: String,
    },
    /// The answer is not what the protocol says.
    #[error("{host} gives an answer that cannot be read: {reason}")]
    Nonsense {
        /// Who.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The image is no plugin's.
    #[error("the image is no plugin")]
    Package(#[from] PackageError),
    /// The component is no plugin.
    #[error("the component is no plugin")]
    Unpack(#[from] UnpackError),
    /// The component is another plugin or version than its place says.
    #[error("asked for {wanted}, got {name} {version}: the registry or the bundle mislabels it")]
    Mislabelled {
        /// What was asked for.
        wanted: String,
        /// What the component says.
        name: PluginId,
        /// What the component says.
        version: Version,
    },
    /// No version can be chosen.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The index is not believed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A registry's plugin was asked for, and its index is not known.
    #[error(
        "the registry's index is not known here yet; set the registry's address and key, and update the index"
    )]
    NoIndex,
    /// A file.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was being done.
        operation: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder that is no bundle.
    #[error("{} is no bundle: {reason}", path.display())]
    NoBundle {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl FetchError {
    pub(super) fn stopped(error: tokio::task::JoinError) -> Self {
        Self::Stopped(error)
    }

    pub(super) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }
}
