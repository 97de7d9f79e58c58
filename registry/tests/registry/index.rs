//! What a client makes of the log that it is shown.

use chrono::TimeDelta;
use onerouter_registry::index::{
    Entry, Event, Freshness, Head, Index, IndexError, ResolveError, Seen, SignedHead, ViewError,
    Wanted, chain,
};
use onerouter_registry::{Digest, KeyPair};
use proptest::prelude::*;

use crate::support::{at, name, statement};

/// A registry's side of the log.
struct Log {
    registry: KeyPair,
    publisher: KeyPair,
    entries: Vec<String>,
}

impl Log {
    fn new() -> Self {
        let mut log = Self {
            registry: KeyPair::generate(),
            publisher: KeyPair::generate(),
            entries: Vec::new(),
        };
        log.push(Event::KeyAdded {
            name: name("acme-texts"),
            key: log.publisher.public(),
        });
        log
    }

    fn push(&mut self, event: Event) {
        let entry = Entry { at: at(0), event };
        self.entries.push(entry.to_text().unwrap());
    }

    fn published(&self, version: &str) -> Event {
        let component = version.as_bytes();
        let signed = statement(&self.publisher, "acme-texts", version, component)
            .sign(&self.publisher)
            .unwrap();
        Event::Published {
            name: name("acme-texts"),
            version: version.parse().unwrap(),
            component: Digest::of(component),
            manifest: Digest::of(b"manifest"),
            statement: String::from_utf8(signed.to_json()).unwrap(),
        }
    }

    fn publish(&mut self, version: &str) {
        self.push(self.published(version));
    }

    fn yank(&mut self, version: &str) {
        self.push(Event::Yanked {
            name: name("acme-texts"),
            version: version.parse().unwrap(),
            reason: "it sends twice".to_owned(),
        });
    }

    fn hash(&self, size: usize) -> Digest {
        let mut hash = None;
        for entry in &self.entries[..size] {
            hash = Some(chain(hash, entry));
        }
        hash.unwrap()
    }

    /// A head over the first entries, signed so many seconds after the tests' time.
    fn head_of(&self, size: usize, seconds: i64) -> Vec<u8> {
        let head = Head {
            size: size as u64,
            hash: self.hash(size),
            time: at(seconds),
            expires: at(seconds) + TimeDelta::days(1),
        };
        head.sign(&self.registry).to_json()
    }

    fn head(&self) -> Vec<u8> {
        self.head_of(self.entries.len(), 0)
    }

    fn client(&self) -> Index {
        let mut index = Index::empty(self.registry.public());
        self.update(&mut index).unwrap();
        index
    }

    fn update(&self, index: &mut Index) -> Result<(), IndexError> {
        let Seen { head, from } = index.judge(&self.head(), now())?;
        index.advance(
            head,
            self.entries[usize::try_from(from).unwrap()..].to_vec(),
        )
    }
}

fn now() -> Freshness {
    Freshness::Within {
        now: at(0),
        age_max: TimeDelta::days(1),
    }
}

fn resolve(index: &Index, wanted: &str) -> Result<String, ResolveError> {
    let wanted: Wanted = wanted.parse()?;
    index
        .view()
        .resolve(&wanted)
        .map(|resolved| resolved.version.to_string())
}

#[test]
fn a_copy_moves_forward_with_the_log() {
    let mut log = Log::new();
    log.publish("1.0.0");
    let mut index = log.client();
    log.publish("1.1.0");
    log.update(&mut index).unwrap();
    assert_eq!(resolve(&index, "acme-texts"), Ok("1.1.0".to_owned()));
    assert_eq!(index.size(), 3);
    let kept = Index::restore(&index.to_json(), log.registry.public()).unwrap();
    assert_eq!(kept.view(), index.view());
}

#[test]
fn a_rollback_is_noticed() {
    let mut log = Log::new();
    log.publish("1.0.0");
    let index = log.client();
    assert_eq!(
        index.judge(&log.head_of(1, 0), now()),
        Err(IndexError::Rollback { known: 2, shown: 1 })
    );
}

#[test]
fn a_fork_of_the_same_length_is_noticed() {
    let mut log = Log::new();
    log.publish("1.0.0");
    let index = log.client();
    log.entries.pop();
    log.publish("1.0.1");
    assert_eq!(
        index.judge(&log.head(), now()),
        Err(IndexError::Fork {
            position: 2,
            known: index.head().unwrap().head().hash,
            shown: log.hash(2),
        })
    );
}

#[test]
fn a_longer_fork_is_noticed_and_told_from_forged_entries() {
    let mut log = Log::new();
    log.publish("1.0.0");
    let index = log.client();
    log.entries.pop();
    log.publish("1.0.1");
    log.publish("1.0.2");
    let mut moved = index.clone();
    assert!(matches!(
        log.update(&mut moved),
        Err(IndexError::Forged { .. })
    ));
    assert_eq!(
        moved.view(),
        index.view(),
        "a refused log leaves the copy as it was"
    );
    let head = SignedHead::open(&log.head(), &log.registry.public()).unwrap();
    assert!(matches!(
        index.explain(&head, &log.entries),
        IndexError::Fork { position: 2, .. }
    ));
    let mut forged = log.entries.clone();
    forged[0] = forged[2].clone();
    assert!(matches!(
        index.explain(&head, &forged),
        IndexError::Forged { position: 3, .. }
    ));
}

#[test]
fn a_frozen_log_is_noticed() {
    let log = Log::new();
    let index = Index::empty(log.registry.public());
    let judge = |seconds, age_max| {
        let now = Freshness::Within {
            now: at(seconds),
            age_max,
        };
        index.judge(&log.head(), now).map(|_seen| ())
    };
    let day = 24 * 60 * 60;
    assert_eq!(judge(day - 1, TimeDelta::days(7)), Ok(()));
    assert!(matches!(
        judge(day, TimeDelta::days(7)),
        Err(IndexError::Frozen { .. })
    ));
    assert!(matches!(
        judge(3_600, TimeDelta::hours(1)),
        Err(IndexError::Frozen { .. })
    ));
    assert_eq!(
        judge(-1_000, TimeDelta::days(7)),
        Err(IndexError::Future { time: at(0) })
    );
    assert!(index.judge(&log.head(), Freshness::AnyAge).is_ok());
}

#[test]
fn another_registrys_head_is_refused() {
    let log = Log::new();
    let index = Index::empty(KeyPair::generate().public());
    assert!(matches!(
        index.judge(&log.head(), now()),
        Err(IndexError::WrongSignature { .. })
    ));
}

#[test]
fn a_registry_cannot_publish_in_a_publishers_name() {
    let mut log = Log::new();
    let client = log.client();
    let thief = KeyPair::generate();
    let Event::Published {
        name,
        version,
        component,
        manifest,
        statement: good,
    } = log.published("1.0.0")
    else {
        panic!("a publication");
    };
    let stolen = statement(&thief, "acme-texts", "1.0.0", b"1.0.0")
        .sign(&thief)
        .unwrap();
    let published = |statement: String, version: &str| Event::Published {
        name: name.clone(),
        version: version.parse().unwrap(),
        component,
        manifest,
        statement,
    };
    let cases = [
        (
            published(String::from_utf8(stolen.to_json()).unwrap(), "1.0.0"),
            "an unlisted key",
        ),
        (published(good.clone(), "1.0.1"), "another version"),
        (published(good.replace('A', "B"), "1.0.0"), "altered"),
    ];
    for (event, case) in cases {
        log.entries.truncate(1);
        log.push(event);
        let refused = log.update(&mut client.clone());
        assert!(
            matches!(refused, Err(IndexError::Entry { position: 1, .. })),
            "{case}"
        );
    }
    log.entries.truncate(1);
    log.push(published(good, &version.to_string()));
    assert_eq!(log.update(&mut client.clone()), Ok(()));
}

#[test]
fn an_entry_that_contradicts_the_log_is_refused() {
    let mut log = Log::new();
    log.publish("1.0.0");
    let client = log.client();
    let key = log.publisher.public();
    let revoked = Event::KeyRevoked {
        name: name("acme-texts"),
        key: key.id(),
        reason: String::new(),
    };
    let refused = |log: &Log| match log.update(&mut client.clone()) {
        Err(IndexError::Entry { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    log.publish("1.0.0");
    assert!(matches!(refused(&log), ViewError::VersionAgain { .. }));
    log.entries.pop();
    log.yank("2.0.0");
    assert!(matches!(refused(&log), ViewError::NoSuchVersion { .. }));
    log.entries.pop();
    log.push(revoked);
    log.publish("1.0.1");
    assert!(matches!(refused(&log), ViewError::NoSuchKey { .. }));
    log.entries.pop();
    log.push(Event::KeyAdded {
        name: name("acme-texts"),
        key,
    });
    assert!(matches!(refused(&log), ViewError::KeyAgain { .. }));
    log.entries.pop();
    log.entries
        .push(r#"{"at":"2026-11-28T00:00:00Z","event":{"kind":"newer"}}"#.to_owned());
    assert!(matches!(refused(&log), ViewError::Syntax(_)));
}

#[test]
fn a_kept_copy_that_was_changed_is_refused() {
    let mut log = Log::new();
    log.publish("1.0.0");
    let kept = log.client().to_json();
    let other = KeyPair::generate().public();
    assert!(matches!(
        Index::restore(&kept, other),
        Err(IndexError::WrongSignature { .. })
    ));
    let text = String::from_utf8(kept).unwrap();
    let changed = text.replace("acme-texts", "acme-texta");
    assert!(matches!(
        Index::restore(changed.as_bytes(), log.registry.public()),
        Err(IndexError::Forged { .. })
    ));
}

#[test]
fn two_copies_of_one_log_agree_and_forks_do_not() {
    let mut log = Log::new();
    let short = log.client();
    log.publish("1.0.0");
    let long = log.client();
    assert_eq!(short.agrees_with(&long), Ok(()));
    assert_eq!(long.agrees_with(&short), Ok(()));
    log.entries.pop();
    log.publish("1.0.1");
    assert!(matches!(
        log.client().agrees_with(&long),
        Err(IndexError::Fork { position: 2, .. })
    ));
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
