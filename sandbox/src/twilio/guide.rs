//! What a person needs to know to use the emulated Twilio.

use serde_json::{Value, json};

use super::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, FROM_NUMBER, MESSAGING_SERVICE_SID,
    SECOND_FROM_NUMBER, TEST_ACCOUNT_SID, TEST_AUTH_TOKEN, error, number,
};

pub(super) fn guide() -> Value {
    json!({
        "account": {
            "account_sid": ACCOUNT_SID,
            "auth_token": AUTH_TOKEN,
            "api_key_sid": API_KEY_SID,
            "api_key_secret": API_KEY_SECRET,
            "numbers": [FROM_NUMBER, SECOND_FROM_NUMBER],
            "messaging_service_sid": MESSAGING_SERVICE_SID,
        },
        "test credentials": {
            "account_sid": TEST_ACCOUNT_SID,
            "auth_token": TEST_AUTH_TOKEN,
            "allows": "creating messages only; anything else is 403",
            "from": number::VALID_FROM,
        },
        "webhooks": {
            "statuses": "StatusCallback of a message, or of the Messaging Service",
            "POST /_sandbox/webhooks": "inbound URL of the numbers, callback of the Messaging Service",
            "POST /_sandbox/twilio/receive-message": "{from, to, body?, media_urls?}: somebody texts a number",
        },
        "magic numbers": {
            "From": {
                "+15005550006": "passes", "+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611,
            },
            "To": {
                "+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610,
                "+15005550009": 21614,
            },
        },
        "the sandbox's own numbers (To)": {
            "+150055CCCCC": "ends undelivered with code CCCCC (3xxxx, 63xxx)",
            "+150056CCCCC": "ends failed with code CCCCC",
            "+15005700001": "stays queued",
            "+15005700002": "stays sending",
            "+15005700003": "stays sent",
            "+150058CCCCC": "the request is refused with code CCCCC",
        },
        "error codes": error::all().collect::<Vec<_>>(),
        "delivery codes": error::all_delivery().collect::<Vec<_>>(),
    })
}
