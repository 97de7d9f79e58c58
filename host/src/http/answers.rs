//! How answers are put on the wire.

use std::fmt::Display;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::service::objects::{Answer, Page};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// JSON that is ready.
#[derive(Debug)]
pub(crate) struct Json(pub(crate) StatusCode, pub(crate) Bytes);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        response
    }
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Json {
    Json(status, serde_json::to_vec(value).unwrap_or_default().into())
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let is_problem = status.as_u16() >= 400;
        let mut response = Json(status, self.body).into_response();
        let headers = response.headers_mut();
        if is_problem {
            headers.insert(header::CONTENT_TYPE, super::problem::PROBLEM_JSON);
        }
        if self.is_replay {
            headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// `list`
    pub(crate) object: &'static str,
    /// Newest first.
    pub(crate) data: Vec<T>,
    /// Whether there are more.
    pub(crate) has_more: bool,
    /// Send it as `cursor` to get them.
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    pub(crate) fn page(data: Vec<T>, next_cursor: Option<String>) -> Self {
        Self {
            object: "list",
            data,
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

/// Of rows that were read with one more than `limit`: takes that one off again, and gives the cursor
/// that leads to it.
pub(crate) fn next_cursor<T, I: Display>(
    rows: &mut Vec<T>,
    limit: u16,
    id: impl FnOnce(&T) -> I,
) -> Option<String> {
    let has_more = rows.len() > usize::from(limit);
    rows.truncate(usize::from(limit));
    let last = rows.last().filter(|_| has_more)?;
    Some(id(last).to_string())
}

/// Objects that are JSON already.
pub(crate) fn page(page: Page) -> Json {
    let data: Vec<Box<RawValue>> = page.data.into_iter().filter_map(raw).collect();
    json(StatusCode::OK, &List::page(data, page.next_cursor))
}

/// Bytes that we rendered ourselves.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Option<Box<RawValue>> {
    String::from_utf8(bytes.into())
        .ok()
        .and_then(|text| RawValue::from_string(text).ok())
}
