//! What providers tell of their own accord: checked, kept, then acted on.
//!
//! A webhook is believed when the host finds it signed (`onerouter_engine::WebhookRequest`). Then it is
//! kept, with whatever it is known again by, and only then the adapter reads it. What it says about money
//! is a reason to ask the provider; what it says about a message is merged, and the order of reports makes
//! no difference. What could not be done is done again later, by whichever node comes first, until it is.
//!
//! - [`kept`]: the form in which a request is kept
//! - [`news`]: what its events do
//! - [`places`]: how many ask their providers at the same time

mod kept;
mod news;
mod places;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_domain::time;
use onerouter_engine::{
    Adapter, CallContext, CallReport, Outcome, WebhookRefusal, WebhookRequest, WebhookSigned, wit,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::kept::Kept;
pub use self::news::ProviderEvent;
use self::news::Told;
pub use self::places::Places;
use super::authentication::unavailable;
use super::connections::{Chosen, Connection, Connections, vault_failed};
use super::email::Email;
use super::objects::Objects;
use super::outcome;
use super::payment::Payment;
use super::payment_link::PaymentLink;
use super::refund::Refund;
use super::refusal::Refusal;
use super::sms::Sms;
use super::subscription::Subscription;
use crate::clock::Clock;
use crate::ids;
use crate::store::{
    DueWork, NewReceivedWebhook, ReceivedWebhookRow, Store, StoreError, WebhookVerdict, WorkKind,
};
use crate::vault::Vault;

/// Providers wait five seconds for an answer; what takes longer goes on without them.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long checking and reading a request may take.
const READ_TIMEOUT: Duration = Duration::from_secs(4);
/// One that this process could not act on is taken over after this.
const TAKEN_OVER_AFTER: TimeDelta = TimeDelta::seconds(30);
/// Longer than acting on one takes.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// What cannot be read or done for so long is given up.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(3);
/// Retries get rarer up to this.
const TRY_AFTER_MAX: TimeDelta = TimeDelta::minutes(15);
/// How often what was left over is looked for.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// What was left over and is gone on with at the same time.
const AT_ONCE: usize = 32;
/// More is looked for once there is room for so much, so that a query is worth it.
const WORTH_LOOKING: usize = AT_ONCE / 2;
/// How many may ask one provider, which may hang, at the same time, and over one connection. Fewer than
/// [`AT_ONCE`], so that what asks nobody or somebody else is gone on with.
const AT_ONE_PROVIDER: usize = 16;
const AT_ONE_CONNECTION: usize = 8;
/// Those for which there is no room come again after a part of the time that they have waited, within these:
/// the more of them there are, the rarer each is looked at.
const NO_ROOM_PART: i32 = 2;
const NO_ROOM_MIN: TimeDelta = TimeDelta::seconds(5);
const NO_ROOM_MAX: TimeDelta = TimeDelta::minutes(5);
/// What has begun when the gateway stops may take so long; then its lease ends.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Webhooks of one connection that one node acts on at once; those beyond are kept and acted on later.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(200).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
/// Answers to what is not signed, before it is told to wait. Signed ones never wait for these.
const REFUSED_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
const REFUSED_BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Bodies that are kept under one signature that does not cover them. Who brings more is to come again, so that
/// the genuine one finds its turn.
const BODIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(1).unwrap();
const BODIES_BURST: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// Whom a request is for.
#[derive(Debug, Clone)]
pub struct Addressee {
    tenant: TenantId,
    chosen: Chosen,
}

impl Addressee {
    /// Counts a request whose body was not taken: too large, too slow, of a wrong type.
    pub fn count_untaken(&self) {
        count(self.chosen.0.provider.as_str(), "body");
    }
}

/// A request at a connection's webhook.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Under which URLs the provider may know this endpoint.
    pub urls: Vec<String>,
    /// The query as it was sent.
    pub query: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Where a provider tells a connection what has happened.
#[must_use]
pub fn webhook_url(base: &str, provider: &str, connection: ConnectionId) -> String {
    format!(
        "{}/webhooks/{provider}/{connection}",
        base.trim_end_matches('/')
    )
}

/// What a provider is told: 200 and this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Media type and text; none for an empty answer.
    pub content: Option<(String, String)>,
}

/// Takes webhooks in.
#[derive(Debug, Clone)]
pub struct Inbound {
    parts: Arc<InboundParts>,
}

/// What it works with.
#[derive(Debug)]
pub struct InboundParts {
    /// Rows.
    pub store: Store,
    /// Encrypts what is kept.
    pub vault: Vault,
    /// Connections and adapters.
    pub connections: Arc<Connections>,
    /// Times.
    pub clock: Clock,
    /// Runs what must finish.
    pub tasks: TaskTracker,
    /// Text messages.
    pub sms: Objects<Sms>,
    /// E-mail.
    pub email: Objects<Email>,
    /// Payments.
    pub payments: Objects<Payment>,
    /// Refunds.
    pub refunds: Objects<Refund>,
    /// Subscriptions.
    pub subscriptions: Objects<Subscription>,
    /// Payment links.
    pub payment_links: Objects<PaymentLink>,
    /// How often a connection's webhooks are acted on at once.
    pub rates: WebhookRates,
    /// What is gone on with at this time.
    pub places: Places,
}

/// How often a connection's webhooks are taken, and how often refused ones are answered with a reason.
#[derive(Debug)]
pub struct WebhookRates {
    taken: DefaultKeyedRateLimiter<ConnectionId>,
    refused: DefaultKeyedRateLimiter<ConnectionId>,
    /// By the id that was signed.
    bodies: DefaultKeyedRateLimiter<(ConnectionId, String)>,
}

impl WebhookRates {
    /// So many at once.
    #[must_use]
    pub fn with_burst(burst: NonZeroU32) -> Self {
        let per_second = PER_SECOND.min(burst);
        Self {
            taken: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)),
            refused: RateLimiter::keyed(
                Quota::per_second(REFUSED_PER_SECOND).allow_burst(REFUSED_BURST),
            ),
            bodies: RateLimiter::keyed(
                Quota::per_minute(BODIES_PER_MINUTE).allow_burst(BODIES_BURST),
            ),
        }
    }

    /// Whether another body may be kept under what was signed.
    fn may_keep(&self, connection: ConnectionId, signed: &WebhookSigned) -> bool {
        if signed.covers_body {
            return true;
        }
        let id = signed.id.clone().unwrap_or_default();
        self.bodies.check_key(&(connection, id)).is_ok()
    }
}

impl Default for WebhookRates {
    fn default() -> Self {
        Self::with_burst(BURST)
    }
}

/// How far acting on a webhook has come.
enum Acted {
    Done(WebhookVerdict, Reply),
    /// Something could not be done now.
    Later,
    /// Too many ask the provider already.
    NoRoom,
}

impl Inbound {
    /// Takes webhooks in with these parts.
    #[must_use]
    pub fn new(parts: InboundParts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Whose the webhook of a path is.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn addressee(
        &self,
        provider: &str,
        connection: ConnectionId,
    ) -> Result<Addressee, Refusal> {
        let found = self.parts.connections.of_webhook(provider, connection);
        let Some((tenant, chosen)) = found.await? else {
            // The path's provider is anybody's text: not a label.
            count("", "not_found");
            return Err(Refusal::not_found("webhook"));
        };
        Ok(Addressee { tenant, chosen })
    }

    /// Checks a request, keeps it, and acts on it. Answered once it is kept, whatever becomes of it.
    ///
    /// # Errors
    /// `invalid_signature`, `provider_unavailable`, `overloaded`; `rate_limited` in the place of a reason where
    /// many are refused.
    pub async fn receive(
        &self,
        Addressee { tenant, chosen }: Addressee,
        arrived: Arrived,
    ) -> Result<Reply, Refusal> {
        let connection = chosen.0.id;
        let provider = chosen.0.provider.to_string();
        let count = move |result| count(&provider, result);
        let signed = match self.check(&arrived, &chosen).await {
            Ok(signed) => signed,
            Err(why) => {
                count(why.as_str());
                return Err(self.refuse(&chosen.0, why));
            }
        };
        let (this, arrived_at) = (self.clone(), self.parts.clock.now());
        // Kept and acted on, even if the provider hangs up.
        let work = self.parts.tasks.spawn(async move {
            let webhook = this
                .keep(tenant, &arrived, &chosen.0, (&signed, arrived_at))
                .await?;
            let Some((row, kept)) = webhook else {
                return Ok(None);
            };
            Ok(Some(this.act_first(tenant, row, kept, chosen)))
        });
        let begun = work.await.unwrap_or_else(|error| {
            let during = "keep a webhook";
            Err(Refusal::internal(during, &error))
        });
        let Some(acting) = begun? else {
            count("repeated");
            return Ok(Reply::default());
        };
        // What is signed is never sent away: not every provider comes again.
        if self.parts.rates.taken.check_key(&connection).is_err() {
            count("deferred");
            return Ok(Reply::default());
        }
        count("accepted");
        let acting = self.parts.tasks.spawn(acting);
        match tokio::time::timeout(ANSWER_WITHIN, acting).await {
            Ok(Ok(Acted::Done(WebhookVerdict::Refused, _))) => Err(unsigned()),
            Ok(Ok(Acted::Done(_, reply))) => Ok(reply),
            Ok(Ok(Acted::Later | Acted::NoRoom) | Err(_)) | Err(_) => Ok(Reply::default()),
        }
    }

    async fn check(
        &self,
        arrived: &Arrived,
        (connection, adapter): &Chosen,
    ) -> Result<WebhookSigned, WebhookRefusal> {
        let request = WebhookRequest {
            urls: &arrived.urls,
            headers: &arrived.headers,
            body: &arrived.body,
            received_at_ms: time::to_millis(self.parts.clock.now()),
        };
        let context = context(connection);
        let signed = adapter.verify_webhook(&context, &request).await?;
        if signed.left_to_adapter {
            // Reading changes nothing, so it may come before anything is kept of a stranger's.
            let kept = Kept::of(arrived);
            let report = read(adapter, connection, &kept, request.received_at_ms).await;
            outcome::log(&connection.provider, "check a webhook", &report);
            if !report.vouched {
                return Err(WebhookRefusal::Mismatch);
            }
        }
        Ok(signed)
    }

    fn refuse(&self, connection: &Connection, why: WebhookRefusal) -> Refusal {
        let told = self.parts.rates.refused.check_key(&connection.id);
        if told.is_err() {
            return too_many();
        }
        tracing::info!(connection.id = %connection.id, provider = %connection.provider, reason = %why, "a webhook was refused");
        match why {
            WebhookRefusal::Unsupported => Refusal::not_found("webhook"),
            WebhookRefusal::Unavailable(_) => Refusal::new(
                ErrorCode::ProviderUnavailable,
                "The signature cannot be checked at the moment. Send the webhook again.",
            )
            .retry_after(5),
            WebhookRefusal::NoSecret(_)
            | WebhookRefusal::Header(_)
            | WebhookRefusal::Stale
            | WebhookRefusal::Mismatch
            | WebhookRefusal::Certificate(_) => unsigned(),
        }
    }

    /// Keeps a webhook, with an appointment to act on it; none where it came before.
    async fn keep(
        &self,
        tenant: TenantId,
        arrived: &Arrived,
        connection: &Connection,
        (signed, now): (&WebhookSigned, DateTime<Utc>),
    ) -> Result<Option<(ReceivedWebhookRow, Kept)>, Refusal> {
        let failed = |error: StoreError| unavailable("keep a webhook", &error);
        let kept = Kept::of_signed(arrived, signed);
        let id = ids::next();
        let environment = connection.context.environment;
        let field = kept::field(id);
        let place = kept::place(tenant, environment, connection.id, &field);
        let sealed = self.parts.vault.encrypt(&place, &kept.to_bytes()).await;
        let sealed = sealed.map_err(|error| vault_failed("encrypt a webhook", &error))?;
        let new = NewReceivedWebhook {
            id,
            environment,
            connection_id: connection.id,
            provider: connection.provider.to_string(),
            request: sealed,
            keys: kept.keys(signed),
            received_at: now,
        };
        let mut tx = self.parts.store.begin(tenant).await.map_err(failed)?;
        if !tx.insert_received_webhook(&new).await.map_err(failed)? {
            return Ok(None);
        }
        if !self.parts.rates.may_keep(connection.id, signed) {
            count(connection.provider.as_str(), "too_many_bodies");
            return Err(too_many());
        }
        tx.schedule(WorkKind::Webhook, id, now + TAKEN_OVER_AFTER)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        let row = ReceivedWebhookRow {
            id,
            environment,
            connection_id: new.connection_id,
            provider: new.provider,
            request: Vec::new(),
            verdict: String::new(),
            received_at: now,
        };
        Ok(Some((row, kept)))
    }

    /// Acts on what has just come.
    async fn act_first(
        self,
        tenant: TenantId,
        row: ReceivedWebhookRow,
        kept: Kept,
        chosen: Chosen,
    ) -> Acted {
        let acted = self.act(tenant, &row, &kept, chosen).await;
        match self.end(tenant, &row, Some(&kept), (acted, 0)).await {
            Ok(acted) => acted,
            Err(error) => {
                tracing::warn!(%error, webhook.id = %row.id, "cannot act on a webhook; it is kept");
                Acted::Later
            }
        }
    }

    /// Has an adapter read a webhook, and does what it says.
    async fn act(
        &self,
        tenant: TenantId,
        row: &ReceivedWebhookRow,
        kept: &Kept,
        (connection, adapter): Chosen,
    ) -> Result<(Acted, Option<String>), StoreError> {
        let received_at_ms = time::to_millis(row.received_at);
        let report = read(&adapter, &connection, kept, received_at_ms).await;
        outcome::log(&connection.provider, "read a webhook", &report);
        let is_vouched = report.vouched || !is_left_to_adapter(&adapter);
        let reading = match report.outcome {
            Outcome::Accepted(reading) => reading,
            Outcome::Declined(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => {
                return Ok((Acted::Later, None));
            }
        };
        let event_type = reading.events.first().map(|event| event.event_type.clone());
        // As when it came, unless another version of the adapter sees it otherwise.
        if !is_vouched {
            let acted = Acted::Done(WebhookVerdict::Refused, Reply::default());
            return Ok((acted, event_type));
        }
        let done = self
            .tell(tenant, row, kept, &adapter, reading.events)
            .await?;
        let content = reading
            .answer
            .map(|answer| (answer.content_type, answer.body));
        let acted = match done {
            Told::Done(verdict) => Acted::Done(verdict, Reply { content }),
            Told::Later => Acted::Later,
            Told::NoRoom => Acted::NoRoom,
        };
        Ok((acted, event_type))
    }

    /// Writes down how acting on a webhook has ended, or when to go on.
    async fn end(
        &self,
        tenant: TenantId,
        row: &ReceivedWebhookRow,
        kept: Option<&Kept>,
        (acted, tries): (Result<(Acted, Option<String>), StoreError>, u32),
    ) -> Result<Acted, StoreError> {
        let now = self.parts.clock.now();
        let (mut acted, event_type) = acted.unwrap_or_else(|error| {
            tracing::warn!(%error, webhook.id = %row.id, "cannot act on a webhook yet");
            (Acted::Later, None)
        });
        let is_late = now.signed_duration_since(row.received_at) > GIVE_UP_AFTER;
        if is_late && matches!(acted, Acted::Later | Acted::NoRoom) {
            tracing::error!(webhook.id = %row.id, connection.id = %row.connection_id, "a webhook is given up");
            count(&row.provider, "given_up");
            acted = Acted::Done(WebhookVerdict::GivenUp, Reply::default());
        }
        let mut tx = self.parts.store.begin(tenant).await?;
        if let Acted::Done(WebhookVerdict::GivenUp, _) = acted {
            // Whoever looks through the events is to see that there was something.
            tx.insert_event(&self.unread(row, kept)).await?;
        }
        match &acted {
            Acted::Done(verdict, _) => {
                tx.end_received_webhook(row.id, *verdict, event_type.as_deref(), now)
                    .await?;
                tx.finish_work(WorkKind::Webhook, row.id).await?;
            }
            Acted::Later => {
                let at = now + backoff(tries);
                tx.schedule(WorkKind::Webhook, row.id, at).await?;
            }
            Acted::NoRoom => {
                let at = now + no_room_pause(row, now);
                tx.schedule(WorkKind::Webhook, row.id, at).await?;
            }
        }
        tx.commit().await?;
        Ok(acted)
    }

    /// Goes on with what was left over, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut running = JoinSet::new();
        // Whether there was more than there was room for.
        let mut is_more = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                Some(_ended) = running.join_next() => {
                    if !is_more || running.len() > AT_ONCE - WORTH_LOOKING {
                        continue;
                    }
                }
            }
            let room = AT_ONCE.saturating_sub(running.len());
            match self.begin_due(&mut running).await {
                Ok(begun) => is_more = begun == room,
                Err(error) => {
                    is_more = false;
                    tracing::warn!(%error, "cannot look for webhooks that were left over");
                }
            }
            self.parts.rates.taken.retain_recent();
            self.parts.rates.refused.retain_recent();
            self.parts.rates.bodies.retain_recent();
        }
        let ended = async { while running.join_next().await.is_some() {} };
        let _cut = tokio::time::timeout(STOP_MAX, ended).await;
    }

    /// Begins as much of what is due now as there is room for. Tells how much that was.
    async fn begin_due(&self, running: &mut JoinSet<()>) -> Result<usize, StoreError> {
        let room = AT_ONCE.saturating_sub(running.len());
        if room == 0 {
            return Ok(0);
        }
        let now = self.parts.clock.now();
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let leased = self
            .parts
            .store
            .lease_due(WorkKind::Webhook, now, now + LEASE, limit);
        let due = leased.await?;
        let count = due.len();
        for work in due {
            let this = self.clone();
            running.spawn(async move {
                if let Err(error) = this.go_on(&work).await {
                    tracing::warn!(%error, webhook.id = %work.object_id, "cannot go on with a webhook");
                }
            });
        }
        Ok(count)
    }

    /// Goes on with everything that is due now. Tells how much that was.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut running = JoinSet::new();
        let mut count = self.begin_due(&mut running).await?;
        while running.join_next().await.is_some() {
            count += self.begin_due(&mut running).await?;
        }
        Ok(count)
    }

    async fn go_on(&self, work: &DueWork) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin_read(work.tenant_id).await?;
        let row = tx.find_received_webhook(work.object_id).await?;
        drop(tx);
        let Some(row) = row.filter(|row| row.verdict == "accepted") else {
            let mut tx = self.parts.store.begin(work.tenant_id).await?;
            tx.finish_work(work.kind, work.object_id).await?;
            return tx.commit().await;
        };
        if !self.parts.places.has_room(&row) {
            // It would probably have to ask, and reading it costs more than giving it back.
            let mut tx = self.parts.store.begin(work.tenant_id).await?;
            let now = self.parts.clock.now();
            tx.defer(work, now + no_room_pause(&row, now)).await?;
            return tx.commit().await;
        }
        let (kept, chosen) = self.reopen(work.tenant_id, &row).await;
        let acted = match (&kept, chosen) {
            // Its webhook is no longer there: it ends as if it had come now.
            (_, Some((connection, _))) if connection.is_deleted => {
                tracing::info!(webhook.id = %row.id, connection.id = %row.connection_id, "a webhook's connection was taken away");
                count(&row.provider, "not_found");
                let refused = Acted::Done(WebhookVerdict::Refused, Reply::default());
                Ok((refused, None))
            }
            (Some(kept), Some(chosen)) => self.act(work.tenant_id, &row, kept, chosen).await,
            _ => Ok((Acted::Later, None)),
        };
        self.end(work.tenant_id, &row, kept.as_ref(), (acted, work.tries))
            .await
            .map(drop)
    }

    /// A webhook as it came, and who reads it.
    async fn reopen(
        &self,
        tenant: TenantId,
        row: &ReceivedWebhookRow,
    ) -> (Option<Kept>, Option<Chosen>) {
        let id = row.connection_id;
        let chosen = self.parts.connections.of_object(tenant, id).await;
        let chosen = chosen.inspect_err(|refusal| {
            tracing::warn!(webhook.id = %row.id, reason = refusal.detail, "nobody can read a webhook");
        });
        let field = kept::field(row.id);
        let place = kept::place(tenant, row.environment, id, &field);
        let opened = self.parts.vault.decrypt(&place, &row.request).await;
        let opened = opened.inspect_err(|error| {
            tracing::warn!(%error, webhook.id = %row.id, "a webhook cannot be decrypted");
        });
        let kept = opened.ok().and_then(|bytes| Kept::from_bytes(&bytes));
        (kept, chosen.ok())
    }
}

async fn read(
    adapter: &Adapter,
    connection: &Connection,
    kept: &Kept,
    received_at_ms: u64,
) -> CallReport<wit::webhooks::Reading> {
    let wanted = adapter.manifest().webhook.as_ref();
    let wanted = wanted.map_or(&[][..], |webhook| webhook.headers.as_slice());
    let request = kept.to_wit(wanted, received_at_ms);
    adapter.webhooks_read(&context(connection), &request).await
}

fn is_left_to_adapter(adapter: &Adapter) -> bool {
    let webhook = adapter.manifest().webhook.as_ref();
    webhook.is_some_and(|webhook| {
        matches!(
            webhook.signature,
            onerouter_manifest::WebhookSignature::Adapter {}
        )
    })
}

fn count(provider: &str, result: &'static str) {
    let provider = provider.to_owned();
    metrics::counter!("onerouter_webhooks_received_total", "provider" => provider, "result" => result)
        .increment(1);
}

fn context(connection: &Connection) -> CallContext {
    let now = Instant::now();
    CallContext {
        connection: Arc::clone(&connection.context),
        deadline: now.checked_add(READ_TIMEOUT).unwrap_or(now),
    }
}

fn unsigned() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidSignature,
        "This is not signed by the provider, or was signed too long ago.",
    )
}

fn too_many() -> Refusal {
    Refusal::new(
        ErrorCode::RateLimited,
        "Too many webhooks for this connection. Send them again later.",
    )
    .retry_after(1)
}

/// How long one for which there was no room waits.
fn no_room_pause(row: &ReceivedWebhookRow, now: DateTime<Utc>) -> TimeDelta {
    let waited = now.signed_duration_since(row.received_at);
    let part = waited.checked_div(NO_ROOM_PART).unwrap_or(NO_ROOM_MIN);
    part.clamp(NO_ROOM_MIN, NO_ROOM_MAX)
}

/// 2 s, 4 s, 8 s … up to a quarter of an hour.
fn backoff(tries: u32) -> TimeDelta {
    let seconds = 2_i64.checked_shl(tries.min(20)).unwrap_or(i64::MAX);
    TimeDelta::try_seconds(seconds)
        .unwrap_or(TRY_AFTER_MAX)
        .min(TRY_AFTER_MAX)
}
