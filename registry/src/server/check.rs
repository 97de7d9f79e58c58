//! What a version must pass before it is published, besides the checks of its structure.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use onerouter_manifest::{Capability, Manifest};

/// A version that somebody wants to publish. It has the right shape and signature.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The component.
    pub component: &'a [u8],
    /// What it says about itself.
    pub manifest: &'a Manifest,
    /// What it can do.
    pub capabilities: &'a [Capability],
    /// The greatest version below it, if there is one.
    pub previous: Option<&'a Manifest>,
}

/// Why a version is not published: a text for its publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckFailed(pub String);

/// A check: the conformance kit, for one.
pub trait PublishCheck: fmt::Debug + Send + Sync {
    /// What it is called in a refusal.
    fn name(&self) -> &'static str;

    /// Looks at a version. It may take seconds, and must bound itself; if the publisher hangs up,
    /// the future is dropped.
    ///
    /// # Errors
    /// The version is not to be published.
    fn check<'a>(
        &'a self,
        submission: Submission<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CheckFailed>> + Send + 'a>>;
}
