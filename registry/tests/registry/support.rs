//! What the tests are made of.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_manifest::{Manifest, PluginId};
use onerouter_registry::{Digest, KeyPair, Statement};

/// Some seconds after a time that all tests begin at.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn name(text: &str) -> PluginId {
    text.to_owned().try_into().unwrap()
}

pub(crate) fn manifest(name: &str, version: &str) -> Manifest {
    manifest_with(name, version, "")
}

pub(crate) fn manifest_with(name: &str, version: &str, rest: &str) -> Manifest {
    Manifest::from_toml(&format!(
        r#"
        manifest = 1
        id = "{name}"
        version = "{version}"
        publisher = "acme"
        name = "The {name} plugin"
        description = "Sends texts over {name}."
        license = "MIT"
        {rest}
        "#
    ))
    .unwrap()
}

/// A component that exports these interfaces, and does nothing.
pub(crate) fn component_of(manifest: Manifest, exports: &[&str], filling: &str) -> Vec<u8> {
    let exports: String = exports
        .iter()
        .map(|export| format!("(export \"{export}\" (instance $nothing))"))
        .collect();
    let text =
        format!("(component (instance $nothing) {exports} (@custom \"filling\" \"{filling}\"))");
    onerouter_manifest::pack(&wat::parse_str(text).unwrap(), manifest).unwrap()
}

pub(crate) const SMS: &str = "onerouter:sms/sms@1.0.0";

/// A component that can send texts.
pub(crate) fn component(name: &str, version: &str) -> Vec<u8> {
    component_of(manifest(name, version), &[SMS], "")
}

/// A statement about a component, good for a year from the time that all tests begin at.
pub(crate) fn statement(key: &KeyPair, name: &str, version: &str, component: &[u8]) -> Statement {
    Statement {
        name: self::name(name),
        version: version.parse().unwrap(),
        component: Digest::of(component),
        publisher: key.public(),
        issued: at(0),
        expires: at(0) + TimeDelta::days(365),
    }
}
