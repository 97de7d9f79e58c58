//! What the adapters send and what the sandbox answers, held against the providers' own OpenAPI
//! descriptions.
//!
//! The descriptions are the providers' and not part of this repository: set
//! `ONEROUTER_PROVIDER_SPECS` to a folder with `twilio_api_v2010.json` (github.com/twilio/twilio-oai),
//! `resend.yaml` (github.com/resend/resend-openapi) and `paypal_orders_v2.json`,
//! `paypal_payments_v2.json`, `paypal_products_v1.json`, `paypal_subscriptions_v1.json`
//! (github.com/paypal/paypal-rest-api-specifications). Razorpay publishes none. Without the folder
//! these tests say that they were skipped.

mod exchange;
mod paypal;
mod resend;
mod schema;
mod spec;
mod twilio;

use std::path::PathBuf;

const FOLDER: &str = "ONEROUTER_PROVIDER_SPECS";

/// A file of the folder; none where no folder is named.
fn file(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("skipped: {FOLDER} names no folder with {name}");
        return None;
    };
    Some(PathBuf::from(folder).join(name))
}
