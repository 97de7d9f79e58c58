//! Request parameters: `application/x-www-form-urlencoded`, names in PascalCase, lists by repetition.

use std::borrow::Cow;

use http::header;

use crate::call::Call;

#[derive(Debug)]
pub(super) struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// A body of another type has no parameters for Twilio, which then misses the first required one.
    pub(super) fn of(call: &'a Call) -> Form<'a> {
        let content_type = call
            .header(header::CONTENT_TYPE.as_str())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Form(Vec::new());
        }
        Form(url::form_urlencoded::parse(&call.body).collect())
    }

    pub(super) fn of_query(call: &'a Call) -> Form<'a> {
        Form(url::form_urlencoded::parse(call.query().as_bytes()).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_ref())
    }

    /// A parameter that is there and not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(super) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_ref())
    }
}
