//! What a version may do more than the one that serves, and agreeing to just that.

use onerouter_manifest::{Manifest, permissions};
use onerouter_registry::Digest;

use super::conflict;
use crate::service::refusal::{FieldMistake, Refusal};
use crate::store::PluginVersionRow;

/// Agreements of one form are none of another.
const FORM: &[u8] = b"onerouter-permissions-v1";

/// What a version may do that the one which serves may not, and which nobody has agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// In sentences, sorted.
    pub permissions: Vec<String>,
    /// The name of just this: of these sentences about these bytes. Whoever agrees says it, so that nobody
    /// agrees to something else than they have read. None where nothing is asked.
    pub digest: Option<String>,
}

impl Asked {
    /// Of a version, less what was agreed to before.
    pub(super) fn of(version: &PluginVersionRow, old: &Manifest, new: &Manifest) -> Self {
        let mut permissions = permissions::added(old, new);
        permissions.retain(|one| !version.approved.contains(one));
        let digest = (!permissions.is_empty()).then(|| digest(&version.sha256, &permissions));
        Self {
            permissions,
            digest,
        }
    }

    /// Nothing is asked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.permissions.is_empty()
    }

    /// Whether an operator who says this agrees to it.
    pub(super) fn is_agreed(&self, approve: Option<&str>) -> bool {
        self.is_empty() || (approve.is_some() && approve == self.digest.as_deref())
    }

    /// The refusal of what nobody has agreed to.
    pub(super) fn refused(
        &self,
        active: &Manifest,
        new: &semver::Version,
        approve: Option<&str>,
    ) -> Refusal {
        let errors = self
            .permissions
            .iter()
            .map(|one| FieldMistake::new("/approve_permissions", "permission_added", one.clone()));
        let other = match approve {
            Some(_) => " That is something else than what was agreed to.",
            None => "",
        };
        let digest = self.digest.as_deref().unwrap_or_default();
        Refusal {
            errors: errors.collect(),
            ..conflict(format!(
                "{} {new} may do more than {}, which serves: {}.{other} To agree to just that, say approve_permissions: \"{digest}\" (--approve {digest}).",
                active.id,
                active.version,
                self.permissions.join("; ")
            ))
        }
    }
}

fn digest(sha256: &str, permissions: &[String]) -> String {
    // No sentence holds a line break, so none can be taken for two.
    let lines = permissions.join("\n");
    let parts = [FORM, b"\n", sha256.as_bytes(), b"\n", lines.as_bytes()];
    Digest::of_parts(&parts).to_string()
}
