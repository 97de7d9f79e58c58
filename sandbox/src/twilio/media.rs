//! The Media subresource of a message.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    State,
    account::Account,
    error::TwilioError,
    form::Form,
    list::PageSize,
    message::{Message, new_sid, not_found, rfc2822},
};
use crate::{call::Call, lock, reply::Reply};

#[derive(Debug)]
pub(super) struct Media {
    sid: String,
    pub(super) url: String,
    pub(super) content_type: &'static str,
}

impl Media {
    /// Nothing is fetched; the name tells the type.
    pub(super) fn new(url: &str) -> Media {
        let path = url
            .split(['?', '#'])
            .next()
            .unwrap_or(url)
            .to_ascii_lowercase();
        let content_type = match path.rsplit('.').next() {
            Some("png") => "image/png",
            Some("gif") => "image/gif",
            Some("pdf") => "application/pdf",
            Some("mp4") => "video/mp4",
            _ => "image/jpeg",
        };
        Media {
            sid: new_sid("ME"),
            url: url.to_owned(),
            content_type,
        }
    }

    fn view(&self, message: &Message) -> Value {
        let date = rfc2822(message.created_at);
        json!({
            "account_sid": message.account.sid,
            "content_type": self.content_type,
            "date_created": date,
            "date_updated": date,
            "parent_sid": message.sid,
            "sid": self.sid,
            "uri": format!("{}/{}.json", uri(message.account, &message.sid), self.sid),
        })
    }
}

/// `GET …/Messages/{Sid}/Media.json`. There are at most ten, so there is never a second page unless
/// `PageSize` asks for one, and then it stays empty: paging is emulated for messages only.
pub(super) fn list(
    state: &State,
    account: &Account,
    sid: &str,
    call: &Call,
) -> Result<Reply, TwilioError> {
    let size = PageSize::of(&Form::of_query(call))?.0;
    let messages = lock(&state.messages);
    let message = messages.find(sid).ok_or_else(|| not_found(account, sid))?;
    let media: Vec<Value> = message
        .media
        .iter()
        .take(size)
        .map(|media| media.view(message))
        .collect();
    let first = format!("{}.json?PageSize={size}&Page=0", uri(account, sid));
    Ok(Reply::json(
        StatusCode::OK,
        &json!({
            "end": media.len().saturating_sub(1),
            "first_page_uri": first,
            "media_list": media,
            "next_page_uri": null,
            "page": 0,
            "page_size": size,
            "previous_page_uri": null,
            "start": 0,
            "uri": first,
        }),
    ))
}

fn uri(account: &Account, sid: &str) -> String {
    format!("/2010-04-01/Accounts/{}/Messages/{sid}/Media", account.sid)
}
