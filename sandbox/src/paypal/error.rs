//! Error bodies: `{name, message, debug_id, details[], links[]}`, and the OAuth shape of tokens.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::{id, issues};
use crate::reply::Reply;

pub(super) const DEBUG_ID: &str = "paypal-debug-id";

/// Status, name, message: fixed by the description of each API. Those of 429 are the documentation's
/// name and our words.
const NAMES: &[(u16, &str, &str)] = &[
    (
        400,
        "INVALID_REQUEST",
        "Request is not well-formed, syntactically incorrect, or violates schema.",
    ),
    (
        401,
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    ),
    (
        403,
        "NOT_AUTHORIZED",
        "Authorization failed due to insufficient permissions.",
    ),
    (
        404,
        "RESOURCE_NOT_FOUND",
        "The specified resource does not exist.",
    ),
    (
        409,
        "RESOURCE_CONFLICT",
        "The server has detected a conflict while processing this request.",
    ),
    (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "The server does not support the request payload's media type.",
    ),
    (
        422,
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
    (429, "RATE_LIMIT_REACHED", "Too many requests; slow down."),
    (
        500,
        "INTERNAL_SERVER_ERROR",
        "An internal server error occurred.",
    ),
    (503, "SERVICE_UNAVAILABLE", "Service Unavailable."),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PaypalError {
    status: u16,
    detail: Option<Box<Detail>>,
    /// Where the buyer can choose another way to pay.
    redirect: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'static str>,
    issue: Cow<'static, str>,
    description: &'static str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    name: &'a str,
    message: &'a str,
    debug_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<[&'a Detail; 1]>,
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Link {
    href: String,
    rel: &'static str,
    method: &'static str,
}

impl PaypalError {
    /// As the table of issues has it.
    pub(super) fn issue(issue: &'static str) -> PaypalError {
        let (status, description) =
            issues::find(issue).map_or((422, ""), |found| (found.status, found.description));
        PaypalError::detailed(status, Cow::Borrowed(issue), description)
    }

    fn detailed(status: u16, issue: Cow<'static, str>, description: &'static str) -> PaypalError {
        PaypalError {
            status,
            detail: Some(Box::new(Detail {
                field: None,
                value: None,
                location: None,
                issue,
                description,
            })),
            redirect: None,
        }
    }

    /// By status alone, without details.
    pub(super) fn status(status: StatusCode) -> PaypalError {
        PaypalError {
            status: status.as_u16(),
            detail: None,
            redirect: None,
        }
    }

    /// By the name of an issue or of a status; `status` overrules the usual one.
    pub(super) fn named(code: &str, status: Option<StatusCode>) -> PaypalError {
        let status = status.map(|status| status.as_u16());
        if let Some((usual, ..)) = NAMES.iter().find(|(_, name, _)| *name == code) {
            return PaypalError {
                status: status.unwrap_or(*usual),
                detail: None,
                redirect: None,
            };
        }
        let known = issues::find(code);
        let (usual, issue, description) = known.map_or_else(
            || (422, code.to_owned().into(), "An issue asked for by name."),
            |found| (found.status, found.name.into(), found.description),
        );
        PaypalError::detailed(status.unwrap_or(usual), issue, description)
    }

    /// The JSON pointer of the field it is about.
    pub(super) fn at(self, field: impl Into<String>) -> PaypalError {
        self.about(field.into(), "body")
    }

    pub(super) fn in_path(self, parameter: &str) -> PaypalError {
        self.about(parameter.to_owned(), "path")
    }

    pub(super) fn in_query(self, parameter: &str) -> PaypalError {
        self.about(parameter.to_owned(), "query")
    }

    fn about(mut self, field: String, location: &'static str) -> PaypalError {
        if let Some(detail) = &mut self.detail {
            detail.field = Some(field);
            detail.location = Some(location);
        }
        self
    }

    pub(super) fn value(mut self, value: impl Into<String>) -> PaypalError {
        if let Some(detail) = &mut self.detail {
            detail.value = Some(value.into());
        }
        self
    }

    pub(super) fn redirecting(mut self, url: String) -> PaypalError {
        self.redirect = Some(url);
        self
    }

    pub(super) fn reply(self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        // A status without a name of its own (by a fault) takes that of its class.
        let class = if self.status < 500 { 400 } else { 500 };
        let row = |status: u16| NAMES.iter().find(|(known, ..)| *known == status);
        let (name, message) = row(self.status)
            .or_else(|| row(class))
            .map_or(("", ""), |(_, name, message)| (*name, *message));
        let debug_id = id::debug();
        let anchor = self
            .detail
            .as_deref()
            .map_or(name, |detail| detail.issue.as_ref());
        let mut links = vec![Link {
            href: format!("https://developer.paypal.com/api/rest/responses/#{anchor}"),
            rel: "information_link",
            method: "GET",
        }];
        links.extend(self.redirect.map(|href| Link {
            href,
            rel: "redirect",
            method: "GET",
        }));
        let body = ErrorBody {
            name,
            message,
            debug_id: &debug_id,
            details: self.detail.as_deref().map(|detail| [detail]),
            links,
        };
        let reply = labelled(Reply::json(status, &body), &debug_id);
        match status {
            StatusCode::TOO_MANY_REQUESTS => reply.with("retry-after", 1),
            _ => reply,
        }
    }
}

/// Errors about tokens come in the shape of RFC 6749.
pub(super) fn oauth(status: StatusCode, error: &str, description: &str) -> Reply {
    let body = json!({ "error": error, "error_description": description });
    labelled(Reply::json(status, &body), &id::debug())
}

pub(super) fn invalid_token() -> Reply {
    oauth(
        StatusCode::UNAUTHORIZED,
        "invalid_token",
        "The access token is unknown or has expired",
    )
}

pub(super) fn invalid_client() -> Reply {
    oauth(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "Client Authentication failed",
    )
}

/// Every answer names the trace by which PayPal would find it.
pub(super) fn traced(reply: Reply) -> Reply {
    if reply.headers.contains_key(DEBUG_ID) {
        return reply;
    }
    labelled(reply, &id::debug())
}

fn labelled(reply: Reply, debug_id: &str) -> Reply {
    match HeaderValue::from_str(debug_id) {
        Ok(value) => reply.with(DEBUG_ID, value),
        Err(_) => reply,
    }
}

/// The answer that a fault asks for.
pub(super) fn refusal(status: Option<StatusCode>, code: Option<&str>) -> Reply {
    match (code, status) {
        (Some("invalid_token"), _) => invalid_token(),
        (Some("invalid_client"), _) => invalid_client(),
        (Some(code), status) => PaypalError::named(code, status).reply(),
        (None, Some(status)) => PaypalError::status(status).reply(),
        (None, None) => PaypalError::status(StatusCode::INTERNAL_SERVER_ERROR).reply(),
    }
}
