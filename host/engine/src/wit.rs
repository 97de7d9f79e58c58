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
