//! What a person needs to know to use the emulated PayPal.

use serde_json::{Map, Value, json};

use super::{
    CLIENT_ID, CLIENT_SECRET, MERCHANT_ID,
    buyer::{EMAIL, PAYER_ID},
    course::AMOUNTS,
    issues,
    money::Currency,
};

pub(super) fn guide() -> Value {
    let amounts: Map<String, Value> = AMOUNTS
        .iter()
        .map(|(whole, meaning)| (whole.to_string(), (*meaning).into()))
        .collect();
    json!({
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "merchant_id": MERCHANT_ID,
        "buyer": { "email_address": EMAIL, "payer_id": PAYER_ID },
        "currencies": Currency::all().collect::<Vec<_>>(),
        "amounts with a meaning (before the decimal point)": amounts,
        "words in custom_id or invoice_id": {
            "sandbox-{meaning}[.anything]": "as by amount, with any status: sandbox-capture-PENDING-ECHECK.17",
            "sandbox-refuse-{issue}": "the payment or the refund is refused",
        },
        "control": {
            "POST /_sandbox/paypal/revoke-tokens": "every access token is void",
            "GET /_sandbox/paypal/root-certificate": "the root under which webhooks are signed, as PEM",
            "POST /_sandbox/checkouts/{order, subscription or ba_token}": "{action, capture? accepted|declined, charge? succeed|fail}",
            "POST /_sandbox/messages/{authorization, capture or refund}/status": "{status, reason?}",
        },
        "issues": issues::all().map(|issue| issue.name).collect::<Vec<_>>(),
    })
}
