//! Which resource a path names.

use http::StatusCode;

use super::error;
use crate::{call::Call, reply::Reply};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Account,
    Messages,
    Message(&'a str),
    Media(&'a str),
    Other,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) account: &'a str,
    pub(super) resource: Resource<'a>,
}

impl<'a> Target<'a> {
    /// `None` without `.json`: that asks for XML.
    pub(super) fn of(call: &'a Call) -> Option<Target<'a>> {
        let path = call.path().strip_suffix(".json")?;
        let mut segments = path.split('/').skip(1);
        if (segments.next(), segments.next()) != (Some("2010-04-01"), Some("Accounts")) {
            return Some(Target {
                account: "",
                resource: Resource::Other,
            });
        }
        let account = segments.next().unwrap_or_default();
        let resource = match (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) {
            (None, _, _, _) => Resource::Account,
            (Some("Messages"), None, _, _) => Resource::Messages,
            (Some("Messages"), Some(sid), None, _) => Resource::Message(sid),
            (Some("Messages"), Some(sid), Some("Media"), None) => Resource::Media(sid),
            _ => Resource::Other,
        };
        Some(Target { account, resource })
    }
}

/// Twilio answers such paths in XML; only its error form is emulated.
pub(super) fn not_json(path: &str) -> Reply {
    let message = error::message(20404, path)
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><RestException><Code>20404</Code><Message>{message}</Message><MoreInfo>https://www.twilio.com/docs/errors/20404</MoreInfo><Status>404</Status></RestException></TwilioResponse>"
    );
    Reply::of(StatusCode::NOT_FOUND, "application/xml", body)
}
