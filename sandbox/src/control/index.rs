//! What is here, for machines as JSON and for people as one page.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{page::escaped, provider::Provider};

pub(super) fn guide(providers: &[Arc<dyn Provider>]) -> Value {
    let guides = providers.iter().map(|provider| {
        let mut guide = Map::new();
        guide.insert("host".to_owned(), provider.host().into());
        guide.insert("prefix".to_owned(), format!("/{}", provider.name()).into());
        if let Value::Object(fields) = provider.guide() {
            guide.extend(fields);
        }
        (provider.name().to_owned(), Value::Object(guide))
    });
    json!({
        "sandbox": "An emulator of outside providers. Nothing is sent, nothing is charged.",
        "providers": guides.collect::<Map<_, _>>(),
        "control": {
            "GET /_sandbox/health": "whether it runs",
            "POST /_sandbox/reset": "everything as at the start",
            "GET, POST /_sandbox/clock": "{advance_s?, advance_ms?, frozen?}",
            "GET, PUT /_sandbox/config": "{delivery_ms?, twilio_concurrency?, resend_rate_limit?, resend_quota? free|daily_exceeded|monthly_exceeded, razorpay_rate_limit?, razorpay_auto_capture?, paypal_rate_limit?, paypal_token_ttl_s?, paypal_capture? completed|pending|declined|failed, paypal_refund? completed|pending|failed|cancelled, paypal_charge? succeed|fail, requests_kept?}",
            "GET, POST, DELETE /_sandbox/faults[/{id}]": "{fault, delay_ms?, status?, code?, bytes?, provider?, method?, path_contains?, to?, event?, times? (0: always)}",
            "GET /_sandbox/ledger": "?kind=&provider=&account=&id=&object=&to=&idempotency_key=&limit=",
            "GET, DELETE /_sandbox/requests": "?provider=&method=&path_contains=&limit=",
            "GET, POST /_sandbox/webhooks": "{provider, url, account?, secret?, events?, number?}: has a provider send its events there",
            "PATCH, DELETE /_sandbox/webhooks/{id}": "{url?, secret?, events?, enabled?}",
            "GET, DELETE /_sandbox/deliveries": "?provider=&account=&webhook=&event=&event_id=&object=&limit=: every attempt to deliver a webhook",
            "POST /_sandbox/messages/{id}/status": "{status, error_code?, error_message?} or {last_event}",
            "POST /_sandbox/checkouts/{id}": "{action approve|decline|abandon}: plays the buyer of a payment, a link or a subscription",
            "POST, GET /_sandbox/{provider}/{action}": "what only one provider knows; see there",
            "POST /_sandbox/subscriptions/{id}/cycle": "{charge succeed|fail}: bills the next cycle now",
        },
        "faults": {
            "how": "a rule at POST /_sandbox/faults, or the request header X-Sandbox-Fault: latency_before; delay_ms=500",
            "before the effect": ["latency_before", "reset_before", "error_before"],
            "after the effect": ["latency_after", "reset_after", "error_after", "truncated_body", "malformed_json", "wrong_content_type", "huge_body", "trickle_body"],
            "webhooks, by rule": ["webhook_delay", "webhook_duplicate", "webhook_reorder", "webhook_drop", "webhook_fail", "webhook_wrong_signature"],
        },
    })
}

/// The guide as nested lists; its texts are ours, but credentials and numbers are escaped all the same.
pub(super) fn page(guide: &Value) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Provider sandbox</title></head><body><h1>Provider sandbox</h1>",
    );
    write_value(&mut html, guide);
    html.push_str("</body></html>");
    html
}

fn write_value(html: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            html.push_str("<dl>");
            for (name, value) in fields {
                html.push_str("<dt><code>");
                html.push_str(&escaped(name));
                html.push_str("</code></dt><dd>");
                write_value(html, value);
                html.push_str("</dd>");
            }
            html.push_str("</dl>");
        }
        Value::Array(items) => {
            html.push_str("<ul>");
            for item in items {
                html.push_str("<li>");
                write_value(html, item);
                html.push_str("</li>");
            }
            html.push_str("</ul>");
        }
        Value::String(text) => html.push_str(&escaped(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => html.push_str(&value.to_string()),
    }
}
