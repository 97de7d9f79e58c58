//! The one buyer that there is, and how his browser goes back to the merchant.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{buyer::SentBack, page, reply::Reply};

pub(super) const PAYER_ID: &str = "QYR5Z8XDVJNXQ";
pub(super) const EMAIL: &str = "buyer@example.com";

/// Where the browser goes, what it is told otherwise.
#[derive(Debug)]
pub(super) struct WayBack<'a> {
    pub(super) url: Option<&'a str>,
    pub(super) parameters: Vec<(&'static str, String)>,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
}

pub(super) fn name() -> Value {
    json!({ "given_name": "Bea", "surname": "Buyer" })
}

pub(super) fn payer() -> Value {
    json!({
        "name": name(),
        "email_address": EMAIL,
        "payer_id": PAYER_ID,
        "address": { "country_code": "US" },
    })
}

/// The buyer as a means of payment.
pub(super) fn wallet() -> Value {
    json!({
        "email_address": EMAIL,
        "account_id": PAYER_ID,
        "account_status": "VERIFIED",
        "name": name(),
        "address": { "country_code": "US" },
    })
}

impl WayBack<'_> {
    /// The URL with the parameters in its query; one that cannot be read counts as none.
    fn location(&self) -> Option<String> {
        let mut url = Url::parse(self.url?).ok()?;
        url.query_pairs_mut().extend_pairs(&self.parameters);
        Some(url.into())
    }

    pub(super) fn reply(&self) -> Reply {
        let location = self
            .location()
            .and_then(|url| HeaderValue::from_str(&url).ok());
        match location {
            Some(location) => {
                Reply::empty(StatusCode::SEE_OTHER).with(header::LOCATION.as_str(), location)
            }
            None => page::notice(self.title, self.text),
        }
    }

    pub(super) fn sent_back(&self, object: Value) -> SentBack {
        let fields = self
            .parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
        SentBack {
            method: "GET",
            url: self.location(),
            fields: fields.collect::<Map<_, _>>(),
            object,
        }
    }
}

/// For pages that lead nowhere any more.
pub(super) fn gone(text: &str) -> Reply {
    let mut reply = page::notice("PayPal (sandbox)", text);
    reply.status = StatusCode::NOT_FOUND;
    reply
}

/// The one field that may stand beside the buyer's action; everything else is a mistake.
pub(super) fn detail<'a>(
    details: &'a Map<String, Value>,
    name: &str,
    values: &[&str],
) -> Result<Option<&'a str>, String> {
    if let Some(unknown) = details.keys().find(|known| *known != name) {
        return Err(format!("unknown field {unknown}"));
    }
    let Some(value) = details.get(name) else {
        return Ok(None);
    };
    let text = value.as_str().filter(|text| values.contains(text));
    text.map(Some)
        .ok_or_else(|| format!("{name} is one of {}", values.join(", ")))
}

/// A posted form's fields, without the action.
pub(super) fn form(body: &[u8]) -> (Option<String>, Map<String, Value>) {
    let mut fields: Map<String, Value> = url::form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    let action = fields.remove("action");
    (
        action.and_then(|action| action.as_str().map(str::to_owned)),
        fields,
    )
}
