//! What a plugin may do, and what one version may do that another may not.
//!
//! An operator who has installed a plugin has agreed to what it may do. A later version that wants more
//! is asked about again; [`added`] says what that is, in sentences.

use std::collections::BTreeSet;

use crate::capability::Capability;
use crate::format::{ConnectionEnvironment, FieldKind, Limits, Manifest, OutboundRule};

/// Everything that a version may do, in sentences, sorted.
#[must_use]
pub fn all(manifest: &Manifest) -> Vec<String> {
    differences(None, manifest)
}

/// What `new` may do and `old` may not, in sentences, sorted; empty where nothing was added.
#[must_use]
pub fn added(old: &Manifest, new: &Manifest) -> Vec<String> {
    differences(Some(old), new)
}

fn differences(old: Option<&Manifest>, new: &Manifest) -> Vec<String> {
    let mut found = BTreeSet::new();
    abilities(old, new, &mut found);
    outbound(old, new, &mut found);
    credentials(old, new, &mut found);
    promises(old, new, &mut found);
    limits(old, new, &mut found);
    found.into_iter().collect()
}

/// Somebody who wanted text messages has not asked for payments.
fn abilities(old: Option<&Manifest>, new: &Manifest, found: &mut BTreeSet<String>) {
    let categories = |manifest: &Manifest| -> BTreeSet<&'static str> {
        let exports = manifest.exports.iter();
        let capabilities = exports.filter_map(|export| Capability::from_export(export));
        let categories = capabilities.filter_map(Capability::category);
        categories.map(|category| category.as_str()).collect()
    };
    let before = old.map(categories).unwrap_or_default();
    for category in categories(new).difference(&before) {
        found.insert(format!("serves {category}"));
    }
}

/// One way out: one method of a rule, in one environment.
#[derive(Debug, Clone, Copy)]
struct Way<'m> {
    rule: &'m OutboundRule,
    method: &'m str,
    environment: ConnectionEnvironment,
}

fn ways(manifest: &Manifest) -> impl Iterator<Item = Way<'_>> {
    manifest.outbound.iter().flat_map(|rule| {
        let both = [ConnectionEnvironment::Test, ConnectionEnvironment::Live];
        let environments: Vec<_> = both
            .into_iter()
            .filter(|one| rule.environments.is_empty() || rule.environments.contains(one))
            .collect();
        rule.methods.iter().flat_map(move |method| {
            environments
                .clone()
                .into_iter()
                .map(move |environment| Way {
                    rule,
                    method,
                    environment,
                })
        })
    })
}

impl Way<'_> {
    /// Whether whoever may go this way may go the other too.
    fn covers(&self, other: &Self) -> bool {
        let (this, that) = (self.rule, other.rule);
        self.reaches(other) && that.auth.iter().all(|auth| this.auth.contains(auth))
    }

    /// Whether it leads to everything that the other leads to, whatever the credential.
    fn reaches(&self, other: &Self) -> bool {
        let (this, that) = (self.rule, other.rule);
        self.method == other.method
            && self.environment == other.environment
            && this.scheme == that.scheme
            && this.port == that.port
            && covers_host(&this.host, &that.host)
            && that.path_prefix.starts_with(&this.path_prefix)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.reaches(other) && other.reaches(self)
    }

    fn place(&self) -> String {
        let rule = self.rule;
        format!(
            "{}://{}:{}{}",
            rule.scheme, rule.host, rule.port, rule.path_prefix
        )
    }

    fn where_only(&self) -> &'static str {
        if self.rule.environments.is_empty() {
            return "";
        }
        match self.environment {
            ConnectionEnvironment::Test => ", for test connections",
            ConnectionEnvironment::Live => ", for live connections",
        }
    }
}

fn covers_host(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    let (Some(name), Some((label, rest))) = (wide.strip_prefix("*."), narrow.split_once('.'))
    else {
        return false;
    };
    label != "*" && rest == name
}

fn outbound(old: Option<&Manifest>, new: &Manifest, found: &mut BTreeSet<String>) {
    let before: Vec<Way<'_>> = old.into_iter().flat_map(ways).collect();
    for way in ways(new) {
        if !before.iter().any(|known| known.covers(&way)) {
            let with = match way.rule.auth.as_slice() {
                [] => String::new(),
                auth => format!(" with the credential {}", auth.join(" or ")),
            };
            found.insert(format!(
                "sends {} to {}{with}{}",
                way.method,
                way.place(),
                way.where_only()
            ));
        }
    }
    reads(&before, new, found);
}

/// Whether a request changes something decides what may be sent again, and the most specific rule says so.
fn reads(before: &[Way<'_>], new: &Manifest, found: &mut BTreeSet<String>) {
    let now: Vec<Way<'_>> = ways(new).collect();
    let changes = |way: &&Way<'_>| !matches!(way.method, "GET" | "HEAD");
    let mut say = |way: &Way<'_>| {
        found.insert(format!(
            "says that {} to {} changes nothing at the provider, and so may be sent again{}",
            way.method,
            way.place(),
            way.where_only()
        ));
    };
    for way in now.iter().filter(changes).filter(|way| way.rule.reads) {
        let is_known = |known: &Way<'_>| known.rule.reads && known.is_same(way);
        if !before.iter().any(is_known) {
            say(way);
        }
    }
    // A rule that has gone may have kept a part of a wider one.
    for known in before.iter().filter(changes).filter(|way| !way.rule.reads) {
        let is_kept = now.iter().any(|way| !way.rule.reads && way.is_same(known));
        let is_read = now.iter().any(|way| way.rule.reads && way.reaches(known));
        if is_read && !is_kept {
            say(known);
        }
    }
}

fn credentials(old: Option<&Manifest>, new: &Manifest, found: &mut BTreeSet<String>) {
    for field in &new.credentials {
        match old.and_then(|old| old.credential(&field.name)) {
            None => {
                found.insert(format!("asks for the credential {}", field.name));
            }
            Some(before) if before.kind == FieldKind::Secret && field.kind != FieldKind::Secret => {
                found.insert(format!(
                    "reads the credential {}, which was a secret that no plugin sees",
                    field.name
                ));
            }
            Some(_) => {}
        }
    }
    for (name, attachment) in &new.auth {
        let before = old.and_then(|old| old.auth.get(name));
        if before != Some(attachment) {
            let fields = attachment.fields().join(", ");
            let way = match before {
                Some(_) => "in another way than before",
                None => "with its requests",
            };
            found.insert(format!("has {fields} sent {way}, as {name}"));
        }
    }
    for (name, signature) in &new.signatures {
        if old.and_then(|old| old.signatures.get(name)) != Some(signature) {
            found.insert(format!(
                "has signatures checked with {}, as {name}",
                signature.credential
            ));
        }
    }
    if let Some(webhook) = &new.webhook
        && old.and_then(|old| old.webhook.as_ref()) != Some(webhook)
    {
        let how = match old.and_then(|old| old.webhook.as_ref()) {
            Some(_) => "believes webhooks in another way than before",
            None => "takes webhooks of its provider",
        };
        found.insert(how.to_owned());
    }
}

/// What it says about its provider, and the host relies on when it sends something again.
fn promises(old: Option<&Manifest>, new: &Manifest, found: &mut BTreeSet<String>) {
    for answer in &new.not_processed {
        if !old.is_some_and(|old| old.not_processed.contains(answer)) {
            let values = match answer.values.as_slice() {
                [] => String::new(),
                values => format!(" ({})", values.join(", ")),
            };
            found.insert(format!(
                "says that an answer {}{values} means that nothing was processed, and that it may be sent again",
                answer.status
            ));
        }
    }
    for (operation, rule) in &new.operations {
        let Some(rule) = &rule.idempotency else {
            continue;
        };
        let before = old
            .and_then(|old| old.operations.get(operation))
            .and_then(|before| before.idempotency.as_ref());
        let is_kept = before
            .is_some_and(|before| before.header == rule.header && before.window_s >= rule.window_s);
        if !is_kept {
            found.insert(format!(
                "says that its provider honours the key in {} for {operation} for {} s, and that it may be repeated",
                rule.header, rule.window_s
            ));
        }
    }
}

fn limits(old: Option<&Manifest>, new: &Manifest, found: &mut BTreeSet<String>) {
    // What every plugin may use is no permission of its own.
    let before = old.map_or_else(Limits::default, |old| old.limits);
    let now = new.limits;
    let wants = [
        ("memory_bytes", before.memory_bytes, now.memory_bytes),
        ("cpu_ms", before.cpu_ms, now.cpu_ms),
        ("wall_ms", before.wall_ms, now.wall_ms),
        ("requests", before.requests.into(), now.requests.into()),
        ("response_bytes", before.response_bytes, now.response_bytes),
        ("log_bytes", before.log_bytes, now.log_bytes),
    ];
    for (name, before, now) in wants {
        if now > before {
            found.insert(format!("uses more in a call: {name} {now}, was {before}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = r#"
        manifest = 1
        id = "acme"
        version = "1.0.0"
        publisher = "acme"
        name = "Acme"
        license = "MIT"

        [[credentials]]
        name = "api_key"
        label = "Key"
        kind = "secret"

        [auth.key]
        scheme = "bearer"
        token = "api_key"

        [[outbound]]
        host = "api.acme.example"
        path_prefix = "/v1/"
        methods = ["GET", "POST"]
        auth = ["key"]
    "#;

    fn acme(change: impl FnOnce(&mut Manifest)) -> Manifest {
        let mut manifest = Manifest::from_toml(ACME).unwrap();
        change(&mut manifest);
        manifest
    }

    fn added_by(change: impl FnOnce(&mut Manifest)) -> Vec<String> {
        added(&acme(|_| {}), &acme(change))
    }

    #[test]
    fn what_stays_or_shrinks_is_no_question() {
        assert_eq!(added_by(|_| {}), Vec::<String>::new());
        let none = added_by(|new| {
            new.outbound[0].methods.pop();
            new.outbound[0].path_prefix = "/v1/messages/".to_owned();
            new.limits.cpu_ms = 10;
        });
        assert_eq!(none, Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_more_is_said() {
        let cases: [(&str, fn(&mut Manifest)); 8] = [
            ("sends DELETE to https://api.acme.example:443/v1/", |new| {
                new.outbound[0].methods.push("DELETE".to_owned());
            }),
            ("sends GET to https://evil.example:443/v1/", |new| {
                new.outbound[0].host = "evil.example".to_owned();
            }),
            ("sends POST to https://api.acme.example:443/", |new| {
                new.outbound[0].path_prefix = "/".to_owned();
            }),
            ("may be sent again", |new| new.outbound[0].reads = true),
            ("asks for the credential other", |new| {
                let mut field = new.credentials[0].clone();
                field.name = "other".to_owned();
                new.credentials.push(field);
            }),
            ("in another way than before", |new| {
                new.auth.insert(
                    "key".to_owned(),
                    crate::Attachment::Query {
                        name: "key".to_owned(),
                        value: "api_key".to_owned(),
                    },
                );
            }),
            ("nothing was processed", |new| {
                new.not_processed.push(crate::NotProcessed {
                    status: 500,
                    pointer: None,
                    values: Vec::new(),
                });
            }),
            ("memory_bytes", |new| new.limits.memory_bytes += 1),
        ];
        for (part, change) in cases {
            let added = added_by(change);
            assert!(
                added.iter().any(|one| one.contains(part)),
                "{part}: {added:?}"
            );
        }
    }

    #[test]
    fn a_secret_that_becomes_readable_is_said() {
        let added = added_by(|new| new.credentials[0].kind = FieldKind::Public);
        assert!(
            added.iter().any(|one| one.contains("which was a secret")),
            "{added:?}"
        );
    }

    #[test]
    fn a_rule_that_kept_a_part_of_a_reading_one_is_missed() {
        let reads = |manifest: &mut Manifest| {
            let mut wide = manifest.outbound[0].clone();
            wide.reads = true;
            manifest.outbound[0].path_prefix = "/v1/payments".to_owned();
            manifest.outbound.push(wide);
        };
        let old = acme(reads);
        assert_eq!(added(&old, &old), Vec::<String>::new());
        for change in [
            (|new: &mut Manifest| drop(new.outbound.remove(0))) as fn(&mut Manifest),
            |new| new.outbound[0].reads = true,
        ] {
            let mut new = old.clone();
            change(&mut new);
            let added = added(&old, &new);
            assert!(
                added
                    .iter()
                    .any(|one| one.contains("POST") && one.contains("/v1/payments")),
                "{added:?}"
            );
        }
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers_host("*.acme.example", "eu.acme.example"));
        assert!(!covers_host("*.acme.example", "a.eu.acme.example"));
        assert!(!covers_host("*.acme.example", "*.eu.example"));
        assert!(!covers_host("eu.acme.example", "*.acme.example"));
    }

    #[test]
    fn a_rule_for_one_environment_is_not_one_for_both() {
        let old = acme(|old| old.outbound[0].environments = vec![ConnectionEnvironment::Test]);
        let added = added(&old, &acme(|_| {}));
        assert_eq!(added.len(), 2, "{added:?}");
    }
}
