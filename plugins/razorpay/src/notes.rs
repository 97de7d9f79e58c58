//! `notes`: pairs that Razorpay keeps with an object. Ours finds it again; the caller's come along as
//! far as there is room, and are all kept by the gateway.

use alloc::string::String;

use onerouter_plugin::json::{Object, Writer};

/// Under this name stands our id of the object.
const OURS: &str = "onerouter_id";
const PAIRS_MAX: usize = 15;
/// Payment links refuse a 256th, which others take.
const VALUE_CHARACTERS_MAX: usize = 255;

/// Writes the notes of a new object; `own` is a field of the request that Razorpay knows no other place
/// for, and comes before the caller's pairs.
pub(crate) fn write(
    body: &mut Writer,
    object_id: &str,
    own: Option<(&str, &String)>,
    metadata: &[(String, String)],
) {
    body.object("notes", |notes| {
        notes.text(OURS, object_id);
        if let Some((name, value)) = own {
            notes.text(name, value);
        }
        let taken = own.map(|(name, _)| name);
        let fitting = metadata.iter().filter(|(name, value)| {
            name != OURS && taken != Some(name) && value.chars().count() <= VALUE_CHARACTERS_MAX
        });
        let room = PAIRS_MAX.saturating_sub(if taken.is_some() { 2 } else { 1 });
        for (name, value) in fitting.take(room) {
            notes.text(name, value);
        }
    });
}

/// Whether an object is ours.
pub(crate) fn are_of(object: &Object<'_>, object_id: &str) -> bool {
    ours(object).as_deref() == Some(object_id)
}

/// Our id in an object's notes, which are an object, an empty list, or null.
pub(crate) fn ours(object: &Object<'_>) -> Option<String> {
    object.object("notes")?.text(OURS)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    fn written(metadata: &[(String, String)]) -> String {
        let mut body = Writer::new();
        write(&mut body, "pay_1", None, metadata);
        body.finish()
    }

    #[test]
    fn ours_comes_first_and_the_callers_as_far_as_there_is_room() {
        let many: Vec<_> = (0..20)
            .map(|number| (format!("k{number}"), "v".into()))
            .collect();
        let body = written(&many);
        let notes = Object::parse(&body).unwrap().object("notes").unwrap();
        assert_eq!(notes.text("onerouter_id").as_deref(), Some("pay_1"));
        assert!(notes.text("k13").is_some() && notes.text("k14").is_none());
        let odd = [
            ("long".into(), "ж".repeat(256)),
            ("onerouter_id".into(), "pay_2".into()),
            ("fits".into(), "ж".repeat(255)),
        ];
        let body = written(&odd);
        assert!(!body.contains("long") && !body.contains("pay_2") && body.contains("fits"));
    }

    #[test]
    fn a_field_of_the_request_comes_before_the_callers_pairs() {
        let mut body = Writer::new();
        let metadata: Vec<_> = [("receipt", "x"), ("a", "b")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        write(
            &mut body,
            "pay_1",
            Some(("receipt", &"r-17".into())),
            &metadata,
        );
        assert_eq!(
            body.finish(),
            r#"{"notes":{"onerouter_id":"pay_1","receipt":"r-17","a":"b"}}"#
        );
    }

    #[test]
    fn notes_come_in_three_forms() {
        let are = |notes: &str| {
            let body = format!(r#"{{"notes":{notes}}}"#);
            are_of(&Object::parse(&body).unwrap(), "pay_1")
        };
        assert!(are(r#"{"a":"b","onerouter_id":"pay_1"}"#));
        for other in [
            "[]",
            "null",
            "{}",
            r#"{"onerouter_id":"pay_2"}"#,
            r#"{"onerouter_id":1}"#,
        ] {
            assert!(!are(other), "{other}");
        }
    }
}
