//! Error bodies: <https://razorpay.com/docs/errors/>. Which members stand beside `code` and
//! `description` differs from product to product; the shapes are those of the published samples.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::reply::Reply;

pub(super) const NOT_FOUND: &str = "The id provided does not exist";
const URL_NOT_FOUND: &str = "The requested URL was not found on the server.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Plans and subscriptions: nothing beside them, at most `field`.
    Bare,
    /// Orders, payments, refunds: what the business sent wrong.
    Input,
    /// Authentication, routing, idempotency: every word is `NA`.
    NotApplicable,
    /// Refunds that the bank does not support: every word is null.
    Unset,
    /// Payment links: as `Unset`, and the metadata is a list.
    UnsetList,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RazorpayError {
    status: StatusCode,
    code: &'static str,
    description: Cow<'static, str>,
    field: Option<String>,
    shape: Shape,
}

impl RazorpayError {
    /// 400
    pub(super) fn bad(shape: Shape, description: impl Into<Cow<'static, str>>) -> RazorpayError {
        RazorpayError {
            status: StatusCode::BAD_REQUEST,
            code: "BAD_REQUEST_ERROR",
            description: description.into(),
            field: None,
            shape,
        }
    }

    /// An id that is well formed and names nothing: 400, not 404.
    pub(super) fn not_found(shape: Shape) -> RazorpayError {
        RazorpayError::bad(shape, NOT_FOUND)
    }

    /// A path or method that does not exist, or a product that is not switched on.
    pub(super) fn no_such_url() -> RazorpayError {
        RazorpayError::bad(Shape::NotApplicable, URL_NOT_FOUND)
    }

    pub(super) fn unauthorized(shape: Shape, description: &'static str) -> RazorpayError {
        RazorpayError::bad(shape, description).with_status(StatusCode::UNAUTHORIZED)
    }

    pub(super) fn too_many_requests() -> RazorpayError {
        RazorpayError::bad(Shape::NotApplicable, "Too many requests")
            .with_status(StatusCode::TOO_MANY_REQUESTS)
    }

    pub(super) fn about(self, field: impl Into<String>) -> RazorpayError {
        RazorpayError {
            field: Some(field.into()),
            ..self
        }
    }

    pub(super) fn with_status(self, status: StatusCode) -> RazorpayError {
        RazorpayError { status, ..self }
    }

    pub(super) fn reply(self) -> Reply {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.into());
        error.insert("description".to_owned(), self.description.into());
        let (source, step, reason, metadata) = match self.shape {
            Shape::Bare => (None, None, None, None),
            Shape::Input => (
                Some("business".into()),
                Some("payment_initiation".into()),
                Some("input_validation_failed".into()),
                Some(json!({})),
            ),
            Shape::NotApplicable => (
                Some("NA".into()),
                Some("NA".into()),
                Some("NA".into()),
                Some(json!({})),
            ),
            Shape::Unset => (
                Some(Value::Null),
                Some(Value::Null),
                Some(Value::Null),
                Some(json!({})),
            ),
            Shape::UnsetList => (
                Some(Value::Null),
                Some(Value::Null),
                Some(Value::Null),
                Some(json!([])),
            ),
        };
        let members = [
            ("source", source),
            ("step", step),
            ("reason", reason),
            ("metadata", metadata),
            ("field", self.field.map(Value::from)),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                error.insert(name.to_owned(), value);
            }
        }
        let reply = Reply::json(self.status, &json!({ "error": error }));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = http::HeaderValue::from_static("Basic realm=\"Razorpay\"");
            return reply.with("www-authenticate", challenge);
        }
        reply
    }
}

/// The answer that a fault asks for: a code brings its usual status, a status its usual code.
pub(super) fn refusal(status: Option<StatusCode>, code: Option<&str>) -> Reply {
    let by_status = |status: StatusCode| match status.as_u16() {
        401 => RazorpayError::unauthorized(Shape::NotApplicable, "Authentication failed"),
        429 => RazorpayError::too_many_requests(),
        502 | 504 => gateway_error().with_status(status),
        500..=599 => server_error().with_status(status),
        _ => RazorpayError::bad(
            Shape::NotApplicable,
            "An error that the sandbox was told to answer",
        )
        .with_status(status),
    };
    let error = match code {
        Some("GATEWAY_ERROR") => gateway_error(),
        Some("SERVER_ERROR") => server_error(),
        Some(_) => by_status(status.unwrap_or(StatusCode::BAD_REQUEST)),
        None => by_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)),
    };
    match status {
        Some(status) => error.with_status(status).reply(),
        None => error.reply(),
    }
}

pub(super) fn codes() -> [&'static str; 3] {
    ["BAD_REQUEST_ERROR", "GATEWAY_ERROR", "SERVER_ERROR"]
}

fn gateway_error() -> RazorpayError {
    RazorpayError {
        status: StatusCode::BAD_GATEWAY,
        code: "GATEWAY_ERROR",
        ..RazorpayError::bad(
            Shape::NotApplicable,
            "The gateway request to submit payment information timed out. Please submit your details again",
        )
    }
}

fn server_error() -> RazorpayError {
    RazorpayError {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "SERVER_ERROR",
        ..RazorpayError::bad(
            Shape::NotApplicable,
            "We are facing some trouble completing your request at the moment. Please try again shortly.",
        )
    }
}
