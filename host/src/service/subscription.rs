//! Subscriptions.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::{ConnectionId, PlanId, SubscriptionId};
use onerouter_domain::payment::SubscriptionStatus;
use onerouter_domain::time;
use onerouter_engine::wit::payments as shared;
use onerouter_engine::wit::subscriptions as wit;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::{Caller, Origin};
use super::kind::{
    self, Action, CallIds, Facts, Kind, NoContent, Weight, Window, invalid_state, still_open,
};
use super::object::{Object, Reported};
use super::objects::{Answer, Draft, Intent, Objects};
use super::pages;
use super::paying::{self, Customer, Moment, PlanRef, State};
use super::plan::Plan;
use super::refusal::{FieldMistake, Refusal};
use super::view::payment::SubscriptionView;
use crate::store::ObjectKind;

/// A subscription that nobody agrees to is asked about for so long.
const WATCHED_FOR: TimeDelta = TimeDelta::days(30);

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct Subscription;

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRequest {
    /// What it charges. Until it is looked up, `provider_ref` is what the caller wrote.
    pub plan: PlanRef,
    /// The connection of a plan of ours.
    pub connection_id: Option<ConnectionId>,
    /// Who pays.
    pub customer: Option<Customer>,
    /// Charges until it ends.
    pub total_count: Option<u32>,
    /// How many of the plan.
    pub quantity: u32,
    /// Days until the first charge.
    pub trial_days: Option<u32>,
    /// When it begins.
    pub start_date: Option<DateTime<Utc>>,
    /// Whether the provider writes to the buyer.
    pub customer_notify: Option<bool>,
    /// Where the buyer goes afterwards.
    pub return_url: Option<String>,
    /// Where a buyer who gives up goes.
    pub cancel_url: Option<String>,
}

/// A provider charges at the end of a cycle, and what is to come before that must not come too late.
const BEFORE_CHARGE: TimeDelta = TimeDelta::hours(1);

/// An action that the gateway does later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postponed {
    /// Which one.
    pub action: PostponedAction,
    /// At the end of this cycle.
    pub at: DateTime<Utc>,
}

/// What can be put off until the end of the cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostponedAction {
    /// Ends it.
    Cancel,
    /// Stops it.
    Pause,
}

impl PostponedAction {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => CANCEL,
            Self::Pause => PAUSE,
        }
    }
}

/// What is known of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionFacts {
    /// The plan that it follows now, where it is another than the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRef>,
    /// The plan to which it is being changed, until it is known whether it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_plan: Option<PlanRef>,
    /// The provider's id of the plan that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_provider_ref: Option<String>,
    /// The page on which the buyer agrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout_url: Option<String>,
    /// End of what is paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_period_end: Option<DateTime<Utc>>,
    /// Charges so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_count: Option<u32>,
    /// What the gateway does later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postponed: Option<Postponed>,
    /// Why it failed, or why the last charge did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the adapter wants to be told again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: State,
    /// The provider's last raw answer: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<String>,
}

impl Facts for SubscriptionFacts {
    fn merge(&mut self, new: Self, weight: Weight) {
        self.plan_provider_ref = new.plan_provider_ref.or(self.plan_provider_ref.take());
        let is_next =
            |plan: &mut PlanRef| Some(&plan.provider_ref) == self.plan_provider_ref.as_ref();
        if let Some(plan) = self.next_plan.take_if(is_next) {
            self.plan = Some(plan);
        }
        self.checkout_url = new.checkout_url.or(self.checkout_url.take());
        if let (Some(postponed), Some(end)) = (&mut self.postponed, new.current_period_end) {
            // Another cycle is paid for, or another plan has other cycles.
            postponed.at = end;
        }
        self.current_period_end = if weight.moved && weight.has_ended {
            // The end of what is paid for does not depend on who has looked before it came.
            new.current_period_end
        } else {
            new.current_period_end.or(self.current_period_end)
        };
        self.paid_count = self.paid_count.max(new.paid_count);
        if weight.moved && !new.state.is_empty() {
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

/// What can be done with a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionAction {
    /// Ends it.
    Cancel(Moment),
    /// Stops charging.
    Pause(Moment),
    /// Goes on.
    Resume,
    /// Follows another plan.
    ChangePlan(PlanRef, Option<Moment>),
}

const CANCEL: &str = "cancel";
const PAUSE: &str = "pause";
const RESUME: &str = "resume";
const CHANGE_PLAN: &str = "change_plan";

impl Action for SubscriptionAction {
    fn name(&self) -> &'static str {
        match self {
            Self::Cancel(_) => CANCEL,
            Self::Pause(_) => PAUSE,
            Self::Resume => RESUME,
            Self::ChangePlan(..) => CHANGE_PLAN,
        }
    }
}

/// A plan as a caller named it.
struct NamedPlan {
    plan: PlanRef,
    connection: Option<ConnectionId>,
}

impl Objects<Subscription> {
    /// Begins a subscription to a plan of ours or of the provider's, once per key.
    ///
    /// # Errors
    /// `not_found` for the plan, `invalid_state` while it is not active, and whatever a create may end
    /// with.
    #[expect(
        clippy::too_many_arguments,
        reason = "who, by which request, what, and of whose"
    )]
    pub async fn subscribe(
        &self,
        plans: &Objects<Plan>,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        mut new: Draft<Subscription>,
    ) -> Result<Answer, Refusal> {
        let named = plan(plans, caller, &new.request.plan.provider_ref, "/plan_id").await?;
        new.request.plan = named.plan;
        new.request.connection_id = named.connection;
        self.create(caller, origin, intent, new).await
    }

    /// Has a subscription follow another plan.
    ///
    /// # Errors
    /// As [`Objects::subscribe`].
    #[expect(
        clippy::too_many_arguments,
        reason = "who, by which request, what, and of whose"
    )]
    pub async fn change_plan(
        &self,
        plans: &Objects<Plan>,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        id: SubscriptionId,
        new_plan: &str,
        moment: Option<Moment>,
    ) -> Result<Answer, Refusal> {
        let subscription = self.find(caller.tenant, caller.environment, id).await?;
        let named = plan(plans, caller, new_plan, "/new_plan_id").await?;
        if named
            .connection
            .is_some_and(|connection| connection != subscription.connection_id)
        {
            return Err(Refusal::invalid(vec![FieldMistake::new(
                "/new_plan_id",
                "invalid",
                format!("must be a plan at {}", subscription.provider),
            )]));
        }
        let action = SubscriptionAction::ChangePlan(named.plan, moment);
        self.act(caller, origin, intent, id, action).await
    }
}

/// A plan of ours by our id or the provider's; else what the provider may know.
async fn plan(
    plans: &Objects<Plan>,
    caller: &Caller,
    text: &str,
    pointer: &str,
) -> Result<NamedPlan, Refusal> {
    let is_ours = text.parse::<PlanId>().is_ok();
    let found = match plans.find_named(caller, text, pointer).await {
        Err(refusal) if refusal.code == ErrorCode::NotFound && !is_ours => {
            return Ok(NamedPlan {
                plan: PlanRef {
                    id: None,
                    provider_ref: text.to_owned(),
                    state: Vec::new(),
                },
                connection: None,
            });
        }
        found => found?,
    };
    let not_ready = || {
        Refusal::new(
            ErrorCode::InvalidState,
            format!("The plan is {}; it must be active.", found.status),
        )
        .about(found.id)
    };
    let plan = found.plan_ref().ok_or_else(not_ready)?;
    if found.status != onerouter_domain::payment::PlanStatus::Active {
        return Err(not_ready());
    }
    Ok(NamedPlan {
        plan,
        connection: Some(found.connection_id),
    })
}

impl Object<Subscription> {
    /// The plan that it follows, as users name it.
    #[must_use]
    pub fn plan_shown(&self) -> &str {
        let facts = &self.facts;
        let last = facts.plan.as_ref().unwrap_or(&self.request.plan);
        let Some(now) = &facts.plan_provider_ref else {
            return last.shown();
        };
        let known = [last, &self.request.plan];
        let found = known.into_iter().find(|plan| plan.provider_ref == *now);
        // It may have been changed elsewhere.
        found.map_or(now, PlanRef::shown)
    }

    /// Whether there is something for the buyer to agree to: the subscription, other means of payment, or
    /// another plan.
    #[must_use]
    pub fn waits_for_buyer(&self) -> bool {
        let facts = &self.facts;
        let changes = facts
            .plan
            .as_ref()
            .is_some_and(|plan| facts.plan_provider_ref.as_ref() != Some(&plan.provider_ref));
        match self.status {
            SubscriptionStatus::Unknown
            | SubscriptionStatus::Created
            | SubscriptionStatus::PastDue => true,
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Active
            | SubscriptionStatus::Paused => changes,
            SubscriptionStatus::Canceled
            | SubscriptionStatus::Completed
            | SubscriptionStatus::Expired
            | SubscriptionStatus::Failed => false,
        }
    }

    fn reference(&self, provider_ref: &str) -> shared::Reference {
        shared::Reference {
            object_id: Some(self.id.to_string()),
            provider_id: provider_ref.to_owned(),
            provider_payment_id: None,
            amount: None,
            state: self.facts.state.clone(),
        }
    }
}

impl Kind for Subscription {
    type Id = SubscriptionId;
    type Status = SubscriptionStatus;
    type Request = SubscriptionRequest;
    type Content = NoContent;
    type Facts = SubscriptionFacts;
    type Action = SubscriptionAction;

    const NAME: &'static str = "subscription";
    const OBJECT: ObjectKind = ObjectKind::Subscription;
    const HAS_CONTENT: bool = false;
    const NOUN: &'static str = "subscription";
    const CATEGORY: Category = Category::Payments;
    const CREATE: Capability = Capability::Subscriptions;
    const CREATE_NAME: &'static str = "create";
    const CREATE_OPERATION: &'static str = "subscriptions.create";
    const IS_FOLLOWED: bool = true;
    const IS_FOUND_EXACTLY: bool = true;
    const CAN_WAIT: bool = true;

    fn id(uuid: Uuid) -> SubscriptionId {
        SubscriptionId::from_uuid(uuid)
    }

    fn uuid(id: SubscriptionId) -> Uuid {
        id.uuid()
    }

    fn queued() -> SubscriptionStatus {
        SubscriptionStatus::Created
    }

    fn failed() -> SubscriptionStatus {
        SubscriptionStatus::Failed
    }

    fn unknown() -> SubscriptionStatus {
        SubscriptionStatus::Unknown
    }

    fn is_terminal(status: SubscriptionStatus) -> bool {
        status.is_terminal()
    }

    fn merge(
        status: SubscriptionStatus,
        _facts: &SubscriptionFacts,
        reported: &Reported<Self>,
    ) -> SubscriptionStatus {
        status.follow(reported.status)
    }

    fn reports_commute(_object: &Object<Self>) -> bool {
        false
    }

    fn when_gone(object: &Object<Self>, now: DateTime<Utc>) -> Option<Reported<Self>> {
        let is_waiting = object.status == SubscriptionStatus::Created;
        if !is_waiting || !pages::is_old(object.created_at, now) {
            return None;
        }
        Some(Reported {
            provider_ref: object.provider_ref.clone()?,
            status: SubscriptionStatus::Expired,
            facts: SubscriptionFacts::default(),
        })
    }

    fn connection(request: &SubscriptionRequest) -> Option<ConnectionId> {
        request.connection_id
    }

    fn latest(object: &Object<Self>) -> Option<DateTime<Utc>> {
        first_charge(object)
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
        adapter
            .subscription_create(context, &request)
            .await
            .map(from_wit)
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        let subscription = object.reference(provider_ref);
        adapter
            .subscription_get(context, &subscription)
            .await
            .map(from_wit)
    }

    async fn find(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        window: Window,
    ) -> Option<CallReport<Vec<Reported<Self>>>> {
        if !adapter.can(Capability::SubscriptionLookup) {
            return None;
        }
        let request = to_wit(ids, object);
        let report = adapter
            .subscription_find(context, &request, window.into())
            .await;
        Some(report.map(|found| found.into_iter().map(from_wit).collect()))
    }

    fn needed_for(_action: &SubscriptionAction) -> Capability {
        Capability::Subscriptions
    }

    fn allow(object: &Object<Self>, action: &SubscriptionAction) -> Result<(), Refusal> {
        let is_paused = object.status == SubscriptionStatus::Paused;
        let is_to = |action| {
            let postponed = object.facts.postponed;
            postponed.is_some_and(|postponed| postponed.action == action)
        };
        match action {
            SubscriptionAction::Cancel(_) => still_open(object, "canceled any more"),
            SubscriptionAction::Pause(_) if is_paused => Err(invalid_state(object, "paused again")),
            SubscriptionAction::Pause(Moment::CycleEnd) if is_to(PostponedAction::Cancel) => {
                Err(Refusal::new(
                    ErrorCode::InvalidState,
                    "This subscription ends with its cycle and cannot be paused then.",
                )
                .about(object.id))
            }
            SubscriptionAction::Pause(_) => still_open(object, "paused any more"),
            // A pause that is still to come is taken back.
            SubscriptionAction::Resume if is_paused || is_to(PostponedAction::Pause) => Ok(()),
            SubscriptionAction::Resume => Err(invalid_state(object, "resumed")),
            SubscriptionAction::ChangePlan(..) => still_open(object, "changed any more"),
        }
    }

    async fn act(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        provider_ref: &str,
        action: &SubscriptionAction,
    ) -> CallReport<Reported<Self>> {
        let subscription = object.reference(provider_ref);
        let attempt = paying::attempt(&ids);
        let report = match action {
            SubscriptionAction::Cancel(moment) => {
                let moment = moment.to_wit();
                adapter
                    .subscription_cancel(context, &subscription, moment, &attempt)
                    .await
            }
            SubscriptionAction::Pause(moment) => {
                let moment = moment.to_wit();
                adapter
                    .subscription_pause(context, &subscription, moment, &attempt)
                    .await
            }
            SubscriptionAction::Resume if object.status != SubscriptionStatus::Paused => {
                // Only what was put off is taken back: the provider knows nothing of it.
                adapter.subscription_get(context, &subscription).await
            }
            SubscriptionAction::Resume => {
                adapter
                    .subscription_resume(context, &subscription, &attempt)
                    .await
            }
            SubscriptionAction::ChangePlan(plan, moment) => {
                let moment = moment.map(Moment::to_wit);
                let plan = plan.to_wit();
                adapter
                    .subscription_change_plan(context, &subscription, &plan, moment, &attempt)
                    .await
            }
        };
        report.map(from_wit)
    }

    fn has_happened(object: &Object<Self>, action: &str) -> bool {
        match action {
            CANCEL => object.status == SubscriptionStatus::Canceled,
            PAUSE => object.status == SubscriptionStatus::Paused,
            RESUME => object.status == SubscriptionStatus::Active,
            CHANGE_PLAN => object.facts.next_plan.is_none(),
            _ => false,
        }
    }

    fn begin(object: &mut Object<Self>, action: &SubscriptionAction) {
        if let SubscriptionAction::ChangePlan(plan, _) = action {
            object.facts.next_plan = Some(plan.clone());
        }
    }

    fn can_wait(action: &SubscriptionAction) -> bool {
        to_wait(action).is_some()
    }

    fn postpone(object: &mut Object<Self>, action: &SubscriptionAction) -> bool {
        let Some((action, at)) = to_wait(action).zip(object.facts.current_period_end) else {
            return false;
        };
        object.facts.postponed = Some(Postponed { action, at });
        true
    }

    fn postponed(object: &Object<Self>) -> Option<(SubscriptionAction, DateTime<Utc>)> {
        let Postponed { action, at } = object.facts.postponed?;
        let action = match action {
            PostponedAction::Cancel => SubscriptionAction::Cancel(Moment::Now),
            PostponedAction::Pause => SubscriptionAction::Pause(Moment::Now),
        };
        Some((action, at - BEFORE_CHARGE))
    }

    fn acted(object: &mut Object<Self>, action: &SubscriptionAction, is_done: bool) {
        let facts = &mut object.facts;
        match action {
            SubscriptionAction::ChangePlan(plan, _) => {
                facts.next_plan = None;
                if is_done {
                    facts.plan = Some(plan.clone());
                }
            }
            SubscriptionAction::Cancel(_) if is_done => facts.postponed = None,
            // An end that is asked for stays asked for.
            SubscriptionAction::Pause(_) | SubscriptionAction::Resume if is_done => {
                facts.postponed = facts
                    .postponed
                    .filter(|postponed| postponed.action == PostponedAction::Cancel);
            }
            SubscriptionAction::Cancel(_)
            | SubscriptionAction::Pause(_)
            | SubscriptionAction::Resume => {}
        }
    }

    fn watch_again(object: &Object<Self>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_waiting = object.status == SubscriptionStatus::Created;
        // Its next charge changes it; afterwards it is looked at once.
        let next = object.facts.current_period_end.filter(|_| !is_waiting);
        if object.status.is_terminal() {
            return None;
        }
        match next {
            Some(end) if end > now => Some(end + TimeDelta::hours(1)),
            Some(_) => Some(now + TimeDelta::hours(12)),
            None => pages::look_again(object.created_at, now, WATCHED_FOR),
        }
    }

    fn no_content() -> Option<NoContent> {
        Some(NoContent {})
    }

    fn present(object: &Object<Self>, _content: Option<&NoContent>) -> Vec<u8> {
        serde_json::to_vec(&SubscriptionView::from(object)).unwrap_or_default()
    }
}

/// When the first charge is to be, where the caller says so. A trial is counted from when it was claimed,
/// so that a repetition says the same.
fn first_charge(object: &Object<Subscription>) -> Option<DateTime<Utc>> {
    let request = &object.request;
    let after_trial = request
        .trial_days
        .map(|days| object.created_at + TimeDelta::days(days.into()));
    request.start_date.or(after_trial)
}

/// What of an action the gateway can do at the end of the cycle.
const fn to_wait(action: &SubscriptionAction) -> Option<PostponedAction> {
    match action {
        SubscriptionAction::Cancel(Moment::CycleEnd) => Some(PostponedAction::Cancel),
        SubscriptionAction::Pause(Moment::CycleEnd) => Some(PostponedAction::Pause),
        SubscriptionAction::Cancel(Moment::Now)
        | SubscriptionAction::Pause(Moment::Now)
        | SubscriptionAction::Resume
        | SubscriptionAction::ChangePlan(..) => None,
    }
}

fn to_wit(ids: CallIds, object: &Object<Subscription>) -> wit::CreateRequest {
    let request = &object.request;
    let attempt = paying::attempt(&ids);
    wit::CreateRequest {
        object_id: ids.object_id,
        attempt,
        plan: request.plan.to_wit(),
        customer: request.customer.as_ref().map(Customer::to_wit),
        total_count: request.total_count,
        quantity: request.quantity,
        start_at: first_charge(object).map(time::to_millis),
        customer_notify: request.customer_notify,
        return_url: request.return_url.clone(),
        cancel_url: request.cancel_url.clone(),
        metadata: paying::pairs(object.metadata.pairs()),
        extra: Vec::new(),
    }
}

fn from_wit(subscription: wit::Subscription) -> Reported<Subscription> {
    let end = subscription
        .current_period_end
        .and_then(|millis| DateTime::from_timestamp_millis(i64::try_from(millis).ok()?));
    Reported {
        provider_ref: subscription.provider_id,
        status: subscription
            .status
            .parse()
            .unwrap_or(SubscriptionStatus::Unknown),
        facts: SubscriptionFacts {
            plan: None,
            next_plan: None,
            plan_provider_ref: subscription.plan_provider_id,
            checkout_url: subscription.checkout_url,
            current_period_end: end,
            paid_count: subscription.paid_count,
            postponed: None,
            failure: subscription.failure.map(kind::failure),
            state: subscription.state,
            provider_data: subscription.raw,
        },
    }
}
