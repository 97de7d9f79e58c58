//! What the routes of all kinds of messages have in common.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use onerouter_domain::address::{Mailbox, PhoneNumber};
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_manifest::PluginId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::fields::Fields;
use super::query::Query;
use super::web_address::PageAddress;
use crate::service::kind::Kind;
use crate::service::objects::{Draft, Intent, ListQuery};
use crate::service::paying::Customer;
use crate::service::refusal::{FieldMistake, Refusal};

/// Characters of a customer's name.
const CUSTOMER_NAME_LENGTH_MAX: usize = 127;

/// The header of a write.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents what the extractor reads")]
pub(crate) struct IdempotencyParam {
    /// Makes a repetition safe: the same request with the same key acts once. 1 to 255 printable
    /// ASCII characters, bare or in double quotes. Kept for 24 hours at least.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[ -~]*[!-~][ -~]*$"
    )]
    idempotency_key: Option<String>,
}

/// The parameter of a read.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `read_refresh` reads")]
pub(crate) struct RefreshParam {
    /// `false` answers from what is stored, without asking the provider.
    refresh: Option<bool>,
}

/// The parameters of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `list_query` reads")]
pub(crate) struct ListParams {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only with this status.
    status: Option<String>,
    /// Only of this provider.
    #[param(pattern = "^[a-z][a-z0-9-]{0,39}$")]
    provider: Option<String>,
    /// Only made at this time or later.
    #[param(format = DateTime)]
    created_after: Option<String>,
    /// Only made before this time.
    #[param(format = DateTime)]
    created_before: Option<String>,
    /// Only with all of these pairs: `metadata[order]=17`.
    #[param(style = DeepObject, explode)]
    metadata: Option<std::collections::BTreeMap<String, String>>,
}

/// The body of a call without fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub(crate) struct Nothing {}

/// `?refresh=`
pub(crate) fn read_refresh(query: Option<&str>) -> Result<bool, Refusal> {
    let mut query = Query::of(query);
    let refresh = query.parsed("refresh", "must be true or false", |text| text.parse().ok());
    query.finish(Some(refresh.unwrap_or(true)))
}

/// The parameters of a list of one kind.
pub(crate) fn list_query<K: Kind>(
    query: Option<&str>,
    statuses: &'static [K::Status],
) -> Result<ListQuery, Refusal> {
    let mut query = Query::of(query);
    let names = statuses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let (limit, before) = query.page::<K::Id>();
    let read = ListQuery {
        limit,
        before: before.map(K::uuid),
        status: query.parsed("status", &format!("must be one of {names}"), |text| {
            K::Status::from_str(text)
                .ok()
                .map(|status| status.to_string())
        }),
        provider: query.parsed("provider", "must be the name of a provider", |text| {
            PluginId::try_from(text.to_owned())
                .ok()
                .map(|id| id.to_string())
        }),
        created_after: query.time("created_after"),
        created_before: query.time("created_before"),
        metadata: query.metadata(),
    };
    query.finish(Some(read))
}

/// `provider`
pub(crate) fn provider(fields: &mut Fields<'_>) -> Option<PluginId> {
    fields
        .parsed::<ProviderName>("provider")
        .map(|ProviderName(id)| id)
}

struct ProviderName(PluginId);

impl FromStr for ProviderName {
    type Err = NoProviderName;

    fn from_str(text: &str) -> Result<Self, NoProviderName> {
        PluginId::try_from(text.to_owned())
            .map(Self)
            .map_err(|_reason| NoProviderName)
    }
}

struct NoProviderName;

impl fmt::Display for NoProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be the name of a provider: a lower-case letter, then letters, digits and hyphens",
        )
    }
}

const NOT_AHEAD: &str = "must lie in the future";

/// A time that must lie ahead.
pub(crate) fn future_time(
    fields: &mut Fields<'_>,
    name: &str,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let time = fields.time(name)?;
    if time <= now {
        fields.mistake(name, "out_of_range", NOT_AHEAD);
    }
    Some(time)
}

/// A time, and the mistake where it does not lie ahead: that is one for a new request only, a
/// repetition may come when the time is over.
pub(crate) fn time_ahead(
    fields: &mut Fields<'_>,
    name: &str,
    now: DateTime<Utc>,
) -> (Option<DateTime<Utc>>, Option<FieldMistake>) {
    let time = fields.time(name);
    (time, not_ahead(fields, name, time, now))
}

/// The mistake of a time that does not lie ahead.
pub(crate) fn not_ahead(
    fields: &Fields<'_>,
    name: &str,
    time: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<FieldMistake> {
    time.filter(|time| *time <= now)?;
    Some(FieldMistake::new(
        fields.pointer(name),
        "out_of_range",
        NOT_AHEAD,
    ))
}

/// Ends the reading of a request. Beside other mistakes, a late time is named too.
pub(crate) fn finish<T>(
    fields: Fields<'_>,
    value: Option<T>,
    late: Option<&FieldMistake>,
) -> Result<T, Refusal> {
    fields.finish(value).map_err(|mut refusal| {
        refusal.errors.extend(late.cloned());
        Refusal::invalid(refusal.errors)
    })
}

/// `idempotency_key` in the body.
pub(crate) fn body_key(fields: &mut Fields<'_>) -> Option<IdempotencyKey> {
    let text = fields.text("idempotency_key")?;
    match IdempotencyKey::parse(&text) {
        Ok(key) => Some(key),
        Err(error) => {
            fields.mistake("idempotency_key", "invalid", error.to_string());
            None
        }
    }
}

/// The key of a request that may carry it in two places.
pub(crate) fn one_key(
    header: Option<IdempotencyKey>,
    body: Option<IdempotencyKey>,
) -> Result<Option<IdempotencyKey>, Refusal> {
    match (header, body) {
        (Some(header), Some(body)) if header != body => {
            Err(Refusal::invalid(vec![FieldMistake::new(
                "/idempotency_key",
                "conflict",
                "differs from the header Idempotency-Key; send one of them",
            )]))
        }
        (header, body) => Ok(header.or(body)),
    }
}

/// By what a repeated create is known: what was asked for, not how it was written down.
pub(crate) fn intent<K: Kind>(
    key: Option<IdempotencyKey>,
    route: &'static str,
    new: &Draft<K>,
) -> Intent {
    Intent::new(key, route, hash(new))
}

/// SHA-256 of what is asked for.
pub(crate) fn hash<K: Kind>(new: &Draft<K>) -> [u8; 32] {
    let provider = new.provider.as_ref().map(PluginId::as_str);
    let asked = (&new.request, &new.content, &new.metadata, provider);
    Sha256::digest(serde_json::to_vec(&asked).unwrap_or_default()).into()
}

/// By what a repeated action is known that needs nothing but its object.
pub(crate) fn cancel_intent(key: Option<IdempotencyKey>, route: &'static str, id: &str) -> Intent {
    Intent::new(key, route, Sha256::digest(id).into())
}

/// By what a repeated action is known: on what, and what was asked for.
pub(crate) fn act_intent(
    key: Option<IdempotencyKey>,
    route: &'static str,
    asked: &impl Serialize,
) -> Intent {
    let asked = serde_json::to_vec(asked).unwrap_or_default();
    Intent::new(key, route, Sha256::digest(asked).into())
}

/// Who pays.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PayingCustomer)]
pub(crate) struct CustomerFields {
    /// Full name.
    #[schema(nullable, min_length = 1, max_length = 127)]
    name: Option<String>,
    /// E-mail address.
    #[schema(nullable)]
    email: Option<String>,
    /// Phone number, E.164.
    #[schema(nullable, pattern = r"^\+[1-9][0-9]{6,14}$")]
    phone: Option<String>,
}

/// `customer`
pub(crate) fn customer(fields: &mut Fields<'_>) -> Option<Customer> {
    let mut inner = fields.inner("customer")?;
    let name = inner.text_of("name", 1, CUSTOMER_NAME_LENGTH_MAX);
    let email: Option<Mailbox> = inner.parsed("email");
    let phone: Option<PhoneNumber> = inner.parsed("phone");
    fields.adopt(inner.end());
    Some(Customer {
        name,
        email: email.map(Mailbox::into_string),
        phone: phone.map(PhoneNumber::into_string),
    })
}

/// A page that a buyer goes to.
pub(crate) fn page(fields: &mut Fields<'_>, name: &str) -> Option<String> {
    fields
        .parsed::<PageAddress>(name)
        .map(PageAddress::into_string)
}
