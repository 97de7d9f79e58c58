//! `onerouter:outbound/http`: the only way out.
//!
//! - [`token`]: requests that need an access token first

mod token;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use onerouter_egress::{Answer, OutboundRequest, SendError};
use onerouter_stages::Stage;
use tokio::time::Instant;

use crate::bindings::onerouter::outbound::http as wit;
use crate::ledger::{LedgerAnswer, OpenEntry};
use crate::outbound::{Denial, Prepared, prepare};
use crate::scrub::Scrubber;
use crate::state::{CallState, Tape};

/// What is kept back of a call's time when a request is sent, so that an adapter whose provider
/// hangs can still say so.
const ANSWER_RESERVE: Duration = Duration::from_millis(200);

impl wit::Host for CallState {
    async fn send(
        &mut self,
        request: wit::Request,
    ) -> wasmtime::Result<Result<wit::Response, wit::SendError>> {
        // The usual call costs nothing more than this look.
        Ok(match self.tape.clone() {
            None => self.send_one(request).await,
            Some(Tape::Records(notes)) => {
                let asked = notes.asked(&request);
                let answer = self.send_one(request).await;
                if let Some(asked) = asked {
                    notes.exchange(asked, &answer);
                }
                answer
            }
            Some(Tape::Plays(playback)) => {
                let limit = self.adapter.manifest.limits.response_bytes;
                let asked = playback.asked(&request);
                // Counted in any case, as in a call.
                let refused = self.check(request).err();
                match asked {
                    Some(asked) => playback.answer(asked, refused, limit),
                    None => Err(wit::SendError::Other(
                        "more is asked than a recording may hold".to_owned(),
                    )),
                }
            }
        })
    }
}

impl CallState {
    pub(crate) async fn send_one(
        &mut self,
        request: wit::Request,
    ) -> Result<wit::Response, wit::SendError> {
        let deadline = self.request_deadline(request.timeout_ms);
        let Prepared {
            request,
            method,
            state_changing,
            wanted,
            grant,
        } = self.check(request)?;
        let kind = Kind {
            method,
            state_changing,
        };
        let answer = match grant {
            None => self.exchange(kind, request, deadline).await?.answer,
            Some(grant) => {
                self.exchange_with_token(kind, request, &grant, deadline)
                    .await?
            }
        };
        let secrets = self.record.secrets(&self.connection.credentials);
        Ok(response(answer, &wanted, &secrets))
    }

    /// Counts a request, and holds it against the rules.
    fn check(&mut self, request: wit::Request) -> Result<Prepared, wit::SendError> {
        let limits = &self.adapter.manifest.limits;
        // Refused ones count too: they cost the host time.
        if self.requests >= limits.requests {
            let text = format!("the call's {} requests are used up", limits.requests);
            return Err(wit::SendError::Other(text));
        }
        self.requests += 1;
        if self.is_offline {
            let text = "reading a webhook sends nothing".to_owned();
            return Err(wit::SendError::Denied(text));
        }
        let prepared = prepare(
            &self.adapter.rules,
            &self.connection,
            request,
            limits.response_bytes,
        )
        .and_then(|prepared| {
            if prepared.keeps_promise(self.key.as_ref()) {
                Ok(prepared)
            } else {
                Err(Denial::HeaderKey)
            }
        });
        prepared.map_err(|denial| {
            self.record
                .remark(format!("a request was refused: {denial}"));
            wit::SendError::Denied(denial.text())
        })
    }

    /// Sends a request as it is, once, and keeps the ledger.
    async fn exchange(
        &mut self,
        kind: Kind,
        request: OutboundRequest,
        deadline: Instant,
    ) -> Result<Answered, wit::SendError> {
        let entry = self.record.open(kind.entry(&request));
        let before = Stage::Egress.enter();
        let sent = self.adapter.engine.send(request, deadline).await;
        before.begin();
        self.waited = true;
        let answer = sent.map_err(refusal)?;
        let status = answer.status.as_u16();
        self.record.answer(
            entry,
            LedgerAnswer {
                status,
                not_processed: self.adapter.rules.means_not_processed(status, &answer.body),
            },
        );
        Ok(Answered { entry, answer })
    }

    fn request_deadline(&self, timeout_ms: Option<u32>) -> Instant {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        let usable = left.saturating_sub(ANSWER_RESERVE.min(left / 10));
        let asked = timeout_ms.map_or(usable, |ms| Duration::from_millis(ms.into()));
        now + usable.min(asked)
    }
}

/// What a request is to the ledger.
#[derive(Debug, Clone, Copy)]
struct Kind {
    method: &'static str,
    state_changing: bool,
}

impl Kind {
    fn entry(self, request: &OutboundRequest) -> OpenEntry {
        OpenEntry {
            method: self.method,
            host: request.origin.host.clone(),
            path: request.target.path().to_owned(),
            state_changing: self.state_changing,
            written: request.written.clone(),
            answer: None,
        }
    }
}

/// A complete answer, and where its request stands in the ledger.
struct Answered {
    entry: usize,
    answer: Answer,
}

/// What the adapter is told: whether anything left is what matters to it.
fn refusal(error: SendError) -> wit::SendError {
    let text = error.to_string();
    match error {
        SendError::TooLarge { limit } => wit::SendError::TooLarge(limit),
        SendError::Unreachable(_) => wit::SendError::Unreachable(text),
        SendError::Interrupted { written, .. } | SendError::TimedOut { written } => {
            if written {
                wit::SendError::Interrupted(text)
            } else {
                wit::SendError::Unreachable(text)
            }
        }
    }
}

fn response(answer: Answer, wanted: &[HeaderName], scrubber: &Scrubber) -> wit::Response {
    wit::Response {
        status: answer.status.as_u16(),
        headers: headers(&answer.headers, wanted, scrubber),
        body: body(answer.body, scrubber),
    }
}

fn headers(
    headers: &HeaderMap,
    wanted: &[HeaderName],
    scrubber: &Scrubber,
) -> Vec<(String, String)> {
    let mut found = Vec::with_capacity(wanted.len());
    for name in wanted {
        for value in headers.get_all(name) {
            let text = String::from_utf8_lossy(value.as_bytes());
            let value = scrubber.text(&text).into_owned();
            found.push((name.as_str().to_owned(), value));
        }
    }
    found
}

fn body(body: Bytes, scrubber: &Scrubber) -> Vec<u8> {
    scrubber.scrub(&body).unwrap_or_else(|| body.into())
}
