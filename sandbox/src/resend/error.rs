//! The error table: <https://resend.com/docs/api-reference/errors>.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use crate::reply::Reply;

/// Name, status, message. `validation_error` also comes with 400 and 403.
const ERRORS: &[(&str, u16, &str)] = &[
    (
        "invalid_idempotency_key",
        400,
        "The key must be between 1-256 chars.",
    ),
    (
        "missing_api_key",
        401,
        "Missing API key in the authorization header.",
    ),
    (
        "restricted_api_key",
        401,
        "This API key is restricted to only send emails.",
    ),
    ("invalid_api_key", 403, "API key is invalid."),
    ("not_found", 404, "The requested endpoint does not exist."),
    (
        "method_not_allowed",
        405,
        "Method is not allowed for the requested path.",
    ),
    (
        "invalid_idempotent_request",
        409,
        "Same idempotency key used with a different request payload.",
    ),
    (
        "concurrent_idempotent_requests",
        409,
        "Same idempotency key used while original request is still in progress.",
    ),
    (
        "invalid_access",
        422,
        "Access must be \"full_access\" | \"sending_access\".",
    ),
    (
        "invalid_attachment",
        422,
        "Attachment must have either a `content` or `path`.",
    ),
    (
        "invalid_from_address",
        422,
        "Invalid `from` field. The email address needs to follow the `email@example.com` or `Name <email@example.com>` format.",
    ),
    (
        "invalid_parameter",
        422,
        "The parameter must be a valid UUID.",
    ),
    (
        "invalid_region",
        422,
        "Region must be \"us-east-1\" | \"eu-west-1\" | \"sa-east-1\".",
    ),
    (
        "missing_required_field",
        422,
        "The request body is missing one or more required fields.",
    ),
    (
        "validation_error",
        422,
        "We found an error with one or more fields in the request.",
    ),
    (
        "daily_quota_exceeded",
        429,
        "You have reached your daily email sending quota.",
    ),
    (
        "monthly_quota_exceeded",
        429,
        "You have reached your monthly email sending quota.",
    ),
    (
        "rate_limit_exceeded",
        429,
        "Too many requests. Please limit the number of requests per second. Or contact support to increase rate limit.",
    ),
    (
        "security_error",
        451,
        "We may have found a security issue with the request.",
    ),
    ("application_error", 500, "An unexpected error occurred."),
    (
        "internal_server_error",
        500,
        "An unexpected error occurred.",
    ),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResendError {
    status: u16,
    name: Cow<'static, str>,
    message: Cow<'static, str>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "statusCode")]
    status: u16,
    message: &'a str,
    name: &'a str,
}

impl ResendError {
    /// As the table has it.
    pub(super) fn named(name: &'static str) -> ResendError {
        let (status, message) =
            find(name).map_or((500, ""), |(_, status, message)| (*status, *message));
        ResendError {
            status,
            name: name.into(),
            message: message.into(),
        }
    }

    pub(super) fn saying(name: &'static str, message: impl Into<Cow<'static, str>>) -> ResendError {
        ResendError {
            message: message.into(),
            ..ResendError::named(name)
        }
    }

    /// 422
    pub(super) fn validation(message: impl Into<Cow<'static, str>>) -> ResendError {
        ResendError::saying("validation_error", message)
    }

    pub(super) fn missing(field: &str) -> ResendError {
        ResendError::saying(
            "missing_required_field",
            format!("Missing `{field}` field."),
        )
    }

    pub(super) fn with_status(self, status: StatusCode) -> ResendError {
        ResendError {
            status: status.as_u16(),
            ..self
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn reply(self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reply = Reply::json(
            status,
            &ErrorBody {
                status: self.status,
                message: &self.message,
                name: &self.name,
            },
        );
        // Quotas come back after a day or a month; only the rate limit tells when.
        if self.name == "rate_limit_exceeded" {
            reply.with("retry-after", 1)
        } else {
            reply
        }
    }
}

/// The answer that a fault or a special recipient asks for.
pub(super) fn refusal(status: Option<StatusCode>, code: Option<&str>) -> Reply {
    let usual = match status.map(|status| status.as_u16()) {
        Some(401) => "missing_api_key",
        Some(403) => "invalid_api_key",
        Some(404) => "not_found",
        Some(405) => "method_not_allowed",
        Some(409) => "concurrent_idempotent_requests",
        Some(400 | 422) => "validation_error",
        Some(429) => "rate_limit_exceeded",
        Some(451) => "security_error",
        Some(500) => "internal_server_error",
        _ => "application_error",
    };
    let name = code.unwrap_or(usual);
    let error = find(name).map_or_else(
        || ResendError {
            name: name.to_owned().into(),
            ..ResendError::named("application_error")
        },
        |(name, _, _)| ResendError::named(name),
    );
    match status {
        Some(status) => error.with_status(status).reply(),
        None => error.reply(),
    }
}

pub(super) fn of_name(name: &str) -> Option<ResendError> {
    find(name).map(|(name, _, _)| ResendError::named(name))
}

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    ERRORS.iter().map(|(name, _, _)| *name)
}

fn find(name: &str) -> Option<&'static (&'static str, u16, &'static str)> {
    ERRORS.iter().find(|(known, _, _)| *known == name)
}
