//! What an engine's outcome means to a caller.

use onerouter_domain::code::ErrorCode;
use onerouter_domain::failure::Failure;
use onerouter_engine::wit::common;
use onerouter_engine::{
    CallReport, FaultKind, LogLevel, NotSent, Outcome, PluginFault, Refusal as EngineRefusal,
    RefusalKind, UnknownReason,
};
use onerouter_manifest::PluginId;

use super::kind;
use super::refusal::{FieldMistake, ProviderAnswer, Refusal};

/// A provider that asks for more patience than this is quoted with this.
const RETRY_AFTER_MAX_S: u64 = 86_400;

fn provider_answer(provider: &PluginId, failure: &common::Failure) -> Box<ProviderAnswer> {
    Box::new(ProviderAnswer {
        name: provider.to_string(),
        code: failure.provider_code.clone(),
        message: failure.provider_message.clone(),
        http_status: failure.http_status,
    })
}

/// The provider answered and refused.
pub(crate) fn declined(provider: &PluginId, refusal: EngineRefusal) -> Refusal {
    let code = match refusal.kind {
        RefusalKind::Declined | RefusalKind::NotFound => ErrorCode::ProviderRejected,
        RefusalKind::Unauthorized => ErrorCode::ProviderAuthFailed,
        RefusalKind::InvalidState => ErrorCode::InvalidState,
    };
    let mut answer = Refusal::new(code, refusal.failure.message.clone());
    answer.provider = Some(provider_answer(provider, &refusal.failure));
    answer.retryable = Some(refusal.failure.retryable);
    answer
}

/// Nothing was processed.
pub(crate) fn not_sent(provider: &PluginId, reason: NotSent) -> Refusal {
    match reason {
        NotSent::Adapter(failure) => adapter_said(provider, &failure),
        NotSent::Unreachable(_) => Refusal::new(
            ErrorCode::ProviderUnavailable,
            format!("{provider} cannot be reached; nothing was sent."),
        ),
        NotSent::Overloaded | NotSent::Cancelled => Refusal::new(
            ErrorCode::Overloaded,
            "The gateway is full; nothing was sent. Try again.",
        )
        .retry_after(1),
        NotSent::Fault(_) => Refusal::new(
            ErrorCode::PluginFault,
            format!("The adapter of {provider} failed; nothing was sent."),
        ),
        NotSent::Unsupported(detail) => Refusal::new(ErrorCode::UnsupportedByProvider, detail),
        NotSent::Invalid(fields) => Refusal::invalid(
            fields
                .into_iter()
                .map(|field| {
                    FieldMistake::new(field.pointer, mistake_code(&field.code), field.detail)
                })
                .collect(),
        ),
    }
}

/// The codes of the WIT documentation; any other is plain `invalid`.
fn mistake_code(code: &str) -> &'static str {
    ["too_long", "out_of_range", "unsupported", "required"]
        .into_iter()
        .find(|known| *known == code)
        .unwrap_or("invalid")
}

fn adapter_said(provider: &PluginId, failure: &common::Failure) -> Refusal {
    let limited = failure.http_status == Some(429)
        || failure.code == "rate_limited"
        || failure.code == "quota_exceeded";
    let unavailable = failure.http_status == Some(503) || failure.code == "provider_unavailable";
    let code = if limited {
        ErrorCode::ProviderRateLimited
    } else if unavailable {
        ErrorCode::ProviderUnavailable
    } else {
        ErrorCode::ProviderError
    };
    let mut refusal = Refusal::new(code, failure.message.clone());
    refusal.provider = Some(provider_answer(provider, failure));
    refusal.retryable = Some(failure.retryable);
    refusal.retry_after_s = failure
        .retry_after_ms
        .map(|millis| millis.div_ceil(1_000).clamp(1, RETRY_AFTER_MAX_S))
        .or(limited.then_some(1));
    refusal
}

/// The provider may have acted.
pub(crate) fn unknown(provider: &PluginId, object_id: &str) -> Refusal {
    Refusal::new(
        ErrorCode::OutcomeUnknown,
        format!("{provider} may have acted, but its answer was lost. Do not send this again without the same Idempotency-Key; read the object until its status is known."),
    )
    .about(object_id)
}

/// A refusal as it is kept with the object that it ended.
pub(crate) fn as_failure(refusal: &Refusal, said: Option<common::Failure>) -> Failure {
    match said {
        Some(said) => kind::failure(said),
        None => Failure {
            code: refusal.code.as_str().to_owned(),
            message: refusal.detail.clone(),
            retryable: refusal.is_retryable(),
            provider_code: None,
            provider_message: None,
        },
    }
}

pub(crate) const ACCEPTED: &str = "accepted";
pub(crate) const DECLINED: &str = "declined";
pub(crate) const NOT_SENT: &str = "not_sent";
pub(crate) const UNKNOWN: &str = "unknown";

/// The name of an outcome, for rows and metrics.
pub(crate) const fn name<T>(outcome: &Outcome<T>) -> &'static str {
    match outcome {
        Outcome::Accepted(_) => ACCEPTED,
        Outcome::Declined(_) => DECLINED,
        Outcome::NotSent(_) => NOT_SENT,
        Outcome::Unknown(_) => UNKNOWN,
    }
}

/// Counts a call and hands on what the adapter wrote to the operator's log.
pub(crate) fn log<T>(provider: &PluginId, operation: &'static str, report: &CallReport<T>) {
    let outcome = name(&report.outcome);
    metrics::counter!(
        "onerouter_provider_calls_total",
        "provider" => provider.to_string(), "operation" => operation, "outcome" => outcome,
    )
    .increment(1);
    metrics::histogram!(
        "onerouter_provider_call_duration_seconds",
        "provider" => provider.to_string(), "operation" => operation,
    )
    .record(report.duration.as_secs_f64());
    for line in &report.logs {
        let message = line.message.as_str();
        match line.level {
            LogLevel::Debug => tracing::debug!(plugin = %provider, operation, "{message}"),
            LogLevel::Info => tracing::info!(plugin = %provider, operation, "{message}"),
            LogLevel::Warn => tracing::warn!(plugin = %provider, operation, "{message}"),
            LogLevel::Error => tracing::error!(plugin = %provider, operation, "{message}"),
        }
    }
    if let Some(PluginFault { kind, detail }) = fault(&report.outcome) {
        metrics::counter!(
            "onerouter_plugin_faults_total",
            "provider" => provider.to_string(), "kind" => FaultKind::as_str(*kind),
        )
        .increment(1);
        tracing::error!(plugin = %provider, operation, outcome, kind = kind.as_str(), detail, "an adapter failed");
    }
}

const fn fault<T>(outcome: &Outcome<T>) -> Option<&PluginFault> {
    match outcome {
        Outcome::NotSent(NotSent::Fault(fault)) => Some(fault),
        Outcome::Unknown(unknown) => match &unknown.reason {
            UnknownReason::Fault(fault) => Some(fault),
            UnknownReason::Adapter | UnknownReason::Unanswered | UnknownReason::Contradicted => {
                None
            }
        },
        Outcome::Accepted(_) | Outcome::Declined(_) | Outcome::NotSent(_) => None,
    }
}
