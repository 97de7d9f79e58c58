//! Requests that need an access token first.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use onerouter_egress::{Answer, OutboundRequest, Written};
use onerouter_stages::Stage;
use tokio::time::Instant;

use super::{Answered, Kind};
use crate::bindings::onerouter::outbound::http as wit;
use crate::ledger::LedgerAnswer;
use crate::oauth::{Grant, Token, TokenError};
use crate::state::CallState;

impl CallState {
    /// Sends a request with a token. One that the provider does not accept is renewed, once.
    ///
    /// A provider that knows nobody by the token has done nothing for anybody, so the same request is
    /// safe to send again, also one that changes something.
    pub(super) async fn exchange_with_token(
        &mut self,
        kind: Kind,
        request: OutboundRequest,
        grant: &Grant,
        deadline: Instant,
    ) -> Result<Answer, wit::SendError> {
        let mut is_renewed = false;
        loop {
            let mut attempt = once_more(&request);
            let token = match self.token(grant, deadline).await {
                Ok(token) => token,
                Err(error) => return self.without_token(kind, &attempt, error),
            };
            attempt.headers.insert(AUTHORIZATION, token.header());
            let Answered { entry, answer } = self.exchange(kind, attempt, deadline).await?;
            if is_renewed || answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            is_renewed = true;
            let not_processed = LedgerAnswer {
                status: answer.status.as_u16(),
                not_processed: true,
            };
            self.record.answer(entry, not_processed);
            self.record
                .remark("the provider did not accept an access token; it is renewed".to_owned());
            self.adapter.engine.tokens.discard(grant, &token);
        }
    }

    /// A token that is good for now, and that is looked for in this call from now on.
    async fn token(&mut self, grant: &Grant, deadline: Instant) -> Result<Arc<Token>, TokenError> {
        let engine = &self.adapter.engine;
        let before = Stage::Egress.enter();
        let token = engine.tokens.get(engine, grant, deadline).await;
        before.begin();
        self.waited = true;
        let token = token?;
        self.record
            .use_token(token.scrubber(), &self.connection.credentials);
        Ok(token)
    }

    /// A client that is refused is to the adapter as if the provider had refused the request itself.
    /// Everything else is a provider that cannot be reached.
    fn without_token(
        &self,
        kind: Kind,
        request: &OutboundRequest,
        error: TokenError,
    ) -> Result<Answer, wit::SendError> {
        let text = format!("no access token: {error}");
        self.record.remark(text.clone());
        if let TokenError::Refused { status, body } = error
            && let Ok(status) = StatusCode::from_u16(status)
        {
            return Ok(Answer {
                status,
                headers: HeaderMap::new(),
                body,
            });
        }
        // Stays as it is: a request that found nobody.
        self.record.open(kind.entry(request));
        Err(wit::SendError::Unreachable(text))
    }
}

/// The same request, of which nothing is written yet.
fn once_more(request: &OutboundRequest) -> OutboundRequest {
    OutboundRequest {
        method: request.method.clone(),
        origin: request.origin.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        answer_bytes_max: request.answer_bytes_max,
        written: Written::default(),
    }
}
