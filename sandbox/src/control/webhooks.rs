//! Setting webhooks up, and what became of the deliveries.

use http::StatusCode;

use super::{Answer, Desk, Query, Refused, bad_request, ok};
use crate::{provider, reply::Reply, webhooks::AttemptFilter};

impl Desk<'_> {
    pub(super) fn add_webhook(&self) -> Answer {
        let webhook = provider::add_webhook(self.providers, &self.read()?);
        let webhook = webhook.map_err(|error| bad_request(error.to_string()))?;
        self.core.webhooks.ring();
        Ok(Reply::json(StatusCode::CREATED, &webhook))
    }

    pub(super) fn change_webhook(&self, id: &str) -> Answer {
        match provider::change_webhook(self.providers, id, &self.read()?) {
            Some(Ok(webhook)) => {
                self.core.webhooks.ring();
                Ok(ok(&webhook))
            }
            Some(Err(error)) => Err(bad_request(error.to_string())),
            None => Err(no_webhook(id)),
        }
    }

    pub(super) fn remove_webhook(&self, id: &str) -> Answer {
        if provider::remove_webhook(self.providers, id) {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        Err(no_webhook(id))
    }

    pub(super) fn deliveries(&self, mut query: Query) -> Answer {
        let filter = AttemptFilter {
            provider: query.take("provider"),
            account: query.take("account"),
            webhook: query.take("webhook"),
            event: query.take("event"),
            event_id: query.take("event_id"),
            object: query.take("object"),
        };
        let limit = query.finish()?;
        Ok(ok(&self.core.webhooks.read(&filter, limit)))
    }

    pub(super) fn clear_deliveries(&self) -> Reply {
        self.core.webhooks.clear_attempts();
        Reply::empty(StatusCode::NO_CONTENT)
    }
}

fn no_webhook(id: &str) -> Refused {
    Refused(
        StatusCode::NOT_FOUND,
        format!("no provider has a webhook {id}"),
    )
}
