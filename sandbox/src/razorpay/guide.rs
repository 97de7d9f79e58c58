//! What a person needs to know to use the emulated Razorpay.

use serde_json::{Value, json};

use super::{
    KEY_ID, KEY_SECRET, REFUND_FAILS, REFUND_NOT_INSTANT, REFUND_REFUSED_INSTANT,
    REFUND_STAYS_PENDING, error, event, payment::Method,
};

pub(super) fn guide() -> Value {
    json!({
        "key": { "key_id": KEY_ID, "key_secret": KEY_SECRET },
        "pages for buyers": {
            "POST /v1/checkout/embedded": "hosted checkout of an order or a subscription",
            "short_url": "of payment links and subscriptions",
            "methods": Method::NAMES,
        },
        "magic refunds (receipt, or the value of a note)": {
            REFUND_FAILS: "ends failed",
            REFUND_STAYS_PENDING: "stays pending",
            REFUND_NOT_INSTANT: "is made at normal speed where optimum was asked for",
            REFUND_REFUSED_INSTANT: "is refused where optimum was asked for",
        },
        "webhooks": event::NAMES,
        "error codes": error::codes(),
    })
}
