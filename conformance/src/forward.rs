//! Requests that go on to a live sandbox, by the client that the gateway itself uses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use onerouter_egress::{Answer, Egress, Origin, OutboundRequest, SendError, Written};
use tokio::time::Instant;

use crate::cassette::Answered;
use crate::provider::Received;

/// A sandbox that takes longer is broken.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Headers of an answer that adapters may depend on. Others say when and where it was made, and to whom.
const KEPT: [&str; 3] = ["content-type", "location", "retry-after"];

/// The way on.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    pub(crate) egress: Arc<Egress>,
}

/// A request that could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("the live provider did not answer")]
    Send(#[from] SendError),
    #[error("the request cannot be passed on")]
    Request(#[from] http::Error),
}

impl Forward {
    pub(crate) async fn send(&self, received: &Received) -> Result<Answered, ForwardError> {
        let target = if received.query.is_empty() {
            received.path.clone()
        } else {
            format!("{}?{}", received.path, received.query)
        };
        let mut headers = received.headers.clone();
        for name in [HOST, CONNECTION, CONTENT_LENGTH] {
            headers.remove(name);
        }
        let request = OutboundRequest {
            method: http::Method::try_from(received.method.as_str()).map_err(http::Error::from)?,
            origin: Origin::https(received.host.as_str()),
            target: target.parse().map_err(http::Error::from)?,
            headers,
            body: received.body.clone(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            written: Written::default(),
        };
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        let answer = self.egress.send(request, deadline).await?;
        Ok(answered(&answer))
    }
}

fn answered(answer: &Answer) -> Answered {
    let headers = KEPT.iter().filter_map(|name| {
        let value = answer.headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    let mut answered = Answered {
        status: answer.status.as_u16(),
        headers: headers.collect::<BTreeMap<_, _>>(),
        json: None,
        text: None,
    };
    answered.set_body(String::from_utf8_lossy(&answer.body).into_owned());
    answered
}
