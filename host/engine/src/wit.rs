//! The records that cross the border to an adapter, as Rust types generated from `wit/`.

/// What every category shares: failures, costs, errors.
pub mod common {
    pub use crate::bindings::onerouter::types::common::{
        CallError, Cost, Extra, Failure, FieldError, TimestampMs,
    };
}

/// Text messages.
pub mod sms {
    pub use crate::bindings::exports::onerouter::sms::sms::{Message, SendRequest};
    pub use crate::bindings::exports::onerouter::sms::sms_lookup::Window;
}

/// E-mail.
pub mod email {
    pub use crate::bindings::exports::onerouter::email::email::{
        Attachment, AttachmentContent, Message, SendRequest,
    };
}

/// The account behind a connection.
pub mod account {
    pub use crate::bindings::exports::onerouter::account::account_check::Account;
}

/// What the interfaces of payments share.
pub mod payments {
    pub use crate::bindings::exports::onerouter::payments::payments::{
        CaptureMode, CreateRequest, Payment,
    };
    pub use crate::bindings::onerouter::payments::types::{
        Attempt, CheckoutForm, Customer, Moment, Money, Reference, Step, Window,
    };
}

/// Refunds.
pub mod refunds {
    pub use crate::bindings::exports::onerouter::payments::refunds::{
        CreateRequest, Refund, Speed,
    };
}

/// Plans.
pub mod plans {
    pub use crate::bindings::exports::onerouter::payments::plans::{CreateRequest, Interval, Plan};
}

/// Subscriptions.
pub mod subscriptions {
    pub use crate::bindings::exports::onerouter::payments::subscriptions::{
        CreateRequest, Subscription,
    };
}

/// Payment links.
pub mod payment_links {
    pub use crate::bindings::exports::onerouter::payments::payment_links::{
        CreateRequest, PaymentLink,
    };
}

/// What providers tell of their own accord.
pub mod webhooks {
    pub use crate::bindings::exports::onerouter::webhooks::webhooks::{
        Answer, Consent, Engagement, EngagementKind, Event, IncomingMessage, Kind, Medium,
        MessageReport, News, Reading, Request, Subject,
    };
}
