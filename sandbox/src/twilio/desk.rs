//! What a merchant sets in Twilio's console: where inbound messages and the statuses of the Messaging
//! Service are told. And who does not want to hear from which number any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{MESSAGING_SERVICE_SID, NAME, account, error::TwilioError, message::Sender, number};
use crate::webhooks::{
    NewWebhook, Webhook, WebhookChange, WebhookError, WebhookTargets, parse_target, pick_events,
};

const INBOUND: &str = "inbound";
const STATUS: &str = "status";
/// <https://help.twilio.com/articles/223134027>
const STOP_WORDS: [&str; 8] = [
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
];
const START_WORDS: [&str; 3] = ["START", "YES", "UNSTOP"];
/// Pairs of number and person that are remembered.
const OPT_OUTS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Desk {
    /// By number.
    inbound: BTreeMap<&'static str, String>,
    /// Of the Messaging Service; a message's own goes before it.
    status: Option<String>,
    /// Number of the account, number of the person.
    opted_out: BTreeSet<(String, String)>,
}

impl Desk {
    pub(super) fn inbound_url(&self, number: &str) -> Option<String> {
        self.inbound.get(number).cloned()
    }

    pub(super) fn service_callback(&self) -> Option<String> {
        self.status.clone()
    }

    /// The words that carriers and Twilio take as a wish, alone in a message.
    pub(super) fn heed(&mut self, number: &str, person: &str, text: &str) {
        let word = text.trim().to_ascii_uppercase();
        let pair = (number.to_owned(), person.to_owned());
        if STOP_WORDS.contains(&word.as_str()) {
            if self.opted_out.len() < OPT_OUTS_MAX {
                self.opted_out.insert(pair);
            }
        } else if START_WORDS.contains(&word.as_str()) {
            self.opted_out.remove(&pair);
        }
    }

    /// Of a Messaging Service every number counts.
    pub(super) fn check_opt_out(&self, sender: &Sender, person: &str) -> Result<(), TwilioError> {
        let is_out = |number: &str| {
            let pair = (number.to_owned(), person.to_owned());
            self.opted_out.contains(&pair)
        };
        let refused = match sender {
            Sender::Number(number) => is_out(number),
            Sender::Service { .. } => account::ordinary().numbers.iter().any(|each| is_out(each)),
        };
        match refused {
            true => Err(TwilioError::about(21610, person)),
            false => Ok(()),
        }
    }

    /// One number, or all of them and the Messaging Service.
    pub(super) fn add(
        &mut self,
        new: &NewWebhook,
        targets: WebhookTargets,
    ) -> Result<Webhook, WebhookError> {
        let account = account::ordinary();
        if let Some(other) = new.account.as_deref().filter(|sid| *sid != account.sid) {
            return Err(WebhookError::new(format!(
                "account {other} has no webhooks here, {} has",
                account.sid
            )));
        }
        if new.secret.is_some() {
            return Err(WebhookError::new(
                "Twilio signs with the account's auth token: `secret` cannot be set",
            ));
        }
        parse_target(&new.url, targets)?;
        let events = pick_events(new.events.as_deref(), &[INBOUND, STATUS])?;
        if let Some(number) = &new.number {
            let mut numbers = account.numbers.iter();
            let number = numbers.find(|known| *known == number).ok_or_else(|| {
                WebhookError::new(format!("{number} is no number of the account"))
            })?;
            self.inbound.insert(*number, new.url.clone());
            return Ok(of_number(number, &new.url));
        }
        if events.contains(&INBOUND) {
            for number in account.numbers {
                self.inbound.insert(*number, new.url.clone());
            }
        }
        if events.contains(&STATUS) {
            self.status = Some(new.url.clone());
        }
        Ok(webhook(account.sid.to_owned(), &new.url, &events))
    }

    pub(super) fn list(&self) -> Vec<Webhook> {
        let numbers = self.inbound.iter();
        let numbers = numbers.map(|(number, url)| of_number(number, url));
        let status = self.status.iter();
        let status = status.map(|url| webhook(MESSAGING_SERVICE_SID.to_owned(), url, &[STATUS]));
        numbers.chain(status).collect()
    }

    pub(super) fn change(
        &mut self,
        id: &str,
        change: &WebhookChange,
        targets: WebhookTargets,
    ) -> Option<Result<Webhook, WebhookError>> {
        let is_status = id == MESSAGING_SERVICE_SID && self.status.is_some();
        let number = self.number_of(id);
        if !is_status && number.is_none() {
            return None;
        }
        if change.secret.is_some() || change.events.is_some() || change.enabled.is_some() {
            let why = "of a URL at Twilio only the URL can be changed";
            return Some(Err(WebhookError::new(why)));
        }
        if let Some(url) = &change.url {
            if let Err(error) = parse_target(url, targets) {
                return Some(Err(error.into()));
            }
            match number {
                Some(number) => drop(self.inbound.insert(number, url.clone())),
                None => self.status = Some(url.clone()),
            }
        }
        self.list().into_iter().find(|each| each.id == id).map(Ok)
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        if id == account::ordinary().sid {
            let any = !self.inbound.is_empty() || self.status.is_some();
            self.inbound.clear();
            self.status = None;
            return any;
        }
        if id == MESSAGING_SERVICE_SID {
            return self.status.take().is_some();
        }
        match self.number_of(id) {
            Some(number) => self.inbound.remove(number).is_some(),
            None => false,
        }
    }

    fn number_of(&self, id: &str) -> Option<&'static str> {
        let mut numbers = self.inbound.keys().copied();
        numbers.find(|number| number::sid(number) == id)
    }
}

fn of_number(number: &str, url: &str) -> Webhook {
    webhook(number::sid(number), url, &[INBOUND])
}

fn webhook(id: String, url: &str, events: &[&str]) -> Webhook {
    let account = account::ordinary();
    Webhook {
        id,
        provider: NAME,
        account: account.sid,
        url: url.to_owned(),
        secret: Some(account.auth_token.to_owned()),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        enabled: true,
    }
}
