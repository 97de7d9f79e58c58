//! What a tenant fills in to connect a provider, checked against the plugin's manifest.

use std::collections::BTreeMap;

use onerouter_engine::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
use onerouter_manifest::{FieldKind, Manifest};
use zeroize::Zeroizing;

use crate::service::refusal::FieldMistake;

/// Characters of a credential or a setting.
const VALUE_LENGTH_MAX: usize = 4_096;

/// Public fields, and secret ones.
pub(crate) type Sorted = (
    BTreeMap<String, String>,
    BTreeMap<String, Zeroizing<String>>,
);

/// Public and secret fields, checked against the manifest.
///
/// # Errors
/// Every mistake.
pub(crate) fn sort_credentials(
    manifest: &Manifest,
    given: &BTreeMap<String, Zeroizing<String>>,
) -> Result<Sorted, Vec<FieldMistake>> {
    let mut mistakes = Vec::new();
    let mut public = BTreeMap::new();
    let mut secret = BTreeMap::new();
    for field in &manifest.credentials {
        let pointer = format!("/credentials/{}", field.name);
        let Some(value) = given.get(&field.name).filter(|value| !value.is_empty()) else {
            if !field.optional {
                let detail = format!("is required: {}. {}", field.label, field.help);
                mistakes.push(FieldMistake::new(
                    pointer,
                    "required",
                    detail.trim().to_owned(),
                ));
            }
            continue;
        };
        let is_secret = field.kind == FieldKind::Secret;
        let least = if is_secret { SECRET_BYTES_MIN } else { 1 };
        if value.len() > SECRET_BYTES_MAX.min(VALUE_LENGTH_MAX) || value.len() < least {
            let detail = format!("must have {least} to {VALUE_LENGTH_MAX} characters");
            mistakes.push(FieldMistake::new(pointer, "invalid_length", detail));
        } else if !value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            let detail = "may hold printable ASCII characters only, without spaces";
            mistakes.push(FieldMistake::new(pointer, "invalid", detail));
        } else if !field.accepts(value) {
            let detail = format!("does not look like a {}. {}", field.label, field.help);
            mistakes.push(FieldMistake::new(
                pointer,
                "invalid",
                detail.trim().to_owned(),
            ));
        } else if is_secret {
            secret.insert(field.name.clone(), value.clone());
        } else {
            public.insert(field.name.clone(), value.to_string());
        }
    }
    for name in given.keys() {
        if manifest.credential(name).is_none() {
            let known = manifest.credentials.iter().map(|field| field.name.as_str());
            mistakes.push(unknown("credentials", name, known));
        }
    }
    if mistakes.is_empty() {
        Ok((public, secret))
    } else {
        Err(mistakes)
    }
}

/// What is wrong with settings.
pub(crate) fn check_settings(
    manifest: &Manifest,
    given: &BTreeMap<String, String>,
) -> Vec<FieldMistake> {
    let mut mistakes = Vec::new();
    for (name, value) in given {
        match manifest
            .settings
            .iter()
            .find(|setting| setting.name == *name)
        {
            None => {
                let known = manifest
                    .settings
                    .iter()
                    .map(|setting| setting.name.as_str());
                mistakes.push(unknown("settings", name, known));
            }
            Some(setting) if value.len() > VALUE_LENGTH_MAX || !setting.accepts(value) => {
                let detail = format!("does not look like a {}. {}", setting.label, setting.help);
                mistakes.push(FieldMistake::new(
                    format!("/settings/{name}"),
                    "invalid",
                    detail.trim().to_owned(),
                ));
            }
            Some(_) => {}
        }
    }
    mistakes
}

fn unknown<'a>(list: &str, name: &str, known: impl Iterator<Item = &'a str>) -> FieldMistake {
    let known: Vec<&str> = known.collect();
    let pointer = format!("/{list}/{}", name.replace('~', "~0").replace('/', "~1"));
    let detail = if known.is_empty() {
        format!("this plugin has no {list}")
    } else {
        format!("is not one of this plugin's {list}: {}", known.join(", "))
    };
    FieldMistake::new(pointer, "unknown_field", detail)
}
