//! Handing over one e-mail.

use alloc::borrow::Cow;
use alloc::string::String;

use onerouter_plugin::common::CallError;
use onerouter_plugin::context;
use onerouter_plugin::failure;
use onerouter_plugin::http::Request;

use crate::account::{EMAILS, authenticated};
use crate::bindings::exports::onerouter::email::email::{Message, SendRequest};
use crate::draft::{self, Way};
use crate::{message, refusal};

/// `POST /emails`
pub(crate) fn send(request: &SendRequest) -> Result<Message, CallError> {
    let sender = sender(request);
    let mistakes = draft::mistakes(request, sender.as_deref(), Way::Alone, context::now());
    let Some(sender) = sender.filter(|_| mistakes.is_empty()) else {
        return Err(CallError::Invalid(mistakes));
    };
    let room = String::with_capacity(draft::bytes_of(request));
    let answer = authenticated(Request::post(EMAILS))
        .header("Idempotency-Key", &request.idempotency_key)
        .json(draft::write(request, &sender, room))
        .send()
        .map_err(failure::after_write)?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    answer
        .object()
        .and_then(|object| message::created(&object, answer.raw(), request))
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// The e-mail's own sender, else the connection's.
pub(crate) fn sender(request: &SendRequest) -> Option<Cow<'_, str>> {
    match &request.sender {
        Some(own) => Some(Cow::Borrowed(own)),
        None => context::setting("from_email").map(Cow::Owned),
    }
}
