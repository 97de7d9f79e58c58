//! How a fault is asked for, in a header or in a rule.

use std::time::Duration;

use chrono::TimeDelta;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AfterFault, BeforeFault, Fault, RULES_MAX, Refusal, WebhookFault};
use crate::{call::Call, provider::Provider};

const DELAY_MAX: Duration = Duration::from_secs(600);
const HUGE_BYTES_MAX: u64 = 1 << 30;
const HUGE_BYTES_DEFAULT: u64 = 16 << 20;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FaultName {
    LatencyBefore,
    LatencyAfter,
    ResetBefore,
    ResetAfter,
    ErrorBefore,
    ErrorAfter,
    TruncatedBody,
    MalformedJson,
    WrongContentType,
    HugeBody,
    TrickleBody,
    WebhookDelay,
    WebhookDuplicate,
    WebhookReorder,
    WebhookDrop,
    WebhookFail,
    WebhookWrongSignature,
}

/// What a rule brings about, and to what.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Planned {
    Request(Fault),
    Webhook(WebhookFault),
}

/// A fault and whom it meets, as `POST /_sandbox/faults` takes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSpec {
    fault: FaultName,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The provider's own: Twilio's number, Resend's name, Razorpay's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_contains: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The type of a webhook's event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// How many requests it meets; 0 is every one until the rule is removed.
    #[serde(default = "once")]
    pub(super) times: u32,
}

fn once() -> u32 {
    1
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FaultError {
    #[error("not a fault: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("{0:?} is neither a status nor a code that can be answered with")]
    Status(u16),
    #[error("`code` is a text or a number")]
    Code,
    #[error("an error fault needs `status`, `code` or both")]
    NoError,
    #[error("at most {RULES_MAX} fault rules; remove some first")]
    TooMany,
    #[error("webhooks are met by rules only, at POST /_sandbox/faults")]
    OnlyByRule,
    #[error("`{0}` says nothing about webhooks")]
    NotOfWebhooks(&'static str),
    #[error("`event` is a webhook's: it says nothing about requests")]
    NotOfRequests,
    #[error("`key=value` pairs after the fault's name, separated by `;`")]
    Header,
}

impl FaultSpec {
    /// Reads `reset_after` or `latency_before; delay_ms=500`.
    pub(super) fn from_header(text: &str) -> Result<FaultSpec, FaultError> {
        let mut parts = text.split(';').map(str::trim);
        let mut fields = Map::new();
        fields.insert("fault".to_owned(), parts.next().unwrap_or_default().into());
        for part in parts {
            let (name, value) = part.split_once('=').ok_or(FaultError::Header)?;
            let number = value.parse::<u64>().map(Value::from);
            fields.insert(name.to_owned(), number.unwrap_or_else(|_| value.into()));
        }
        Ok(serde_json::from_value(Value::Object(fields))?)
    }

    pub(super) fn parse(&self) -> Result<Planned, FaultError> {
        let Some(fault) = self.webhook_fault() else {
            if self.event.is_some() {
                return Err(FaultError::NotOfRequests);
            }
            return self.request_fault().map(Planned::Request);
        };
        for (name, is_set) in [
            ("method", self.method.is_some()),
            ("to", self.to.is_some()),
            ("status", self.status.is_some()),
            ("code", self.code.is_some()),
        ] {
            if is_set {
                return Err(FaultError::NotOfWebhooks(name));
            }
        }
        Ok(Planned::Webhook(fault))
    }

    fn webhook_fault(&self) -> Option<WebhookFault> {
        match self.fault {
            FaultName::WebhookDelay => {
                let ms = i64::try_from(self.delay_ms.unwrap_or(1_000)).unwrap_or(i64::MAX);
                let delay = TimeDelta::try_milliseconds(ms).unwrap_or(TimeDelta::MAX);
                Some(WebhookFault::Delay(delay))
            }
            FaultName::WebhookDuplicate => Some(WebhookFault::Duplicate),
            FaultName::WebhookReorder => Some(WebhookFault::Reorder),
            FaultName::WebhookDrop => Some(WebhookFault::Drop),
            FaultName::WebhookFail => Some(WebhookFault::Fail),
            FaultName::WebhookWrongSignature => Some(WebhookFault::WrongSignature),
            FaultName::LatencyBefore
            | FaultName::LatencyAfter
            | FaultName::ResetBefore
            | FaultName::ResetAfter
            | FaultName::ErrorBefore
            | FaultName::ErrorAfter
            | FaultName::TruncatedBody
            | FaultName::MalformedJson
            | FaultName::WrongContentType
            | FaultName::HugeBody
            | FaultName::TrickleBody => None,
        }
    }

    fn request_fault(&self) -> Result<Fault, FaultError> {
        let delay =
            |default_ms| Duration::from_millis(self.delay_ms.unwrap_or(default_ms)).min(DELAY_MAX);
        Ok(match self.fault {
            FaultName::LatencyBefore => Fault::Before(BeforeFault::Latency(delay(1_000))),
            FaultName::ResetBefore => Fault::Before(BeforeFault::Reset),
            FaultName::ErrorBefore => Fault::Before(BeforeFault::Error(self.refusal()?)),
            FaultName::LatencyAfter => Fault::After(AfterFault::Latency(delay(1_000))),
            FaultName::ResetAfter => Fault::After(AfterFault::Reset),
            FaultName::ErrorAfter => Fault::After(AfterFault::Error(self.refusal()?)),
            FaultName::TruncatedBody => Fault::After(AfterFault::TruncatedBody),
            FaultName::MalformedJson => Fault::After(AfterFault::MalformedJson),
            FaultName::WrongContentType => Fault::After(AfterFault::WrongContentType),
            FaultName::HugeBody => {
                let bytes = self.bytes.unwrap_or(HUGE_BYTES_DEFAULT).min(HUGE_BYTES_MAX);
                Fault::After(AfterFault::HugeBody(bytes))
            }
            FaultName::TrickleBody => Fault::After(AfterFault::TrickleBody(delay(10))),
            FaultName::WebhookDelay
            | FaultName::WebhookDuplicate
            | FaultName::WebhookReorder
            | FaultName::WebhookDrop
            | FaultName::WebhookFail
            | FaultName::WebhookWrongSignature => return Err(FaultError::OnlyByRule),
        })
    }

    fn refusal(&self) -> Result<Refusal, FaultError> {
        let status = match self.status {
            None => None,
            Some(status) => {
                // 1xx and 3xx are no errors, and hyper would not send a body with some of them.
                let code = StatusCode::from_u16(status)
                    .ok()
                    .filter(|_| (400..600).contains(&status));
                Some(code.ok_or(FaultError::Status(status))?)
            }
        };
        let code = match &self.code {
            None => None,
            Some(Value::String(code)) => Some(code.clone()),
            Some(Value::Number(code)) => Some(code.to_string()),
            Some(_) => return Err(FaultError::Code),
        };
        if status.is_none() && code.is_none() {
            return Err(FaultError::NoError);
        }
        Ok(Refusal { status, code })
    }

    pub(super) fn matches_event(&self, provider: &str, event: &str, path: &str) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let part = self.path_contains.as_deref();
        is(&self.provider, provider)
            && is(&self.event, event)
            && part.is_none_or(|part| path.contains(part))
    }

    pub(super) fn matches(&self, provider: &dyn Provider, call: &Call) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.provider, provider.name())
            && is(&self.method, call.method.as_str())
            && self
                .path_contains
                .as_deref()
                .is_none_or(|part| call.path().contains(part))
            && self
                .to
                .as_ref()
                .is_none_or(|to| provider.recipients(call).contains(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_the_fault_and_its_values() {
        let parse = |text| match FaultSpec::from_header(text).unwrap().parse().unwrap() {
            Planned::Request(fault) => fault,
            Planned::Webhook(fault) => panic!("{fault:?}"),
        };
        assert_eq!(parse("reset_after"), Fault::After(AfterFault::Reset));
        assert_eq!(
            parse("latency_before; delay_ms=5"),
            Fault::Before(BeforeFault::Latency(Duration::from_millis(5)))
        );
        let refusal = Refusal {
            status: Some(StatusCode::SERVICE_UNAVAILABLE),
            code: Some("20429".to_owned()),
        };
        assert_eq!(
            parse("error_before;status=503;code=20429"),
            Fault::Before(BeforeFault::Error(refusal))
        );
    }

    #[test]
    fn a_fault_that_says_too_little_or_too_much_is_refused() {
        for text in [
            "",
            "reset",
            "reset_after; x=1",
            "reset_after; x",
            "error_before",
            "error_before; status=200",
        ] {
            assert!(
                FaultSpec::from_header(text)
                    .and_then(|spec| spec.parse())
                    .is_err(),
                "{text}"
            );
        }
    }
}
