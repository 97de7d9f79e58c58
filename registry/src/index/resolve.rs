//! Which version `NAME@RANGE` is.

use std::fmt;
use std::str::FromStr;

use onerouter_manifest::PluginId;
use semver::{Comparator, Op, Version, VersionReq};

use super::view::{Advisory, PluginEntry, PublishedVersion};
use super::{ResolveError, View};

/// How many versions an error lists.
const LISTED_MAX: usize = 5;

/// What somebody asked for: `NAME`, or `NAME@RANGE`.
///
/// A range is one of Cargo's: `^1.2`, `~1.2.3`, `>=1, <3`. A version with all three numbers and
/// nothing before it means just that version, as in `cargo install`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The plugin.
    pub name: PluginId,
    /// The versions that will do.
    pub range: VersionReq,
}

/// A version that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The plugin.
    pub name: PluginId,
    /// The version.
    pub version: Version,
    /// What the log says about it.
    pub published: PublishedVersion,
    /// What should be known before it is installed.
    pub advisories: Vec<Advisory>,
}

impl FromStr for Wanted {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: String| ResolveError::Syntax {
            given: text.to_owned(),
            reason,
        };
        let (name, range) = text.split_once('@').unwrap_or((text, "*"));
        Ok(Self {
            name: PluginId::try_from(name.to_owned()).map_err(wrong)?,
            range: parse_range(range).map_err(|error| wrong(error.to_string()))?,
        })
    }
}

fn parse_range(text: &str) -> Result<VersionReq, semver::Error> {
    match Version::parse(text) {
        Ok(version) => Ok(exactly(&version)),
        Err(_no_version) => VersionReq::parse(text),
    }
}

/// The range that holds one version only.
fn exactly(version: &Version) -> VersionReq {
    VersionReq {
        comparators: vec![Comparator {
            op: Op::Exact,
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        }],
    }
}

/// Whether a range names one version.
fn is_exact(range: &VersionReq) -> bool {
    matches!(
        range.comparators.as_slice(),
        [Comparator {
            op: Op::Exact,
            minor: Some(_),
            patch: Some(_),
            ..
        }]
    )
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.range)
    }
}

impl View {
    /// The newest version that fits. One that was yanked, or whose key was revoked, is only given
    /// to who names it exactly: it may run somewhere already, and must be had again after a crash.
    ///
    /// # Errors
    /// There is no such plugin, no version fits, or all that fit were yanked.
    pub fn resolve(&self, wanted: &Wanted) -> Result<Resolved, ResolveError> {
        self.resolve_among(wanted, |_published| true)
    }

    /// The same among the versions that can be had.
    pub(crate) fn resolve_among(
        &self,
        wanted: &Wanted,
        is_here: impl Fn(&PublishedVersion) -> bool,
    ) -> Result<Resolved, ResolveError> {
        let plugin = self
            .find(&wanted.name)
            .filter(|plugin| !plugin.versions.is_empty())
            .ok_or_else(|| ResolveError::UnknownName(wanted.name.clone()))?;
        let mut fitting = plugin
            .versions
            .iter()
            .rev()
            .filter(|(_, published)| is_here(published))
            .filter(|(version, _)| wanted.range.matches(version))
            .peekable();
        let Some((newest, newest_published)) = fitting.peek().copied() else {
            return Err(ResolveError::NoneFits {
                name: wanted.name.clone(),
                range: wanted.range.clone(),
                versions: plugin
                    .versions
                    .iter()
                    .rev()
                    .filter(|(_, published)| is_here(published))
                    .take(LISTED_MAX)
                    .map(|(version, _)| version.clone())
                    .collect(),
            });
        };
        let chosen = fitting.find(|(_, published)| {
            is_exact(&wanted.range) || plugin.withdrawn(published).is_none()
        });
        let Some((version, published)) = chosen else {
            return Err(ResolveError::Yanked {
                name: wanted.name.clone(),
                range: wanted.range.clone(),
                version: newest.clone(),
                reason: plugin.withdrawn(newest_published).unwrap_or_default(),
            });
        };
        Ok(Resolved {
            name: wanted.name.clone(),
            version: version.clone(),
            published: published.clone(),
            advisories: plugin.advisories_of(version).cloned().collect(),
        })
    }
}

impl PluginEntry {
    /// Why a version should not be chosen, if it should not.
    #[must_use]
    pub fn withdrawn(&self, published: &PublishedVersion) -> Option<String> {
        published.yanked.clone().or_else(|| {
            let listed = self.keys.get(&published.key)?;
            let revocation = listed.revoked.as_ref()?;
            Some(format!("its key was revoked: {}", revocation.reason))
        })
    }

    /// What should be known about a version.
    pub fn advisories_of<'a>(&'a self, version: &'a Version) -> impl Iterator<Item = &'a Advisory> {
        self.advisories
            .iter()
            .filter(move |advisory| affects(&advisory.affected, version))
    }
}

/// Pre-releases are affected like the version that they precede, and like what comes before a bound that
/// is not: `<1.2.0` holds 1.2.0-rc.1. `VersionReq` by itself denies both.
pub(crate) fn affects(affected: &VersionReq, version: &Version) -> bool {
    let released = Version::new(version.major, version.minor, version.patch);
    affected.matches(version)
        || affected.comparators.iter().all(|bound| {
            bound.matches(version) || bound.matches(&released) || is_below(bound, version)
        })
}

fn is_below(bound: &Comparator, version: &Version) -> bool {
    let mut end = Version::new(
        bound.major,
        bound.minor.unwrap_or(0),
        bound.patch.unwrap_or(0),
    );
    end.pre = bound.pre.clone();
    bound.op == Op::Less && *version < end
}
