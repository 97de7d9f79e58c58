//! What a scenario asks for, where it is not the kit's own request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! input {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// Fields of a request that differ from the kit's own.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Input {
            $(
                $(#[$doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $field: Option<$type>,
            )*
        }

        impl Input {
            /// This one where it says something, else the other.
            pub(crate) fn or(self, other: &Self) -> Self {
                Self {
                    $($field: self.$field.or_else(|| other.$field.clone()),)*
                }
            }
        }
    };
}

input! {
    /// The recipient of a message.
    to: String,
    sender: String,
    /// Text of a text message.
    body: String,
    subject: String,
    html: String,
    text: String,
    /// When to send: milliseconds after the time of the call.
    send_in_ms: u64,
    amount_minor: u64,
    currency: String,
    description: String,
    reason: String,
    method: String,
    customer_name: String,
    customer_email: String,
    customer_phone: String,
    /// Name of a plan.
    name: String,
    /// `manual` or `automatic`.
    capture: String,
    /// `now` or `cycle-end`.
    moment: String,
    /// OneRouter's id of the object.
    object_id: String,
    /// The provider's id of what is read or changed; of a refund's payment; of a subscription's plan.
    provider_id: String,
    provider_payment_id: String,
    state: BTreeMap<String, String>,
    /// The provider's id of another plan.
    new_plan_id: String,
    /// What a checkout handed to the browser.
    response: BTreeMap<String, String>,
}

impl Input {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
