//! Which version a range is.

use onerouter_registry::KeyPair;
use onerouter_registry::index::{Event, Index, ResolveError, Wanted};
use proptest::prelude::*;

use crate::log::Log;
use crate::support::name;

pub(crate) fn resolve(index: &Index, wanted: &str) -> Result<String, ResolveError> {
    let wanted: Wanted = wanted.parse()?;
    index
        .view()
        .resolve(&wanted)
        .map(|resolved| resolved.version.to_string())
}

#[test]
fn a_range_leads_to_the_newest_version_that_fits() {
    let mut log = Log::new();
    for version in ["1.0.0", "1.2.0", "1.10.0", "2.0.0", "3.0.0-beta.1"] {
        log.publish(version);
    }
    let index = log.client();
    for (wanted, version) in [
        ("acme-texts", "2.0.0"),
        ("acme-texts@^1", "1.10.0"),
        ("acme-texts@~1.2", "1.2.0"),
        ("acme-texts@>=1, <1.10", "1.2.0"),
        ("acme-texts@1.0.0", "1.0.0"),
        ("acme-texts@3.0.0-beta.1", "3.0.0-beta.1"),
    ] {
        assert_eq!(resolve(&index, wanted), Ok(version.to_owned()), "{wanted}");
    }
    assert!(matches!(
        resolve(&index, "acme-texts@^4"),
        Err(ResolveError::NoneFits { .. })
    ));
    assert!(matches!(
        resolve(&index, "acme-mails"),
        Err(ResolveError::UnknownName(_))
    ));
    assert!(matches!(
        resolve(&index, "Acme@1"),
        Err(ResolveError::Syntax { .. })
    ));
    assert!(matches!(
        resolve(&index, "acme@one"),
        Err(ResolveError::Syntax { .. })
    ));
}

#[test]
fn a_yanked_version_is_given_to_who_names_it_only() {
    let mut log = Log::new();
    log.publish("1.0.0");
    log.publish("1.1.0");
    log.yank("1.1.0");
    let index = log.client();
    assert_eq!(resolve(&index, "acme-texts@^1"), Ok("1.0.0".to_owned()));
    assert_eq!(resolve(&index, "acme-texts@1.1.0"), Ok("1.1.0".to_owned()));
    log.yank("1.0.0");
    let index = log.client();
    assert!(matches!(
        resolve(&index, "acme-texts@^1"),
        Err(ResolveError::Yanked { version, reason, .. })
            if version.to_string() == "1.1.0" && reason == "it sends twice"
    ));
    log.push(Event::Unyanked {
        name: name("acme-texts"),
        version: "1.1.0".parse().unwrap(),
    });
    assert_eq!(resolve(&log.client(), "acme-texts"), Ok("1.1.0".to_owned()));
}

#[test]
fn versions_of_a_revoked_key_are_passed_over() {
    let mut log = Log::new();
    log.publish("1.1.0");
    let stolen = std::mem::replace(&mut log.publisher, KeyPair::generate());
    log.push(Event::KeyRevoked {
        name: name("acme-texts"),
        key: stolen.public().id(),
        reason: "stolen".to_owned(),
    });
    log.push(Event::KeyAdded {
        name: name("acme-texts"),
        key: log.publisher.public(),
    });
    log.publish("1.0.1");
    assert_eq!(resolve(&log.client(), "acme-texts"), Ok("1.0.1".to_owned()));
}

#[test]
fn advisories_come_with_the_versions_that_they_are_about() {
    let mut log = Log::new();
    log.publish("1.0.0");
    log.publish("1.1.0-rc.1");
    log.publish("1.2.0-rc.1");
    log.publish("1.2.0");
    log.push(Event::Advisory {
        name: name("acme-texts"),
        id: "ADV-1".to_owned(),
        affected: "<1.2.0".parse().unwrap(),
        summary: "Numbers appear in logs.".to_owned(),
        url: None,
    });
    let index = log.client();
    for (wanted, advisories) in [
        ("acme-texts@1.0.0", 1),
        ("acme-texts@1.1.0-rc.1", 1),
        ("acme-texts@1.2.0-rc.1", 1),
        ("acme-texts@1.2.0", 0),
    ] {
        let resolved = index.view().resolve(&wanted.parse().unwrap()).unwrap();
        assert_eq!(resolved.advisories.len(), advisories, "{wanted}");
    }
}

proptest! {
    #[test]
    fn whatever_is_chosen_fits_and_nothing_newer_does(
        versions in proptest::collection::btree_set((0_u64..4, 0_u64..4, 0_u64..4), 1..8),
        yanked in any::<u8>(),
        range in prop_oneof!["\\^[0-3]\\.[0-3]", "~[0-3]\\.[0-3]\\.[0-3]", ">=[0-3]\\.[0-3], <[0-3]\\.[0-3]", Just("*".to_owned())],
    ) {
        let mut log = Log::new();
        let mut open = Vec::new();
        for (place, (major, minor, patch)) in versions.iter().enumerate() {
            let version = format!("{major}.{minor}.{patch}");
            log.publish(&version);
            if yanked & (1 << place) == 0 {
                open.push(version.parse::<semver::Version>().unwrap());
            } else {
                log.yank(&version);
            }
        }
        let wanted: Wanted = format!("acme-texts@{range}").parse().unwrap();
        let best = open.iter().filter(|version| wanted.range.matches(version)).max().cloned();
        let chosen = log.client().view().resolve(&wanted).ok().map(|resolved| resolved.version);
        prop_assert_eq!(chosen, best);
    }
}
