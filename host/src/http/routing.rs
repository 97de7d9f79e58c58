//! `/api/services/{service}/routing`

mod policy;

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::metadata::Metadata;
use onerouter_domain::money::Currency;
use onerouter_domain::time;
use onerouter_manifest::{Capability, Category};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, json};
use super::body::JsonBodyBesideQuery;
use super::email::draft::OneOrMore;
use super::fields::Fields;
use super::money::CurrencyCode;
use super::objects;
use super::openapi::{OperatorProblems, TenantParam};
use super::paths::Path;
use super::problem::Problem;
use super::query::Query;
use super::services::ENVIRONMENT_RULE;
use super::state::AppState;
use crate::ids;
use crate::service::caller::Operator;
use crate::service::refusal::Refusal;
use crate::service::routing::Need;
use crate::service::routing::decide::SkipReason;
use crate::service::routing::manage::{Place, Simulation, Standing};
use policy::{RoutingPolicy, RuleView, TargetView};

/// Recipients of a simulated message.
const RECIPIENTS_MAX: usize = 150;

/// Which connections serve a category, and in what order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredRoutingPolicy)]
pub(crate) struct RoutingPolicyView {
    /// `routing_policy`
    object: &'static str,
    /// The category.
    service: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Used where no rule fits. Empty: every connection, the oldest first.
    order: Vec<TargetView>,
    /// The first one that fits replaces the order.
    rules: Vec<RuleView>,
    /// Whether the next connection is tried when one has not sent.
    failover: bool,
    /// Grows with every change; 0 while there is no policy, and the oldest connection that can
    /// serves alone.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl RoutingPolicyView {
    fn new(place: Place, standing: Standing) -> Self {
        let Place {
            environment,
            category,
        } = place;
        let policy = standing.policy;
        Self {
            object: "routing_policy",
            service: category.as_str(),
            environment: environment.as_str(),
            livemode: environment.is_live(),
            order: policy.order.iter().map(TargetView::new).collect(),
            rules: policy.rules.into_iter().map(RuleView::new).collect(),
            failover: policy.failover,
            version: standing.version,
            updated_at: standing.updated_at.map(time::to_text),
        }
    }
}

/// A message to try a policy with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+447700900123", "metadata": {"team": "billing"}}))]
pub(crate) struct SimulateRouting {
    /// One recipient or several: phone numbers, or e-mail addresses.
    #[schema(nullable, value_type = Option<OneOrMore>)]
    to: Option<Vec<String>>,
    /// Whether the message names its own sender; true when left out.
    #[schema(nullable)]
    has_sender: Option<bool>,
    /// In which currency somebody pays: ISO 4217.
    #[schema(nullable, value_type = Option<CurrencyCode>)]
    currency: Option<String>,
    /// Only this provider.
    #[schema(nullable, pattern = "^[a-z][a-z0-9-]{0,39}$")]
    provider: Option<String>,
    /// The message's pairs.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
    /// Second name of `metadata`.
    #[schema(nullable)]
    notes: Option<BTreeMap<String, String>>,
    /// The policy to try, whatever its `version`; the stored one when left out.
    #[schema(nullable, value_type = Option<RoutingPolicy>)]
    policy: Option<RoutingPolicy>,
}

/// What a policy makes of a message now. Nothing was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingSimulation)]
pub(crate) struct SimulationView {
    /// `routing_simulation`
    object: &'static str,
    /// The category.
    service: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Version of the policy; 0 for one that is not stored.
    policy_version: u64,
    /// Name of the rule that fits.
    rule: Option<String>,
    /// The connection that would serve; null when none can.
    chosen: Option<String>,
    /// In the order in which they would be tried. Weights are drawn anew each time.
    candidates: Vec<CandidateView>,
    /// The others, each with the reason.
    skipped: Vec<SkippedView>,
}

/// A connection that would be tried.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingCandidate)]
pub(crate) struct CandidateView {
    /// `con_…`
    connection_id: String,
    /// Its provider.
    provider: String,
    /// Its label.
    label: String,
    /// Lower is earlier.
    priority: u32,
    /// Its share within the priority.
    weight: u32,
    /// How likely it is to be tried first, from 0 to 1.
    share: f64,
}

/// A connection that would not be tried.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingSkipped)]
pub(crate) struct SkippedView {
    /// `con_…`
    connection_id: String,
    /// Its provider; null when it is not connected any more.
    provider: Option<String>,
    /// Its label; null when it is not connected any more.
    label: Option<String>,
    /// `unavailable`, `no_sender`, `unreadable`, `currency`, `unsupported`, `plugin_missing`,
    /// `other_provider`, `not_in_policy`, `not_first` or `disconnected`.
    #[schema(value_type = String)]
    reason: SkipReason,
}

/// Read a routing policy
#[utoipa::path(
    get, path = "/api/services/{service}/routing", tag = "services", operation_id = "routing.get",
    params(
        ("service" = String, Path, description = "The category: `sms`, `email`, `payments`."),
        ("environment" = String, Query, description = "`test` or `live`", pattern = "^(test|live)$"),
        TenantParam
    ),
    responses((status = 200, description = "The policy.", body = RoutingPolicyView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    operator: Operator,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let place = place(&service, query.as_deref())?;
    let standing = state
        .connections
        .find_routing(operator.tenant, place)
        .await?;
    let view = RoutingPolicyView::new(place, standing);
    Ok(json(StatusCode::OK, &view))
}

/// Write a routing policy
///
/// It is in force for new messages within a second. `{}` tries every connection, the oldest first.
#[utoipa::path(
    put, path = "/api/services/{service}/routing", tag = "services", operation_id = "routing.put",
    params(
        ("service" = String, Path, description = "The category: `sms`, `email`, `payments`."),
        ("environment" = String, Query, description = "`test` or `live`", pattern = "^(test|live)$"),
        TenantParam
    ),
    request_body = RoutingPolicy,
    responses((status = 200, description = "The policy as it is stored.", body = RoutingPolicyView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    operator: Operator,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
    JsonBodyBesideQuery(body): JsonBodyBesideQuery,
) -> Result<Json, Problem> {
    let place = place(&service, query.as_deref())?;
    let mut fields = Fields::of_body(&body)?;
    let version = fields.integer("version", 0, i64::MAX);
    let policy = policy::parse(&mut fields, place.category);
    let policy = fields.finish(Some(policy))?;
    let standing = state
        .connections
        .write_routing(&operator, place, &policy, version.map(i64::cast_unsigned))
        .await?;
    let view = RoutingPolicyView::new(place, standing);
    Ok(json(StatusCode::OK, &view))
}

/// Try a routing policy
///
/// Tells over which connections a message would go now, and why not over the others. Nothing is
/// sent and nothing is stored.
#[utoipa::path(
    post, path = "/api/services/{service}/routing/simulate", tag = "services",
    operation_id = "routing.simulate",
    params(
        ("service" = String, Path, description = "The category: `sms`, `email`, `payments`."),
        ("environment" = String, Query, description = "`test` or `live`", pattern = "^(test|live)$"),
        TenantParam
    ),
    request_body = SimulateRouting,
    responses((status = 200, description = "What would happen.", body = SimulationView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn simulate(
    State(state): State<AppState>,
    operator: Operator,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
    JsonBodyBesideQuery(body): JsonBodyBesideQuery,
) -> Result<Json, Problem> {
    let place = place(&service, query.as_deref())?;
    let mut fields = Fields::of_body(&body)?;
    let recipients: Vec<String> = fields.one_or_more("to", RECIPIENTS_MAX).unwrap_or_default();
    let has_sender = fields.boolean("has_sender").unwrap_or(true);
    let currency: Option<Currency> = fields.parsed("currency");
    let provider = objects::provider(&mut fields);
    let metadata: Metadata = fields.metadata();
    let policy = fields.inner("policy").map(|mut inner| {
        // Its version says nothing here, but a policy may be given as it would be written.
        let _ = inner.integer("version", 0, i64::MAX);
        let policy = policy::parse(&mut inner, place.category);
        (policy, inner.end())
    });
    let policy = policy.map(|(policy, mistakes)| {
        fields.adopt(mistakes);
        policy
    });
    fields.finish(Some(()))?;
    let Place {
        environment,
        category,
    } = place;
    let need = Need {
        environment,
        category,
        capability: match category {
            Category::Sms => Capability::Sms,
            Category::Email => Capability::Email,
            Category::Payments => Capability::Payments,
        },
        provider: provider.as_ref(),
        has_sender,
        sender_pointer: "/has_sender",
        recipients: recipients.iter().map(String::as_str).collect(),
        currency,
        only: None,
        metadata: metadata.pairs(),
    };
    let simulation = state
        .connections
        .simulate_routing(&operator, &need, policy.as_ref(), ids::next().as_u128())
        .await?;
    let view = simulation_view(place, &simulation);
    Ok(json(StatusCode::OK, &view))
}

fn simulation_view(place: Place, simulation: &Simulation) -> SimulationView {
    let decision = &simulation.decision;
    let named = |id| {
        let mut connections = simulation.connections.iter();
        connections.find(|connection| connection.id == id)
    };
    let first_priority = decision.candidates.first().map(|first| first.priority);
    let total: u32 = decision
        .candidates
        .iter()
        .filter(|target| Some(target.priority) == first_priority)
        .map(|target| target.weight)
        .sum();
    let mut candidates: Vec<CandidateView> = decision
        .candidates
        .iter()
        .enumerate()
        .map(|(index, target)| {
            let connection = named(target.connection_id);
            let share = if Some(target.priority) != first_priority {
                0.0
            } else if total == 0 {
                // Nobody has a weight: they stand in their order.
                if index == 0 { 1.0 } else { 0.0 }
            } else {
                f64::from(target.weight) / f64::from(total)
            };
            CandidateView {
                connection_id: target.connection_id.to_string(),
                provider: connection.map_or_else(String::new, |known| known.provider.clone()),
                label: connection.map_or_else(String::new, |known| known.label.clone()),
                priority: target.priority,
                weight: target.weight,
                share,
            }
        })
        .collect();
    let mut skipped: Vec<SkippedView> = decision
        .skipped
        .iter()
        .map(|one| {
            let connection = named(one.connection_id);
            SkippedView {
                connection_id: one.connection_id.to_string(),
                provider: connection.map(|known| known.provider.clone()),
                label: connection.map(|known| known.label.clone()),
                reason: one.reason,
            }
        })
        .collect();
    if let Some(reason) = simulation.hindered
        && !candidates.is_empty()
    {
        let first = candidates.remove(0);
        skipped.insert(
            0,
            SkippedView {
                connection_id: first.connection_id,
                provider: Some(first.provider),
                label: Some(first.label),
                reason,
            },
        );
        candidates.clear();
    }
    SimulationView {
        object: "routing_simulation",
        service: place.category.as_str(),
        environment: place.environment.as_str(),
        policy_version: decision.policy_version,
        rule: decision.rule.clone(),
        chosen: candidates.first().map(|first| first.connection_id.clone()),
        candidates,
        skipped,
    }
}

fn place(service: &str, query: Option<&str>) -> Result<Place, Refusal> {
    let mut query = Query::of(query);
    let environment: Option<Environment> =
        query.required("environment", ENVIRONMENT_RULE, |text| text.parse().ok());
    let environment = query.finish(environment)?;
    let category = Category::from_name(service).ok_or_else(|| Refusal::not_found("service"))?;
    Ok(Place {
        environment,
        category,
    })
}
