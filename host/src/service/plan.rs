//! Plans.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::failure::Failure;
use onerouter_domain::id::PlanId;
use onerouter_domain::money::{Currency, Money};
use onerouter_domain::payment::PlanStatus;
use onerouter_engine::wit::payments as shared;
use onerouter_engine::wit::plans as wit;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::kind::{self, CallIds, Facts, Kind, NoContent, Weight, Window};
use super::object::{Object, Reported};
use super::pages;
use super::paying::{self, NoAction, PlanRef, State};
use super::refusal::Refusal;
use super::view::payment::PlanView;
use crate::store::ObjectKind;

/// A plan that is not ready after this is not asked about any more.
const WATCHED_FOR: TimeDelta = TimeDelta::days(1);

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct Plan;

/// How often a subscription charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Days.
    Day,
    /// Weeks.
    Week,
    /// Months.
    Month,
    /// Years.
    Year,
}

impl Interval {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// For people.
    pub name: String,
    /// Charged each time.
    pub amount: Money,
    /// How often.
    pub interval: Interval,
    /// Every so many intervals.
    pub interval_count: u32,
    /// For people.
    pub description: Option<String>,
}

/// What is known of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanFacts {
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the adapter wants to be told again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: State,
    /// The provider's last raw answer: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<String>,
}

impl Facts for PlanFacts {
    fn merge(&mut self, new: Self, weight: Weight) {
        if !new.state.is_empty() {
            self.state = new.state;
        }
        paying::keep_story(
            (&mut self.failure, &mut self.provider_data),
            (new.failure, new.provider_data),
            weight.moved,
        );
    }

    fn set_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }
}

impl Object<Plan> {
    /// The plan as a subscription refers to it; none while the provider's id is not known.
    #[must_use]
    pub fn plan_ref(&self) -> Option<PlanRef> {
        Some(PlanRef {
            id: Some(self.id.to_string()),
            provider_ref: self.provider_ref.clone()?,
            state: self.facts.state.clone(),
        })
    }
}

impl Kind for Plan {
    type Id = PlanId;
    type Status = PlanStatus;
    type Request = PlanRequest;
    type Content = NoContent;
    type Facts = PlanFacts;
    type Action = NoAction;

    const NAME: &'static str = "plan";
    const OBJECT: ObjectKind = ObjectKind::Plan;
    const HAS_CONTENT: bool = false;
    const NOUN: &'static str = "plan";
    const CATEGORY: Category = Category::Payments;
    const CREATE: Capability = Capability::Plans;
    const CREATE_NAME: &'static str = "create";
    const CREATE_OPERATION: &'static str = "plans.create";
    const IS_FOLLOWED: bool = true;
    const IS_FOUND_EXACTLY: bool = true;

    fn id(uuid: Uuid) -> PlanId {
        PlanId::from_uuid(uuid)
    }

    fn uuid(id: PlanId) -> Uuid {
        id.uuid()
    }

    fn queued() -> PlanStatus {
        PlanStatus::Pending
    }

    fn failed() -> PlanStatus {
        PlanStatus::Failed
    }

    fn unknown() -> PlanStatus {
        PlanStatus::Unknown
    }

    fn is_terminal(status: PlanStatus) -> bool {
        status.is_terminal()
    }

    fn merge(status: PlanStatus, _facts: &PlanFacts, reported: &Reported<Self>) -> PlanStatus {
        status.merge(reported.status)
    }

    fn currency(request: &PlanRequest) -> Option<Currency> {
        Some(request.amount.currency())
    }

    fn is_word_on_the_first(code: &str) -> bool {
        paying::is_word_on_the_first(code)
    }

    async fn create(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        _content: &NoContent,
    ) -> CallReport<Reported<Self>> {
        let request = to_wit(ids, object);
        adapter.plan_create(context, &request).await.map(from_wit)
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        let plan = shared::Reference {
            object_id: Some(object.id.to_string()),
            provider_id: provider_ref.to_owned(),
            provider_payment_id: None,
            amount: Some(paying::to_money(object.request.amount)),
            state: object.facts.state.clone(),
        };
        adapter.plan_get(context, &plan).await.map(from_wit)
    }

    async fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        window: Window,
    ) -> Option<CallReport<Vec<Reported<Self>>>> {
        if !adapter.can(Capability::PlanLookup) {
            return None;
        }
        let request = to_wit(ids, object);
        let report = adapter.plan_find(context, &request, window.into()).await;
        Some(report.map(|found| found.into_iter().map(from_wit).collect()))
    }

    fn needed_for(action: &NoAction) -> Capability {
        match *action {}
    }

    fn allow(_object: &Object<Self>, action: &NoAction) -> Result<(), Refusal> {
        match *action {}
    }

    async fn act(
        _adapter: &Adapter,
        _context: &CallContext,
        _ids: CallIds,
        _object: &Object<Self>,
        _provider_ref: &str,
        action: &NoAction,
    ) -> CallReport<Reported<Self>> {
        match *action {}
    }

    fn has_happened(_object: &Object<Self>, _action: &str) -> bool {
        false
    }

    fn watch_again(object: &Object<Self>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if object.status.is_terminal() {
            return None;
        }
        pages::look_again(object.created_at, now, WATCHED_FOR)
    }

    fn no_content() -> Option<NoContent> {
        Some(NoContent {})
    }

    fn present(object: &Object<Self>, _content: Option<&NoContent>) -> Vec<u8> {
        serde_json::to_vec(&PlanView::from(object)).unwrap_or_default()
    }
}

fn to_wit(ids: CallIds, object: &Object<Plan>) -> wit::CreateRequest {
    let request = &object.request;
    let attempt = paying::attempt(&ids);
    wit::CreateRequest {
        object_id: ids.object_id,
        attempt,
        name: request.name.clone(),
        amount: paying::to_money(request.amount),
        interval: match request.interval {
            Interval::Day => wit::Interval::Day,
            Interval::Week => wit::Interval::Week,
            Interval::Month => wit::Interval::Month,
            Interval::Year => wit::Interval::Year,
        },
        interval_count: request.interval_count,
        description: request.description.clone(),
        metadata: paying::pairs(object.metadata.pairs()),
        extra: Vec::new(),
    }
}

fn from_wit(plan: wit::Plan) -> Reported<Plan> {
    Reported {
        provider_ref: plan.provider_id,
        status: plan.status.parse().unwrap_or(PlanStatus::Unknown),
        facts: PlanFacts {
            failure: plan.failure.map(kind::failure),
            state: plan.state,
            provider_data: plan.raw,
        },
    }
}
