//! Which operation a request asks for.

use http::Method;

use super::error::ResendError;
use crate::call::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Send,
    Batch,
    List,
    Get(&'a str),
    Reschedule(&'a str),
    Cancel(&'a str),
    CreateWebhook,
    Webhooks,
    Webhook(&'a str),
    UpdateWebhook(&'a str),
    RemoveWebhook(&'a str),
}

impl<'a> Route<'a> {
    pub(super) fn of(call: &'a Call) -> Result<Route<'a>, ResendError> {
        let mut segments = call.path().split('/').skip(1);
        let route = match (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) {
            (Some("emails"), None | Some(""), None, None) => match call.method {
                Method::POST => Some(Route::Send),
                Method::GET => Some(Route::List),
                _ => None,
            },
            (Some("emails"), Some("batch"), None, None) => {
                (call.method == Method::POST).then_some(Route::Batch)
            }
            (Some("emails"), Some(id), None, None) => match call.method {
                Method::GET => Some(Route::Get(id)),
                Method::PATCH => Some(Route::Reschedule(id)),
                _ => None,
            },
            (Some("emails"), Some(id), Some("cancel"), None) => {
                (call.method == Method::POST).then_some(Route::Cancel(id))
            }
            (Some("webhooks"), None | Some(""), None, None) => match call.method {
                Method::POST => Some(Route::CreateWebhook),
                Method::GET => Some(Route::Webhooks),
                _ => None,
            },
            (Some("webhooks"), Some(id), None, None) => match call.method {
                Method::GET => Some(Route::Webhook(id)),
                Method::PATCH => Some(Route::UpdateWebhook(id)),
                Method::DELETE => Some(Route::RemoveWebhook(id)),
                _ => None,
            },
            _ => return Err(ResendError::named("not_found")),
        };
        route.ok_or(ResendError::named("method_not_allowed"))
    }
}
