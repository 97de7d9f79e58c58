//! Sends several e-mails for one request. Each has its own outcome and its own key; those that may
//! travel together share one attempt, one provider call and one key toward the provider, and are
//! only ever repeated as the same set.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AttemptId, ConnectionId, EmailId, RequestId, TenantId};
use onerouter_domain::idempotency::ProviderKey;
use onerouter_engine::wit::email as wit;
use onerouter_engine::{CallContext, CallReport, ItemRefusal, Outcome};
use onerouter_manifest::{BatchRule, Capability, Category, Manifest};
use tokio::time::Instant;

use super::claim::{
    AttemptWritten, BatchEntry, Claim, Claimed, honours_keys, lost_claim, send_ids,
};
use super::create::call_deadline;
use super::failover::{count, count_up, forget_fence};
use super::lost::key_is_open;
use super::settle::AGAIN_AFTER;
use super::settlement::{backoff, needs_settling};
use super::{Answer, Objects, ledger_json};
use crate::ids;
use crate::service::caller::{Caller, Origin};
use crate::service::connections::Chosen;
use crate::service::email::{self, Email, EmailContent, EmailRequest};
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::service::refusal::Refusal;
use crate::service::routing;
use crate::store::ObjectKind;
use crate::store::{AttemptEnd, AttemptRow, NewAttempt};
use crate::store::{StoreError, TenantTx};

/// Name of the operation in attempts, provider keys and manifests.
const SEND_BATCH: &str = "send_batch";
const SEND_BATCH_OPERATION: &str = "email.send_batch";
/// Provider calls of one request that run at the same time.
const CALLS_MAX: usize = 8;

type EmailClaim = Box<Claim<Email>>;
type Position = usize;
type Member = (Position, EmailClaim);
type SetOutcome = Outcome<Vec<Result<wit::Message, ItemRefusal>>>;
type Outcomes = Vec<(Position, Result<Answer, Refusal>)>;

/// What one provider call carries.
enum Call {
    Single(Position, EmailClaim),
    /// Over the connection that all of them have in common.
    Set(Vec<Member>, Chosen, AttemptId),
}

impl Call {
    fn members(&self) -> Vec<(Position, EmailId)> {
        match self {
            Self::Single(position, claim) => vec![(*position, claim.object.id)],
            Self::Set(members, ..) => members
                .iter()
                .map(|(position, claim)| (*position, claim.object.id))
                .collect(),
        }
    }
}

impl Call {
    fn claims(&mut self) -> Vec<&mut Claim<Email>> {
        match self {
            Self::Single(_, claim) => vec![claim],
            Self::Set(members, ..) => members.iter_mut().map(|(_, claim)| &mut **claim).collect(),
        }
    }
}

impl Objects<Email> {
    /// Sends e-mails, each once per key; the answers stand in the order of the e-mails.
    ///
    /// # Errors
    /// Only what concerns all of them; nothing was sent then.
    pub async fn create_batch(
        &self,
        caller: &Caller,
        origin: &Origin,
        entries: Vec<Result<BatchEntry<Email>, Refusal>>,
    ) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
        // On a tracked task, as a single one is.
        let (this, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.finish(async move { this.claim_and_send_all(&caller, &origin, entries).await })
            .await
    }

    async fn claim_and_send_all(
        &self,
        caller: &Caller,
        origin: &Origin,
        entries: Vec<Result<BatchEntry<Email>, Refusal>>,
    ) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
        let failed = Self::store_failed("cannot claim a batch");
        let count = entries.len();
        let mut answers: Outcomes = Vec::with_capacity(count);
        let mut wanted = Vec::with_capacity(count);
        for (position, entry) in entries.into_iter().enumerate() {
            match entry {
                Ok((intent, new)) => {
                    let id = ids::next();
                    let route = self.route(caller, id, &new).await;
                    wanted.push((position, id, intent, new, route));
                }
                Err(refusal) => answers.push((position, Err(refusal))),
            }
        }
        // Keys are claimed in one order by everybody: two batches with the same keys wait for each
        // other, but never both at once.
        wanted.sort_by(|one, other| one.2.key.cmp(&other.2.key));
        let mut claims = Vec::with_capacity(count);
        let mut tx = self
            .parts
            .store
            .begin(caller.tenant)
            .await
            .map_err(&failed)?;
        for (position, id, intent, new, route) in wanted {
            let attempt = AttemptWritten::Later;
            let prepared = self.prepare(caller, origin, intent, id, new, route, attempt);
            match self.claim_in(&mut tx, prepared).await? {
                Claimed::Mine(mut claim) => {
                    // The e-mails came with one request; each has a row in the log of calls.
                    claim.origin.request = RequestId::from_uuid(ids::next());
                    claims.push((position, claim));
                }
                Claimed::Answered(answer) => answers.push((position, Ok(answer))),
                Claimed::Refused(refusal) => {
                    let at = format!("/emails/{position}");
                    answers.push((position, Err(refusal.inside(&at))));
                }
            }
        }
        claims.sort_unstable_by_key(|(position, _)| *position);
        let mut calls = into_calls(claims);
        self.claim_calls(&mut tx, &mut calls)
            .await
            .map_err(&failed)?;
        match tx.commit().await {
            Ok(()) => {
                answers.extend(self.run(calls).await.into_iter().map(|(position, answer)| {
                    let at = || format!("/emails/{position}");
                    (position, answer.map_err(|refusal| refusal.inside(&at())))
                }))
            }
            Err(error) => {
                for (position, id) in calls.iter().flat_map(Call::members) {
                    answers.push((position, Err(lost_claim(&error, id))));
                }
            }
        }
        answers.sort_unstable_by_key(|(position, _)| *position);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Writes down the attempt of each call.
    async fn claim_calls(&self, tx: &mut TenantTx, calls: &mut [Call]) -> Result<(), StoreError> {
        for call in calls {
            match call {
                Call::Single(_, claim) => self.claim_attempt(tx, claim).await?,
                Call::Set(members, chosen, attempt) => {
                    for (_, claim) in members.iter_mut() {
                        claim.attempt = *attempt;
                    }
                    let ids: Vec<_> = members
                        .iter()
                        .map(|(_, claim)| claim.object.id.uuid())
                        .collect();
                    let mut new = self.set_attempt(*attempt, &ids, chosen.0.id);
                    if !honours_keys(chosen.1.manifest(), SEND_BATCH_OPERATION) {
                        new.provider_key.clear();
                    }
                    let first = members.first();
                    new.routing = first.and_then(|(_, claim)| claim.route.reasons());
                    tx.insert_attempt(&new).await?;
                    tx.insert_attempt_objects(*attempt, &ids).await?;
                }
            }
        }
        Ok(())
    }

    fn set_attempt(
        &self,
        id: AttemptId,
        objects: &[uuid::Uuid],
        connection_id: ConnectionId,
    ) -> NewAttempt {
        NewAttempt {
            id,
            object_id: objects.first().copied().unwrap_or_default(),
            operation: SEND_BATCH.to_owned(),
            provider_key: set_key(id).as_str().to_owned(),
            started_at: self.parts.clock.now(),
            batch_id: None,
            connection_id,
            routing: None,
        }
    }

    /// Makes the calls, and those that follow from them: what one connection has not sent goes over
    /// the next one.
    async fn run(&self, calls: Vec<Call>) -> Outcomes {
        let mut outcomes = Vec::new();
        let mut waiting: VecDeque<Call> = calls.into();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < CALLS_MAX
                && let Some(call) = waiting.pop_front()
            {
                running.push(self.make(call));
            }
            let Some((settled, following)) = running.next().await else {
                return outcomes;
            };
            outcomes.extend(settled);
            waiting.extend(following);
        }
    }

    async fn make(&self, call: Call) -> (Outcomes, Vec<Call>) {
        match call {
            Call::Single(position, claim) => {
                (vec![(position, self.send(*claim).await)], Vec::new())
            }
            Call::Set(members, chosen, attempt) => self.send_set(members, chosen, attempt).await,
        }
    }

    async fn send_set(
        &self,
        members: Vec<Member>,
        chosen: Chosen,
        attempt: AttemptId,
    ) -> (Outcomes, Vec<Call>) {
        let (outcome, end) = self.call_set(&members, &chosen, attempt).await;
        let outcomes = by_member(outcome, members.len());
        let (mut rest, mut next, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for ((position, claim), outcome) in members.into_iter().zip(outcomes) {
            match self.next_way(&claim, &outcome).await {
                Some(moved) => {
                    next.push((position, Box::new(moved)));
                    left.push(((position, claim), outcome));
                }
                None => rest.push(((position, claim), outcome)),
            }
        }
        // First what ends here, so that a crash leaves nothing of it to be asked about.
        let mut settled = self.settle_members(rest, &chosen, &end).await;
        let following = match self.fail_over_set(next, &end).await {
            Ok(calls) => calls,
            Err(error) => {
                tracing::error!(%error, attempt.id = %end.id, "cannot fail over a set");
                for ((_, claim), _) in &mut left {
                    forget_fence(claim);
                }
                settled.extend(self.settle_members(left, &chosen, &end).await);
                Vec::new()
            }
        };
        (settled, following)
    }

    async fn call_set(
        &self,
        members: &[Member],
        (connection, adapter): &Chosen,
        attempt: AttemptId,
    ) -> (SetOutcome, AttemptEnd) {
        let now = self.parts.clock.now();
        let first = members.first();
        if let Some(reason) = routing::hold_back(connection, now) {
            let outcome = Outcome::NotSent(reason);
            let end = AttemptEnd {
                id: attempt,
                outcome: outcome::name(&outcome).to_owned(),
                detail: None,
                ended_at: now,
            };
            return (outcome, end);
        }
        let context = CallContext {
            connection: Arc::clone(&connection.context),
            deadline: first.map_or_else(Instant::now, |(_, claim)| call_deadline(&claim.origin)),
        };
        let requests: Vec<_> = members
            .iter()
            .map(|(_, claim)| to_wit(&claim.object, &claim.content, attempt))
            .collect();
        let key = set_key(attempt);
        let report = adapter
            .email_send_batch(&context, &requests, key.as_str())
            .await;
        outcome::log(&connection.provider, SEND_BATCH_OPERATION, &report);
        routing::record(connection, &report.outcome, self.parts.clock.now());
        let end = self.set_end(attempt, &report);
        (report.outcome, end)
    }

    async fn settle_members(
        &self,
        members: Vec<(Member, Outcome<Reported<Email>>)>,
        (connection, _): &Chosen,
        end: &AttemptEnd,
    ) -> Outcomes {
        let mut positions = Vec::with_capacity(members.len());
        let mut settling = Vec::with_capacity(members.len());
        for ((position, claim), outcome) in members {
            positions.push(position);
            settling.push((*claim, outcome));
        }
        let answers = self.settle(settling, &connection.provider, end).await;
        positions.into_iter().zip(answers).collect()
    }

    /// Hands members of a set over to their next connections, also if the database is gone for a
    /// moment: the calls that follow.
    async fn fail_over_set(
        &self,
        next: Vec<Member>,
        end: &AttemptEnd,
    ) -> Result<Vec<Call>, StoreError> {
        let mut calls = into_calls(next);
        let mut pauses = AGAIN_AFTER.into_iter();
        let mut is_repeated = false;
        loop {
            let error = match self.write_fail_over_set(&mut calls, end, is_repeated).await {
                Err(error @ StoreError::Unavailable { .. }) => error,
                Err(error) => return Err(error),
                Ok(()) => break,
            };
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            is_repeated = true;
            tokio::time::sleep(pause).await;
        }
        for claim in calls.iter_mut().flat_map(Call::claims) {
            count_up(claim);
            count(claim);
        }
        Ok(calls)
    }

    async fn write_fail_over_set(
        &self,
        calls: &mut [Call],
        end: &AttemptEnd,
        is_repeated: bool,
    ) -> Result<(), StoreError> {
        let Some(first) = calls.iter_mut().flat_map(Call::claims).next() else {
            return Ok(());
        };
        let mut tx = self.parts.store.begin(first.caller.tenant).await?;
        // All of them are handed over in one transaction, or none.
        if is_repeated && self.is_handed_over(&mut tx, first).await? {
            return Ok(());
        }
        tx.finish_attempt(end).await?;
        for claim in calls.iter_mut().flat_map(Call::claims) {
            self.hand_over(&mut tx, claim).await?;
        }
        self.claim_calls(&mut tx, calls).await?;
        tx.commit().await
    }

    fn set_end<T>(&self, attempt: AttemptId, report: &CallReport<T>) -> AttemptEnd {
        AttemptEnd {
            id: attempt,
            outcome: outcome::name(&report.outcome).to_owned(),
            detail: Some(ledger_json(&report.ledger, None)),
            ended_at: self.parts.clock.now(),
        }
    }

    /// Repeats a set whose outcome is unknown: the same members, in the same order, under the same
    /// key, and only while the provider still knows the key.
    pub(in crate::service) async fn repeat_set(
        &self,
        tenant: TenantId,
        environment: Environment,
        first: AttemptRow,
        (connection, adapter): Chosen,
    ) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        // Only what was sent with a key is known by it, whatever today's manifest says.
        if first.provider_key.is_empty()
            || !key_is_open(
                adapter.manifest(),
                SEND_BATCH_OPERATION,
                first.started_at,
                now,
            )
        {
            return Ok(());
        }
        let mut tx = self.parts.store.begin_read(tenant).await?;
        let ids = tx.list_attempt_objects(first.id).await?;
        let mut members = Vec::with_capacity(ids.len());
        for id in &ids {
            let row = tx.find_object(ObjectKind::Email, environment, *id).await?;
            let content = Self::content(&mut tx, *id).await?;
            let (Some(row), Some(content)) = (row, content) else {
                // A set that is no longer whole cannot be repeated.
                return Ok(());
            };
            if first
                .connection_id
                .is_some_and(|id| id != row.connection_id)
            {
                // A member went over another connection, and is no longer what was sent here.
                return Ok(());
            }
            members.push((Object::<Email>::from_row(row)?, content));
        }
        drop(tx);
        let attempt = AttemptId::from_uuid(ids::next());
        let mut tx = self.parts.store.begin(tenant).await?;
        let leader = ids.first().copied().unwrap_or_default();
        // The lock lets one of the members' settlers through at a time.
        tx.lock_object(ObjectKind::Email, environment, leader)
            .await?;
        if was_repeated_lately(&tx.list_attempts(leader).await?, &first, now) {
            // Each member is due by itself, but the set is one question.
            return Ok(());
        }
        let new = NewAttempt {
            provider_key: first.provider_key.clone(),
            batch_id: Some(first.id.uuid()),
            ..self.set_attempt(attempt, &ids, connection.id)
        };
        tx.insert_attempt(&new).await?;
        tx.commit().await?;
        let requests: Vec<_> = members
            .iter()
            .map(|(object, content)| to_wit(object, content, first.id))
            .collect();
        let context = Self::context(&connection);
        let report = adapter
            .email_send_batch(&context, &requests, &first.provider_key)
            .await;
        outcome::log(&connection.provider, "repeat_batch", &report);
        let mut tx = self.parts.store.begin(tenant).await?;
        tx.finish_attempt(&self.set_end(attempt, &report)).await?;
        tx.commit().await?;
        let outcomes = by_member(report.outcome, members.len());
        for ((object, _), outcome) in members.into_iter().zip(outcomes) {
            if needs_settling(&object) {
                self.settle_repeated(tenant, &object, &connection.provider, outcome)
                    .await?;
            }
        }
        Ok(())
    }
}

/// What the call as a whole, or its answer for each member, means for each member.
fn by_member(outcome: SetOutcome, count: usize) -> Vec<Outcome<Reported<Email>>> {
    match outcome {
        Outcome::Accepted(items) => items
            .into_iter()
            .map(|item| match item {
                Ok(message) => Outcome::Accepted(email::from_wit(message)),
                Err(ItemRefusal::Declined(refusal)) => Outcome::Declined(refusal),
                Err(ItemRefusal::NotSent(reason)) => Outcome::NotSent(reason),
                Err(ItemRefusal::Unknown(unknown)) => Outcome::Unknown(unknown),
            })
            .collect(),
        Outcome::Declined(refusal) => vec![Outcome::Declined(refusal); count],
        Outcome::NotSent(reason) => vec![Outcome::NotSent(reason); count],
        Outcome::Unknown(unknown) => vec![Outcome::Unknown(unknown); count],
    }
}

/// Sorts e-mails into provider calls: sets of those that may travel together, in order, and singles.
fn into_calls(claims: Vec<Member>) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut together: HashMap<ConnectionId, (Chosen, Vec<Member>)> = HashMap::new();
    for (position, claim) in claims {
        let chosen = claim.route.chosen.clone();
        if may_travel(&chosen, &claim.object.request) {
            let id = chosen.0.id;
            let (_, members) = together.entry(id).or_insert_with(|| (chosen, Vec::new()));
            members.push((position, claim));
        } else {
            calls.push(Call::Single(position, claim));
        }
    }
    for (chosen, members) in together.into_values() {
        let most = rule(chosen.1.manifest()).map_or(1, |rule| rule.max);
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        let mut members = members.into_iter().peekable();
        while members.peek().is_some() {
            let mut set: Vec<_> = members.by_ref().take(most).collect();
            let chosen = Clone::clone(&chosen);
            if set.len() > 1 {
                calls.push(Call::Set(set, chosen, AttemptId::from_uuid(ids::next())));
            } else if let Some((position, claim)) = set.pop() {
                calls.push(Call::Single(position, claim));
            }
        }
    }
    calls
}

fn rule(manifest: &Manifest) -> Option<&BatchRule> {
    manifest.batch.get(&Category::Email)
}

fn may_travel((_, adapter): &Chosen, request: &EmailRequest) -> bool {
    adapter.can(Capability::EmailBatch)
        && rule(adapter.manifest()).is_some_and(|rule| {
            rule.excludes.iter().all(|field| match field.as_str() {
                "attachments" => request.attachments.is_empty(),
                "send_at" => request.send_at.is_none(),
                "cc" => request.cc.is_empty(),
                "bcc" => request.bcc.is_empty(),
                "reply_to" => request.reply_to.is_empty(),
                "headers" => request.headers.is_empty(),
                "tags" => request.tags.is_empty(),
                // A field that this host does not know cannot be judged: the e-mail goes alone.
                _ => false,
            })
        })
}

/// Whether the last repetition of a set is so young that another one would tell nothing new.
fn was_repeated_lately(
    attempts: &[AttemptRow],
    first: &AttemptRow,
    now: chrono::DateTime<chrono::Utc>,
) -> bool {
    let mut repeated = attempts
        .iter()
        .filter(|attempt| attempt.batch_id == Some(first.id.uuid()));
    let times = u32::try_from(repeated.clone().count()).unwrap_or(u32::MAX);
    repeated
        .next_back()
        .is_some_and(|last| now < last.started_at + backoff(times))
}

fn set_key(attempt: AttemptId) -> ProviderKey {
    ProviderKey::derive(attempt, SEND_BATCH, 1)
}

fn to_wit(object: &Object<Email>, content: &EmailContent, attempt: AttemptId) -> wit::SendRequest {
    email::to_wit(send_ids(object, attempt), &object.request, content)
}
