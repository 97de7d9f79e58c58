//! One try to deliver: the endpoint's limit, the request, what its answer means, and the rows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use http::header::RETRY_AFTER;
use onerouter_domain::event::ENDPOINT_DISABLED;
use onerouter_domain::id::{AttemptId, EventId, WebhookEndpointId};
use onerouter_domain::time;
use onerouter_egress::Answer;
use tokio::time::Instant;

use super::Deliveries;
use super::lanes::Health;
use super::prepare::Prepared;
use super::request::{self, Unsendable};
use crate::ids;
use crate::redis::Taken;
use crate::service::caller::Rate;
use crate::service::webhooks::schedule::{self, JITTER_MAX, TRIES_MAX};
use crate::service::webhooks::view::EndpointView;
use crate::store::{DeliveryEnd, DeliveryTry, NewEvent, StoreError};

/// DNS, TCP, TLS, request and answer together.
const TRY_MAX: Duration = Duration::from_secs(15);
/// An endpoint that takes longer gets less at a time.
const SLOW: Duration = Duration::from_secs(2);
/// What an answer asks for holds for its delivery, up to a day; for all others to the endpoint, on every
/// node, up to this, so that one odd answer does not silence it.
const PAUSE_MAX: TimeDelta = TimeDelta::hours(1);
/// A node looks again after this whether an endpoint is still to be left alone: its tenant may have ended
/// that, or given it another limit.
const LEFT_ALONE_MAX: TimeDelta = TimeDelta::seconds(30);
/// Of a limit's second, so much may come at once.
const BURST_PART: u32 = 10;
/// Whoever is over a limit waits until several may come, and is not looked at for each.
const OVER_LIMIT_MIN: TimeDelta = TimeDelta::milliseconds(50);
/// An endpoint that has taken nothing for so long is disabled, as is usual in the field: longer than the
/// schedule of one delivery, which is over after four days at the latest.
const FAILING_MAX: TimeDelta = TimeDelta::days(5);
/// But not by the first tries of a delivery, long after the last one.
const FAILING_TRIES_MIN: u32 = 5;
/// Deliveries that are canceled in one transaction.
const CANCEL_BATCH: u32 = 1_000;
/// Pauses before another try to write a try down, while the database is away.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];

/// The reasons by which an endpoint is disabled here, as they are shown.
const GONE: &str = "gone";
const FAILING: &str = "failing";

/// A try that is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) endpoint: WebhookEndpointId,
    pub(super) health: Health,
    /// This node leaves the endpoint alone until then.
    pub(super) pause_until: Option<DateTime<Utc>>,
}

/// What came of a request.
#[derive(Debug)]
struct Heard {
    status: Option<StatusCode>,
    error: Option<String>,
    response: Option<String>,
    /// How long the endpoint wants to be left alone.
    retry_after: Option<TimeDelta>,
    took: Duration,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    end: DeliveryEnd,
    /// Why nothing more is sent to the endpoint.
    disabled: Option<&'static str>,
}

impl Deliveries {
    /// Makes one try.
    pub(super) async fn attempt(&self, one: Prepared) -> Ended {
        let endpoint = one.endpoint();
        let at = self.parts.clock.now();
        if one.delivery.attempts == 0 {
            let waited = at.signed_duration_since(one.delivery.event_at);
            metrics::histogram!("onerouter_webhook_first_try_duration_seconds")
                .record(waited.to_std().unwrap_or_default());
        }
        let heard = self.send(&one, at).await;
        let now = self.parts.clock.now();
        let number = one.delivery.attempts.saturating_add(1);
        let jitter = rand::random_range(0..=JITTER_MAX);
        let verdict = judge(number, &heard, one.target.row.failing_since, (now, jitter));
        self.conclude(&one, &heard, verdict, (at, now)).await;
        let is_quick = verdict.end == DeliveryEnd::Succeeded && heard.took < SLOW;
        Ended {
            endpoint,
            health: if is_quick {
                Health::Quick
            } else {
                Health::Poor
            },
            pause_until: heard
                .retry_after
                .map(|asked| now + asked.min(LEFT_ALONE_MAX)),
        }
    }

    /// How long this delivery's endpoint is to be left alone: it has asked for that, or has its limit.
    pub(super) async fn left_alone_for(&self, one: &Prepared) -> Option<TimeDelta> {
        let now = self.parts.clock.now();
        if let Some(until) = one.target.row.paused_at(now) {
            return Some(until.signed_duration_since(now).min(LEFT_ALONE_MAX));
        }
        let per_second = one.target.row.rate_per_second?;
        let rate = Rate {
            per_second,
            burst: (per_second / BURST_PART).max(1),
        };
        match self.parts.limits.take(one.endpoint().uuid(), rate).await {
            Taken::Admitted { .. } => None,
            Taken::Refused { wait } => {
                let wait = TimeDelta::from_std(wait).unwrap_or(LEFT_ALONE_MAX);
                Some(wait.clamp(OVER_LIMIT_MIN, LEFT_ALONE_MAX))
            }
        }
    }

    async fn send(&self, one: &Prepared, at: DateTime<Utc>) -> Heard {
        let request = request::request(&one.target, &one.delivery, self.parts.targets, at);
        let began = Instant::now();
        let answer = match request {
            Ok(request) => {
                let sent = self
                    .parts
                    .egress
                    .send_for_start(request, began + TRY_MAX)
                    .await;
                sent.map_err(|error| error.to_string())
            }
            Err(unsendable) => Err(self.note_unsendable(one, unsendable)),
        };
        let took = began.elapsed();
        let now = self.parts.clock.now();
        match answer {
            Ok(answer) => Heard::of(&answer, took, now),
            Err(error) => Heard {
                status: None,
                error: Some(error),
                response: None,
                retry_after: None,
                took,
            },
        }
    }

    fn note_unsendable(&self, one: &Prepared, unsendable: Unsendable) -> String {
        tracing::warn!(endpoint.id = %one.endpoint(), "nothing can be sent: {unsendable}");
        unsendable.to_string()
    }

    /// Writes down what came of a try. What cannot be written is tried again when the lease ends.
    async fn conclude(
        &self,
        one: &Prepared,
        heard: &Heard,
        verdict: Verdict,
        (began, now): (DateTime<Utc>, DateTime<Utc>),
    ) {
        let result = match verdict.end {
            DeliveryEnd::Succeeded => "succeeded",
            DeliveryEnd::Again { .. } => "failed",
            DeliveryEnd::Failed => "given_up",
            DeliveryEnd::Canceled => "canceled",
        };
        metrics::counter!("onerouter_webhook_deliveries_total", "result" => result).increment(1);
        metrics::histogram!("onerouter_webhook_delivery_duration_seconds", "result" => result)
            .record(heard.took);
        let tried = DeliveryTry {
            id: AttemptId::from_uuid(ids::next()),
            delivery_id: one.delivery.id,
            endpoint_id: one.endpoint(),
            is_ordered: one.target.row.is_ordered,
            number: one.delivery.attempts.saturating_add(1),
            status: heard.status.map(|status| status.as_u16()),
            error: heard.error.clone(),
            duration_us: u64::try_from(heard.took.as_micros()).unwrap_or(u64::MAX),
            response: heard.response.clone(),
            at: began,
            ended_at: now,
            end: verdict.end,
            pause_until: heard.pause_until(now),
        };
        let written = match verdict.disabled {
            None => self.write_surely(one, tried).await,
            Some(reason) => self.disable(one, &tried, reason, now).await,
        };
        let (delivery, endpoint) = (one.delivery.id, one.endpoint());
        let (status, duration_ms) = (heard.status.map(|one| one.as_u16()), heard.took.as_millis());
        let error = heard.error.as_deref();
        match written {
            Ok(true) => tracing::debug!(
                delivery.id = %delivery, endpoint.id = %endpoint, result, status, error, duration_ms,
                "tried to deliver an event"
            ),
            Ok(false) => tracing::info!(
                delivery.id = %delivery, endpoint.id = %endpoint, result,
                "another node has written down this try"
            ),
            Err(error) => tracing::error!(
                error, delivery.id = %delivery, endpoint.id = %endpoint, result,
                "cannot write down a try to deliver; it is made again"
            ),
        }
    }

    /// Also if the database is gone for a moment: what was taken should not be sent again.
    async fn write_surely(&self, one: &Prepared, tried: DeliveryTry) -> Result<bool, String> {
        let mut pauses = AGAIN_AFTER.into_iter();
        loop {
            let error = match self.parts.store.end_try(one.tenant, tried.clone()).await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            let is_away = matches!(*error.error, StoreError::Unavailable { .. });
            match pauses.next().filter(|_| is_away) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error.to_string()),
            }
        }
    }

    /// Writes down the last try, disables the endpoint, tells the others, and cancels what is left.
    async fn disable(
        &self,
        one: &Prepared,
        tried: &DeliveryTry,
        reason: &'static str,
        now: DateTime<Utc>,
    ) -> Result<bool, String> {
        let disabled = self.write_disabled(one, tried, reason, now).await;
        let (written, disabled) = disabled.map_err(|error| error.to_string())?;
        if disabled {
            tracing::warn!(
                endpoint.id = %one.endpoint(), tenant.id = %one.tenant, reason,
                "disabled a webhook endpoint"
            );
            metrics::counter!("onerouter_webhook_endpoints_disabled_total", "reason" => reason)
                .increment(1);
        }
        // Whatever this leaves behind is canceled when it is due.
        if disabled && let Err(error) = self.cancel_pending(one, now).await {
            tracing::warn!(%error, endpoint.id = %one.endpoint(), "cannot cancel deliveries yet");
        }
        Ok(written)
    }

    async fn write_disabled(
        &self,
        one: &Prepared,
        tried: &DeliveryTry,
        reason: &'static str,
        now: DateTime<Utc>,
    ) -> Result<(bool, bool), StoreError> {
        let endpoint = one.endpoint();
        let mut tx = self.parts.store.begin(one.tenant).await?;
        // Before the try is written, which says that the endpoint fails.
        let read = &one.target.row;
        let disabled = tx.disable_webhook_endpoint(read, reason, now).await?;
        let written = tx.end_tries(std::slice::from_ref(tried)).await?;
        if !written.contains(&true) {
            // Another node's word on this try counts, and with it what it made of the endpoint.
            return Ok((false, false));
        }
        if disabled {
            let mut row = one.target.row.clone();
            row.disabled_reason = Some(reason.to_owned());
            row.disabled_at = Some(now);
            row.updated_at = now;
            let shown = EndpointView::of(&row, &one.target.secrets, now);
            tx.insert_event(&NewEvent {
                id: EventId::from_uuid(ids::next()),
                environment: row.environment,
                event_type: ENDPOINT_DISABLED.to_owned(),
                object_id: endpoint.uuid(),
                // An endpoint has no version; later events have greater numbers.
                object_version: time::to_millis(now),
                data: serde_json::to_string(&shown).unwrap_or_default(),
                created_at: now,
            })
            .await?;
        }
        tx.commit().await?;
        Ok((true, disabled))
    }

    /// Cancels what there was to tell until then: whoever enables the endpoint again meanwhile is told what
    /// happens from there on.
    async fn cancel_pending(&self, one: &Prepared, until: DateTime<Utc>) -> Result<(), StoreError> {
        loop {
            let mut tx = self.parts.store.begin_read(one.tenant).await?;
            let pending = tx
                .pending_deliveries(one.endpoint(), until, CANCEL_BATCH)
                .await?;
            tx.commit().await?;
            if pending.is_empty() {
                return Ok(());
            }
            self.cancel(one.tenant, &pending).await?;
        }
    }
}

impl Heard {
    fn of(answer: &Answer, took: Duration, now: DateTime<Utc>) -> Self {
        let asks = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        let asked = asks.contains(&answer.status);
        Self {
            status: Some(answer.status),
            error: None,
            response: Some(request::shown(&answer.body)),
            retry_after: schedule::retry_after(answer.headers.get(RETRY_AFTER), now)
                .filter(|_| asked),
            took,
        }
    }

    /// Until when nothing more is sent to the endpoint, by any node.
    fn pause_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let asked = self.retry_after?.min(PAUSE_MAX);
        // As times are stored. What has passed already would only be written.
        (!asked.is_zero()).then(|| time::cut(now + asked))
    }
}

/// What follows from an answer, or from there being none. Redirects are failures like any other.
fn judge(
    number: u32,
    heard: &Heard,
    failing_since: Option<DateTime<Utc>>,
    (now, jitter): (DateTime<Utc>, u32),
) -> Verdict {
    let disabled = |reason| Verdict {
        end: DeliveryEnd::Canceled,
        disabled: Some(reason),
    };
    let enabled = |end| Verdict {
        end,
        disabled: None,
    };
    match heard.status {
        Some(status) if status.is_success() => return enabled(DeliveryEnd::Succeeded),
        Some(StatusCode::GONE) => return disabled(GONE),
        Some(_) | None => {}
    }
    let failing_for = failing_since.map(|since| now.signed_duration_since(since));
    if number >= FAILING_TRIES_MIN.min(TRIES_MAX)
        && failing_for.is_some_and(|failing| failing >= FAILING_MAX)
    {
        return disabled(FAILING);
    }
    match schedule::pause_after(number, jitter) {
        Some(pause) => {
            let asked = heard.retry_after.unwrap_or_default();
            // As times are stored.
            let at = time::cut(now + pause.max(asked));
            enabled(DeliveryEnd::Again { at })
        }
        None => enabled(DeliveryEnd::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_800_000_000_000_000_000);

    fn heard(status: u16) -> Heard {
        Heard {
            status: StatusCode::from_u16(status).ok(),
            error: None,
            response: None,
            retry_after: None,
            took: Duration::ZERO,
        }
    }

    fn end(number: u32, heard: &Heard) -> DeliveryEnd {
        judge(number, heard, None, (NOW, 0)).end
    }

    #[test]
    fn only_2xx_is_success() {
        for status in 200..300 {
            assert_eq!(end(1, &heard(status)), DeliveryEnd::Succeeded);
        }
        let again = DeliveryEnd::Again {
            at: NOW + TimeDelta::seconds(5),
        };
        for status in [300, 301, 302, 304, 307, 308, 400, 401, 404, 429, 500, 503] {
            assert_eq!(end(1, &heard(status)), again, "{status}");
        }
        // Nothing was answered.
        assert_eq!(end(1, &heard(0)), again);
        assert_eq!(end(TRIES_MAX, &heard(500)), DeliveryEnd::Failed);
    }

    #[test]
    fn what_is_gone_is_left_alone_at_once() {
        let verdict = judge(1, &heard(410), None, (NOW, 0));
        assert_eq!(
            (verdict.end, verdict.disabled),
            (DeliveryEnd::Canceled, Some(GONE))
        );
    }

    #[test]
    fn a_retry_that_is_asked_for_later_is_later_and_not_sooner() {
        let mut answer = heard(429);
        for (asked_s, after_s) in [(1, 300), (300, 300), (3_600, 3_600)] {
            answer.retry_after = Some(TimeDelta::seconds(asked_s));
            let at = NOW + TimeDelta::seconds(after_s);
            assert_eq!(end(2, &answer), DeliveryEnd::Again { at });
        }
    }

    #[test]
    fn days_without_any_success_and_several_tries_disable() {
        let disabled = |number, failing: TimeDelta| {
            let since = Some(NOW - failing);
            judge(number, &heard(500), since, (NOW, 0)).disabled
        };
        assert_eq!(disabled(FAILING_TRIES_MIN, FAILING_MAX), Some(FAILING));
        assert_eq!(disabled(FAILING_TRIES_MIN - 1, FAILING_MAX), None);
        let almost = FAILING_MAX - TimeDelta::seconds(1);
        assert_eq!(disabled(TRIES_MAX, almost), None);
        assert_eq!(judge(TRIES_MAX, &heard(500), None, (NOW, 0)).disabled, None);
    }
}
