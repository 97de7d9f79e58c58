//! `GET …/Messages.json`: newest first, filtered, in pages that link to each other.

use chrono::{DateTime, NaiveDate, Utc};
use http::StatusCode;
use serde::Serialize;
use url::form_urlencoded::byte_serialize;

use super::{
    State,
    account::Account,
    error::TwilioError,
    form::Form,
    message::{Message, MessageView},
};
use crate::{call::Call, lock, reply::Reply};

const PAGE_SIZE_DEFAULT: usize = 50;
const PAGE_SIZE_MAX: usize = 1000;
/// The filters that a page's links repeat.
const FILTERS: [&str; 5] = ["To", "From", "DateSent", "DateSent<", "DateSent>"];

pub(super) struct PageSize(pub(super) usize);

struct Filter<'a> {
    to: Option<&'a str>,
    from: Option<&'a str>,
    sent_on: Option<NaiveDate>,
    sent_until: Option<NaiveDate>,
    sent_since: Option<NaiveDate>,
}

#[derive(Serialize)]
struct Page<'a> {
    end: usize,
    first_page_uri: String,
    messages: Vec<MessageView<'a>>,
    next_page_uri: Option<String>,
    page: usize,
    page_size: usize,
    previous_page_uri: Option<String>,
    start: usize,
    uri: String,
}

/// Where a page begins: tokens hold the SID of a neighbouring page's last (`PA`) or first (`PB`) message.
enum Token<'a> {
    Start,
    After(&'a str),
    Before(&'a str),
}

pub(super) fn list(state: &State, account: &Account, call: &Call) -> Result<Reply, TwilioError> {
    let form = Form::of_query(call);
    let filter = Filter::of(&form)?;
    let PageSize(size) = PageSize::of(&form)?;
    let page: usize = number(&form, "Page")?.unwrap_or(0);
    let token = Token::of(&form)?;
    let now = state.core.clock.now();

    let messages = lock(&state.messages);
    let place = |sid: &str| {
        messages
            .index_of(sid)
            .ok_or_else(|| TwilioError::about(20422, "PageToken"))
    };
    let matching = messages
        .iter()
        .rev()
        .filter(|(_, message)| filter.matches(message, now));
    // One more than fits tells whether there is a next page.
    let enough = size.saturating_add(1);
    let mut found: Vec<&Message> = match token {
        Token::Start => matching.map(|(_, message)| message).take(enough).collect(),
        Token::After(sid) => {
            let last = place(sid)?;
            matching
                .filter(|(at, _)| *at < last)
                .map(|(_, message)| message)
                .take(enough)
                .collect()
        }
        Token::Before(sid) => {
            let first = place(sid)?;
            let mut newer: Vec<&Message> = matching
                .filter(|(at, _)| *at > first)
                .map(|(_, message)| message)
                .collect();
            newer.split_off(newer.len().saturating_sub(size))
        }
    };
    let has_next = found.len() > size || matches!(token, Token::Before(_));
    found.truncate(size);

    let link = |page: usize, token: Option<String>| link(account, &form, size, page, token);
    let next = found
        .last()
        .filter(|_| has_next)
        .map(|last| format!("PA{}", last.sid));
    let previous = found
        .first()
        .filter(|_| page > 0)
        .map(|first| format!("PB{}", first.sid));
    let start = page.saturating_mul(size);
    Ok(Reply::json(
        StatusCode::OK,
        &Page {
            end: start
                .saturating_add(found.len())
                .saturating_sub(1)
                .max(start),
            first_page_uri: link(0, None),
            next_page_uri: next.map(|token| link(page.saturating_add(1), Some(token))),
            page,
            page_size: size,
            previous_page_uri: previous.map(|token| link(page.saturating_sub(1), Some(token))),
            start,
            uri: link(page, form.filled("PageToken").map(str::to_owned)),
            messages: found.into_iter().map(|message| message.view(now)).collect(),
        },
    ))
}

/// Relative to the host, as documented.
fn link(
    account: &Account,
    form: &Form<'_>,
    size: usize,
    page: usize,
    token: Option<String>,
) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let mut uri = format!("/2010-04-01/Accounts/{}/Messages.json?", account.sid);
    for name in FILTERS {
        if let Some(value) = form.filled(name) {
            uri.push_str(&format!("{}={}&", encode(name), encode(value)));
        }
    }
    uri.push_str(&format!("PageSize={size}&Page={page}"));
    if let Some(token) = token {
        uri.push_str(&format!("&PageToken={token}"));
    }
    uri
}

impl PageSize {
    pub(super) fn of(form: &Form<'_>) -> Result<PageSize, TwilioError> {
        match number(form, "PageSize")? {
            None => Ok(PageSize(PAGE_SIZE_DEFAULT)),
            Some(0) => Err(TwilioError::about(20422, "PageSize")),
            Some(size) => Ok(PageSize(size.min(PAGE_SIZE_MAX))),
        }
    }
}

impl<'a> Filter<'a> {
    fn of(form: &'a Form<'_>) -> Result<Filter<'a>, TwilioError> {
        let mut filter = Filter {
            to: form.filled("To"),
            from: form.filled("From"),
            sent_on: None,
            sent_until: date(form, "DateSent<")?,
            sent_since: date(form, "DateSent>")?,
        };
        // The bound may also stand in the value: `DateSent=<=2026-01-31`.
        if let Some(value) = form.filled("DateSent") {
            if let Some(day) = value.strip_prefix("<=") {
                filter.sent_until = Some(parse_date(day, "DateSent")?);
            } else if let Some(day) = value.strip_prefix(">=") {
                filter.sent_since = Some(parse_date(day, "DateSent")?);
            } else {
                filter.sent_on = Some(parse_date(value, "DateSent")?);
            }
        }
        Ok(filter)
    }

    /// Bounds are inclusive. A message that was not sent has no date, so any date filter leaves it out.
    fn matches(&self, message: &Message, now: DateTime<Utc>) -> bool {
        if self.to.is_some_and(|to| to != message.to) {
            return false;
        }
        if self
            .from
            .is_some_and(|from| message.from(message.status(now).0) != Some(from))
        {
            return false;
        }
        if self.sent_on.is_none() && self.sent_until.is_none() && self.sent_since.is_none() {
            return true;
        }
        message
            .sent_at(now)
            .map(|at| at.date_naive())
            .is_some_and(|day| {
                self.sent_on.is_none_or(|on| day == on)
                    && self.sent_until.is_none_or(|until| day <= until)
                    && self.sent_since.is_none_or(|since| day >= since)
            })
    }
}

impl<'a> Token<'a> {
    fn of(form: &'a Form<'_>) -> Result<Token<'a>, TwilioError> {
        match form
            .filled("PageToken")
            .map(|token| token.split_at_checked(2))
        {
            None => Ok(Token::Start),
            Some(Some(("PA", sid))) => Ok(Token::After(sid)),
            Some(Some(("PB", sid))) => Ok(Token::Before(sid)),
            Some(_) => Err(TwilioError::about(20422, "PageToken")),
        }
    }
}

fn date(form: &Form<'_>, name: &str) -> Result<Option<NaiveDate>, TwilioError> {
    form.filled(name)
        .map(|value| parse_date(value, name))
        .transpose()
}

fn parse_date(value: &str, name: &str) -> Result<NaiveDate, TwilioError> {
    NaiveDate::parse_from_str(value, "%Y-%m-%d")
        .map_err(|_unreadable| TwilioError::about(20422, name))
}

fn number(form: &Form<'_>, name: &str) -> Result<Option<usize>, TwilioError> {
    let parsed = form.filled(name).map(str::parse).transpose();
    parsed.map_err(|_unreadable| TwilioError::about(20422, name))
}
