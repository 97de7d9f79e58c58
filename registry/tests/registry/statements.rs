//! A signed statement is believed only when everything about it holds.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_manifest::Manifest;
use onerouter_registry::index::{Entry, Event, View};
use onerouter_registry::{
    Check, Digest, Envelope, KeyId, KeyPair, Listing, STATEMENT_TYPE, SignError, Statement,
    StatementError, Trust, TrustedBy, VerifyError, verify,
};
use proptest::prelude::*;

use crate::support::{at, manifest, name, statement};

struct Case {
    key: KeyPair,
    component: Vec<u8>,
    manifest: Manifest,
    now: DateTime<Utc>,
    view: View,
    trust: Trust,
}

impl Case {
    fn new() -> Self {
        let key = KeyPair::generate();
        let mut view = View::default();
        add_key(&mut view, "acme-texts", &key);
        Self {
            component: b"component".to_vec(),
            manifest: manifest("acme-texts", "1.2.3"),
            now: at(0),
            view,
            trust: Trust::nobody().key(key.public().id()),
            key,
        }
    }

    fn statement(&self) -> Statement {
        statement(&self.key, "acme-texts", "1.2.3", &self.component)
    }

    fn verify(&self, sidecar: &[u8]) -> Result<TrustedBy, VerifyError> {
        let check = Check {
            component: Digest::of(&self.component),
            manifest: &self.manifest,
            now: self.now,
            listed: Listing::Required(&self.view),
            trust: &self.trust,
        };
        verify(sidecar, &check).map(|verified| verified.trusted_by)
    }

    fn verify_own(&self) -> Result<TrustedBy, VerifyError> {
        self.verify(&self.statement().sign(&self.key).unwrap().to_json())
    }
}

fn add_key(view: &mut View, plugin: &str, key: &KeyPair) {
    let event = Event::KeyAdded {
        name: name(plugin),
        key: key.public(),
    };
    view.apply(&Entry { at: at(0), event }).unwrap();
}

fn revoke(view: &mut View, plugin: &str, key: KeyId) {
    let event = Event::KeyRevoked {
        name: name(plugin),
        key,
        reason: "the laptop was stolen".to_owned(),
    };
    view.apply(&Entry { at: at(0), event }).unwrap();
}

#[test]
fn a_statement_of_a_listed_and_trusted_key_holds() {
    assert_eq!(Case::new().verify_own(), Ok(TrustedBy::Operator));
}

#[test]
fn a_swapped_component_is_refused() {
    let mut case = Case::new();
    let sidecar = case.statement().sign(&case.key).unwrap().to_json();
    case.component = b"another".to_vec();
    assert_eq!(
        case.verify(&sidecar),
        Err(VerifyError::OtherComponent {
            signed: Digest::of(b"component"),
            found: Digest::of(b"another"),
        })
    );
}

#[test]
fn a_manifest_that_names_another_plugin_or_version_is_refused() {
    let mut case = Case::new();
    case.manifest = manifest("acme-mails", "1.2.3");
    assert_eq!(
        case.verify_own(),
        Err(VerifyError::OtherName {
            signed: name("acme-texts"),
            manifest: name("acme-mails"),
        })
    );
    case.manifest = manifest("acme-texts", "1.2.4");
    assert_eq!(
        case.verify_own(),
        Err(VerifyError::OtherVersion {
            signed: "1.2.3".parse().unwrap(),
            manifest: "1.2.4".parse().unwrap(),
        })
    );
}

#[test]
fn a_statement_holds_between_its_two_times_only() {
    let mut case = Case::new();
    let statement = case.statement();
    case.now = statement.expires;
    assert!(
        matches!(case.verify_own(), Err(VerifyError::Expired { on, .. }) if on == statement.expires)
    );
    case.now = statement.expires - TimeDelta::seconds(1);
    assert!(case.verify_own().is_ok());
    case.now = statement.issued - TimeDelta::minutes(5);
    assert!(case.verify_own().is_ok(), "clocks may be a little apart");
    case.now = statement.issued - TimeDelta::minutes(6);
    assert_eq!(
        case.verify_own(),
        Err(VerifyError::NotYetValid {
            from: statement.issued
        })
    );
}

#[test]
fn a_key_must_be_listed_for_the_name_and_not_revoked() {
    let mut case = Case::new();
    let key = case.key.public().id();
    revoke(&mut case.view, "acme-texts", key);
    assert_eq!(
        case.verify_own(),
        Err(VerifyError::KeyRevoked {
            key,
            name: name("acme-texts"),
            reason: "the laptop was stolen".to_owned(),
        })
    );
    case.view = View::default();
    add_key(&mut case.view, "acme-mails", &case.key);
    assert_eq!(
        case.verify_own(),
        Err(VerifyError::KeyNotListed {
            key,
            name: name("acme-texts")
        })
    );
}

#[test]
fn a_listed_key_must_be_trusted_by_the_operator_too() {
    let mut case = Case::new();
    let key = case.key.public().id();
    case.trust = Trust::nobody();
    assert_eq!(
        case.verify_own(),
        Err(VerifyError::KeyNotTrusted {
            key,
            name: name("acme-texts")
        })
    );
    case.trust = Trust::nobody().on_first_use();
    assert_eq!(case.verify_own(), Ok(TrustedBy::FirstUse));
}

#[test]
fn a_statement_signed_with_another_key_than_it_names_is_refused() {
    let case = Case::new();
    let thief = KeyPair::generate();
    assert!(matches!(
        case.statement().sign(&thief),
        Err(SignError::OtherKey { .. })
    ));
    let payload = serde_json::to_vec(&case.statement()).unwrap();
    let forged = Envelope::sign(STATEMENT_TYPE, payload, &thief).to_json();
    assert_eq!(
        case.verify(&forged),
        Err(VerifyError::WrongSignature {
            key: case.key.public().id()
        })
    );
}

#[test]
fn what_breaks_a_rule_is_neither_signed_nor_read() {
    let case = Case::new();
    let mut build = case.statement();
    build.version = "1.2.3+build".parse().unwrap();
    let mut forever = case.statement();
    forever.expires = forever.issued + TimeDelta::days(10_000);
    let mut backwards = case.statement();
    backwards.expires = backwards.issued;
    for statement in [build, forever, backwards] {
        assert!(matches!(
            statement.sign(&case.key),
            Err(SignError::Statement(_))
        ));
        let payload = serde_json::to_vec(&statement).unwrap();
        let signed = Envelope::sign(STATEMENT_TYPE, payload, &case.key).to_json();
        assert!(matches!(
            case.verify(&signed),
            Err(VerifyError::Malformed(_))
        ));
    }
    let mut extra = serde_json::to_value(case.statement()).unwrap();
    extra["trusted"] = true.into();
    let payload = serde_json::to_vec(&extra).unwrap();
    let signed = Envelope::sign(STATEMENT_TYPE, payload, &case.key).to_json();
    assert!(matches!(
        Statement::open(&signed),
        Err(StatementError::Syntax(_))
    ));
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let case = Case::new();
    let sidecar = case.statement().sign(&case.key).unwrap().to_json();
    for position in 0..sidecar.len() {
        for bit in 0..8 {
            let mut flipped = sidecar.clone();
            flipped[position] ^= 1 << bit;
            assert!(case.verify(&flipped).is_err(), "byte {position}, bit {bit}");
        }
    }
    for length in 0..sidecar.len() {
        assert!(case.verify(&sidecar[..length]).is_err());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        prop_assert!(matches!(Case::new().verify(&bytes), Err(VerifyError::Malformed(_))));
    }

    #[test]
    fn whatever_is_signed_is_read_back(version in "(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]{0,5})(-[a-z]{1,8})?", component in any::<[u8; 32]>(), days in 1_i64..1_800) {
        let key = KeyPair::generate();
        let mut statement = statement(&key, "acme-texts", &version, b"");
        statement.component = component.into();
        statement.expires = statement.issued + TimeDelta::days(days);
        let sidecar = statement.sign(&key).unwrap().to_json();
        let opened = Statement::open(&sidecar).unwrap();
        prop_assert_eq!(opened.signed().unwrap(), &statement);
    }
}
