//! What a client makes of the log that it is shown.

use chrono::TimeDelta;
use onerouter_registry::KeyPair;
use onerouter_registry::index::{Event, Freshness, Index, IndexError, SignedHead, ViewError};

use crate::log::{Log, now};
use crate::resolution::resolve;
use crate::support::{at, name, statement};

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
    let seen = index.judge(&log.head(), now()).unwrap();
    let mut other = Index::empty(KeyPair::generate().public());
    assert!(matches!(
        other.advance(seen, Vec::new()),
        Err(IndexError::WrongSignature { .. })
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
