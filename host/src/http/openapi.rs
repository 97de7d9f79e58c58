//! The OpenAPI document, generated from the routes.
//!
//! What attributes cannot say is added by [`complete`]: `requests` knows the rules that fields and
//! parameters keep, `responses` the headers of every answer and where it leads, `webhooks` what we send
//! ourselves.

mod requests;
mod responses;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};

use onerouter_domain::code::ErrorCode;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder, Schema, schema};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};

use self::responses::Calls;
use super::problem::{ProblemDocument, ProblemField, ProblemProvider};

/// The document without its paths.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "OneRouter",
        description = "One API in front of many service providers. Amounts are exact, writes are idempotent, and what is not known is said to be unknown.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "sms", description = "Text messages."),
        (name = "email", description = "E-mail."),
        (name = "payments", description = "Payments."),
        (name = "refunds", description = "Refunds."),
        (name = "plans", description = "Plans: what subscriptions charge, and how often."),
        (name = "subscriptions", description = "Subscriptions."),
        (name = "payment_links", description = "Payment links."),
        (name = "events", description = "What has happened: a list, and a feed."),
        (name = "webhooks", description = "Where you want to hear of events."),
        (name = "services", description = "Connections to providers. For operators."),
        (name = "plugins", description = "Installed plugins: which version serves whom. For operators."),
        (name = "marketplace", description = "What could be installed. For operators."),
        (name = "api-keys", description = "API keys. For operators."),
        (name = "tenants", description = "Tenants. For operators."),
        (name = "audit", description = "Who has changed what. For operators."),
        (name = "webhooks", description = "What providers tell of their own accord. For providers."),
        (name = "health", description = "How the gateway is.")
    ),
    components(schemas(crate::service::inbound::ProviderEvent<'static>, ProblemDocument<'static>, ProblemField<'static>, ProblemProvider<'static>)),
    modifiers(&Security)
)]
pub(crate) struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = |description: &str| {
            let mut http = Http::new(HttpAuthScheme::Bearer);
            http.description = Some(description.to_owned());
            SecurityScheme::Http(http)
        };
        components.add_security_scheme(
            "api_key",
            scheme("An API key: `unf_test_…` or `unf_live_…`. The prefix is the environment."),
        );
        components.add_security_scheme(
            "operator_token",
            scheme("The operator's token. The header `OneRouter-Tenant` names the tenant to act for; the default one when left out."),
        );
    }
}

/// Adds what the routes alone do not say.
pub(crate) fn complete(document: &mut utoipa::openapi::OpenApi) {
    let mut without_required = BTreeSet::new();
    if let Some(components) = &mut document.components {
        requests::tighten(&mut components.schemas);
        responses::declare_headers(&mut components.headers);
        without_required = requests::without_required_fields(&components.schemas);
    }
    document.webhooks = Some(webhooks::all());
    for (path, item) in &mut document.paths.paths {
        let (post, other) = if path.starts_with("/v1/") {
            (Calls::Repeatable, Calls::Limited)
        } else {
            (Calls::Unlimited, Calls::Unlimited)
        };
        let methods = [
            (&mut item.get, other),
            (&mut item.put, other),
            (&mut item.post, post),
            (&mut item.patch, other),
            (&mut item.delete, other),
        ];
        for (operation, calls) in methods {
            if let Some(operation) = operation {
                requests::tighten_parameters(operation);
                requests::loosen_body(operation, &without_required);
                responses::complete(operation, calls);
            }
        }
    }
}

/// The header of every call of an operator.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents what the guard reads")]
pub(crate) struct TenantParam {
    /// The tenant to act for, `ten_…`; the default one when left out.
    #[param(
        rename = "OneRouter-Tenant",
        pattern = "^ten_[0-7][0-9a-hjkmnp-tv-z]{25}$"
    )]
    onerouter_tenant: Option<String>,
}

/// The parameters of every list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `Query::page` reads")]
pub(crate) struct PageParams {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The problems that any call of a client may end with.
#[derive(Debug)]
pub(crate) struct ClientProblems;

/// The problems that any call of an operator may end with.
#[derive(Debug)]
pub(crate) struct OperatorProblems;

/// The problems that a provider's webhook may end with.
#[derive(Debug)]
pub(crate) struct WebhookProblems;

/// Codes that only a call with an API key can meet.
const CLIENT_ONLY: [ErrorCode; 12] = [
    ErrorCode::InsufficientScope,
    ErrorCode::EnvironmentMismatch,
    ErrorCode::IdempotencyInProgress,
    ErrorCode::IdempotencyKeyReused,
    ErrorCode::NoConnection,
    ErrorCode::UnsupportedByProvider,
    ErrorCode::Suppressed,
    ErrorCode::RateLimited,
    ErrorCode::OutcomeUnknown,
    ErrorCode::InvalidState,
    ErrorCode::ProviderError,
    ErrorCode::PluginFault,
];

impl IntoResponses for ClientProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let codes: Vec<_> = ErrorCode::ALL
            .into_iter()
            .filter(|code| *code != ErrorCode::InvalidSignature)
            .collect();
        by_status(&codes)
    }
}

impl IntoResponses for OperatorProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        // Connecting asks the provider, so its failures stay in.
        let kept = [
            ErrorCode::PluginFault,
            ErrorCode::ProviderError,
            ErrorCode::InvalidState,
        ];
        let codes: Vec<_> = ErrorCode::ALL
            .into_iter()
            .filter(|code| !CLIENT_ONLY.contains(code) || kept.contains(code))
            .filter(|code| *code != ErrorCode::InvalidSignature)
            .collect();
        by_status(&codes)
    }
}

impl IntoResponses for WebhookProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        by_status(&[
            ErrorCode::InvalidSignature,
            ErrorCode::NotFound,
            ErrorCode::RequestTimeout,
            ErrorCode::BodyTooLarge,
            ErrorCode::UriTooLong,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::HeadersTooLarge,
            ErrorCode::RateLimited,
            ErrorCode::InternalError,
            ErrorCode::Overloaded,
            ErrorCode::ProviderUnavailable,
        ])
    }
}

/// One response per status, which names its codes.
fn by_status(codes: &[ErrorCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in codes {
        statuses
            .entry(code.status())
            .or_default()
            .push(code.as_str());
    }
    statuses
        .into_iter()
        .map(|(status, codes)| {
            let content = ContentBuilder::new()
                .schema(Some(RefOr::<Schema>::Ref(schema::Ref::from_schema_name(
                    "Problem",
                ))))
                .build();
            let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
            let response = ResponseBuilder::new()
                .description(names.join(", "))
                .content("application/problem+json", content)
                .build();
            (status.to_string(), RefOr::T(response))
        })
        .collect()
}
