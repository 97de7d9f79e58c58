//! What a new version may change without calling itself incompatible.
//!
//! Who has allowed `^1.2` is given 1.3 without being asked. So what connections of tenants stand on
//! must still be there: each exported interface, no older and not of another major; each currency;
//! and no credential may be wanted that nobody was asked for. Whoever needs to break that raises the
//! major (before 1.0: the minor, as Cargo's ranges have it).

use std::collections::BTreeMap;

use onerouter_manifest::Manifest;
use semver::Version;

/// One thing that a new version breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An interface is no longer exported.
    #[error("{0} is no longer exported")]
    Dropped(String),
    /// An interface went back, or to another major.
    #[error("{interface} is exported in version {new}, was {old}")]
    Narrowed {
        /// The interface.
        interface: String,
        /// The version that was exported.
        old: Version,
        /// The version that is exported now.
        new: Version,
    },
    /// A currency is no longer taken.
    #[error("the currency {currency} is no longer taken for {category}")]
    Currency {
        /// What for.
        category: String,
        /// Which.
        currency: String,
    },
    /// Tenants would have to give something that they were not asked for.
    #[error("the credential {0} is needed, and was not before")]
    Credential(String),
}

/// A new version breaks what an old one promised, and is not an incompatible one by its number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "version {new} cannot follow {old}: {}. Publish it as {} or later, or keep what was there",
    listed(.breaks),
    next_breaking(.old)
)]
pub struct Incompatible {
    /// What there is.
    pub old: Version,
    /// What was to be published.
    pub new: Version,
    /// What it breaks.
    pub breaks: Vec<Break>,
}

fn listed(breaks: &[Break]) -> String {
    let texts: Vec<String> = breaks.iter().map(Break::to_string).collect();
    texts.join("; ")
}

/// Holds a new version against the greatest one below it.
///
/// # Errors
/// It breaks something that its number says it does not.
pub fn check(old: &Manifest, new: &Manifest) -> Result<(), Incompatible> {
    // Its pre-releases belong to a version: 2.0.0-rc.1 may break what 1.9 promised, as 2.0.0 may.
    let released = Version::new(new.version.major, new.version.minor, new.version.patch);
    if released >= next_breaking(&old.version) {
        return Ok(());
    }
    let mut breaks = exports(old, new);
    breaks.extend(currencies(old, new));
    breaks.extend(credentials(old, new));
    if breaks.is_empty() {
        return Ok(());
    }
    Err(Incompatible {
        old: old.version.clone(),
        new: new.version.clone(),
        breaks,
    })
}

/// The first version that no caret range of `old` holds.
fn next_breaking(old: &Version) -> Version {
    match (old.major, old.minor) {
        (0, 0) => Version::new(0, 0, old.patch.saturating_add(1)),
        (0, minor) => Version::new(0, minor.saturating_add(1), 0),
        (major, _) => Version::new(major.saturating_add(1), 0, 0),
    }
}

fn exports(old: &Manifest, new: &Manifest) -> Vec<Break> {
    let now: BTreeMap<&str, Version> = new.exports.iter().map(|name| interface(name)).collect();
    let mut breaks = Vec::new();
    for (name, before) in old.exports.iter().map(|name| interface(name)) {
        match now.get(name) {
            None => breaks.push(Break::Dropped(name.to_owned())),
            Some(after) if after.major != before.major || *after < before => {
                breaks.push(Break::Narrowed {
                    interface: name.to_owned(),
                    old: before,
                    new: after.clone(),
                });
            }
            Some(_) => {}
        }
    }
    breaks
}

/// `onerouter:sms/sms@1.0.0` in its two parts.
fn interface(export: &str) -> (&str, Version) {
    let (name, version) = export.split_once('@').unwrap_or((export, ""));
    let version = Version::parse(version).unwrap_or(Version::new(0, 0, 0));
    (name, version)
}

fn currencies(old: &Manifest, new: &Manifest) -> Vec<Break> {
    let mut breaks = Vec::new();
    for (category, taken) in &new.currencies {
        // A category that is not listed takes all of them, so the first list narrows.
        match old.currencies.get(category) {
            None if old.exports.iter().any(|export| {
                export
                    .split_once(':')
                    .is_some_and(|(_, rest)| rest.starts_with(category.as_str()))
            }) =>
            {
                breaks.push(Break::Currency {
                    category: category.to_string(),
                    currency: "(all others)".to_owned(),
                });
            }
            None => {}
            Some(before) => breaks.extend(before.difference(taken).map(|gone| Break::Currency {
                category: category.to_string(),
                currency: gone.clone(),
            })),
        }
    }
    breaks
}

fn credentials(old: &Manifest, new: &Manifest) -> Vec<Break> {
    new.credentials
        .iter()
        .filter(|field| !field.optional)
        .filter(|field| {
            old.credential(&field.name)
                .is_none_or(|before| before.optional)
        })
        .map(|field| Break::Credential(field.name.clone()))
        .collect()
}
