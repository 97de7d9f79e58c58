//! What a person needs to know to use the emulated Resend.

use serde_json::{Value, json};

use super::{FROM_EMAIL, FULL_ACCESS_KEY, OWN_ADDRESS, SENDING_ACCESS_KEY, error, event};

pub(super) fn guide() -> Value {
    json!({
        "keys": { "full_access": FULL_ACCESS_KEY, "sending_access": SENDING_ACCESS_KEY },
        "senders": {
            "verified domain": "example.com",
            "example": FROM_EMAIL,
            "resend.dev": format!("may write to {OWN_ADDRESS} and to …@resend.dev only"),
        },
        "magic recipients": {
            "delivered@resend.dev": "ends delivered",
            "bounced@resend.dev": "ends bounced",
            "complained@resend.dev": "delivered, then complained",
            "suppressed@resend.dev": "ends suppressed",
            "labels": "delivered+anything@resend.dev",
        },
        "the sandbox's own recipients": {
            "{last_event}@sandbox.test": "ends with that event; queued@ and sent@ stay there",
            "{error}@refused.test": "the request is refused with that error",
        },
        "webhooks": event::NAMES,
        "errors": error::all().collect::<Vec<_>>(),
    })
}
