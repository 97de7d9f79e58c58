//! What refusals mean. Textbelt answers 200 to them, `{"success": false, "error": "Out of quota"}`, and has
//! no codes: only its words tell them apart, and what is not known stays a refusal.

use onerouter_plugin::prelude::*;

/// Words that stand in a refusal, and what they mean.
const KNOWN: [(&str, Ending, &str, &str); 4] = [
    (
        "quota",
        Ending::Declined,
        "quota_exceeded",
        "The key has no quota left.",
    ),
    (
        "key",
        Ending::Unauthorized,
        "invalid_credentials",
        "Textbelt does not know the key.",
    ),
    (
        "phone",
        Ending::Declined,
        "invalid_recipient",
        "The recipient is not a number that can receive text messages.",
    ),
    (
        "url",
        Ending::Declined,
        "content_rejected",
        "Textbelt sends no links for this key.",
    ),
];

/// How a call ends whose message was not taken; none where it was.
pub(crate) fn of(answer: &Answer) -> Option<(Ending, Failure)> {
    if !answer.is_success() {
        return Some(by_status(answer));
    }
    let object = answer.object()?;
    match object.raw("success")? {
        "false" => {}
        // Taken, or nonsense: whoever reads the answer will see.
        _ => return None,
    }
    let words = object.text("error").unwrap_or_default();
    let lower = words.to_lowercase();
    let known = KNOWN.iter().find(|(part, ..)| lower.contains(part));
    let (ending, unified, message) = match known {
        Some((_, ending, unified, message)) => (*ending, *unified, *message),
        None => (
            Ending::Declined,
            "rejected",
            "Textbelt refused the message.",
        ),
    };
    let told = Failure {
        provider_message: Some(words),
        ..failure(unified, message)
    };
    Some((ending, told))
}

/// How a call ends with an answer that is no success.
pub(crate) fn by_status(answer: &Answer) -> (Ending, Failure) {
    refusal::understand(&[], answer, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    #[test]
    fn words_tell_refusals_apart() {
        for (words, ending, code) in [
            ("Out of quota", Ending::Declined, "quota_exceeded"),
            (
                "Invalid API key",
                Ending::Unauthorized,
                "invalid_credentials",
            ),
            (
                "Invalid phone number",
                Ending::Declined,
                "invalid_recipient",
            ),
            ("Something new", Ending::Declined, "rejected"),
        ] {
            let body = format!(r#"{{"success":false,"error":"{words}"}}"#);
            let (found, failure) = of(&answer(200, &body)).unwrap();
            assert_eq!((found, failure.code.as_str()), (ending, code), "{words}");
            assert_eq!(failure.provider_message.as_deref(), Some(words));
        }
    }

    #[test]
    fn what_was_taken_or_makes_no_sense_is_no_refusal() {
        assert!(of(&answer(200, r#"{"success":true,"textId":"1"}"#)).is_none());
        assert!(of(&answer(200, "<html>")).is_none());
        assert_eq!(of(&answer(500, "")).unwrap().0, Ending::Unclear);
        assert_eq!(of(&answer(429, "")).unwrap().0, Ending::NotSent);
    }
}
