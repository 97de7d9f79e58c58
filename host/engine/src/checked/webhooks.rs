//! What adapters read in webhooks, held against the contract.

use super::{
    Checked, Checker, EMAIL_STATUSES, Malformed, SENDER_BYTES_MAX, SMS_STATUSES, status, truncate,
};
use crate::wit::webhooks::{
    Answer, Engagement, Event, IncomingMessage, Kind, Medium, MessageReport, News, Reading, Subject,
};

const EVENTS_MAX: usize = 100;
const NEWS_MAX: usize = 16;
const EVENT_TYPE_BYTES_MAX: usize = 100;
const MEDIA_MAX: usize = 10;
const URL_BYTES_MAX: usize = 2_048;
const CONTENT_TYPE_BYTES_MAX: usize = 100;
const TEXT_CHARACTERS_MAX: usize = 10_000;
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// Ours are shorter.
const ID_BYTES_MAX: usize = 64;

impl Checked for Reading {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        if self.events.len() > EVENTS_MAX {
            return Err(Malformed(format!("more than {EVENTS_MAX} events")));
        }
        let events = self.events.into_iter().map(|event| event.checked(checker));
        let events = events.collect::<Result<_, _>>()?;
        Ok(Self {
            events,
            answer: self.answer.and_then(|answer| checker.answer(answer)),
        })
    }
}

impl Checked for Event {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        if let Some(id) = &self.id {
            checker.provider_id(id)?;
        }
        if self.event_type.is_empty() {
            return Err(Malformed("an event has no type".to_owned()));
        }
        if self.news.len() > NEWS_MAX {
            return Err(Malformed(format!("more than {NEWS_MAX} news in an event")));
        }
        let news = self.news.into_iter().map(|news| news.checked(checker));
        let news = news.collect::<Result<_, _>>()?;
        Ok(Self {
            id: self.id,
            event_type: checker.text(self.event_type, EVENT_TYPE_BYTES_MAX),
            occurred_at: self.occurred_at,
            news,
            extra: checker.extra(self.extra),
        })
    }
}

impl Checked for News {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        Ok(match self {
            Self::Changed(subject) => Self::Changed(checker.subject(subject)?),
            Self::Reported(report) => Self::Reported(report.checked(checker)?),
            Self::Received(message) => Self::Received(message.checked(checker)?),
            Self::Engaged(engagement) => Self::Engaged(engagement.checked(checker)?),
        })
    }
}

impl Checked for MessageReport {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        match self.subject.kind {
            Kind::Sms => status(&self.status, &SMS_STATUSES)?,
            Kind::Email => status(&self.status, &EMAIL_STATUSES)?,
            Kind::Payment | Kind::Refund | Kind::Subscription | Kind::PaymentLink => {
                // Money never moves on a webhook's word.
                return Err(Malformed(
                    "a report about what is no message; such an object has `changed`".to_owned(),
                ));
            }
        }
        if let Some(cost) = &self.cost {
            checker.cost(cost)?;
        }
        Ok(Self {
            subject: checker.subject(self.subject)?,
            status: self.status,
            segments: self.segments.filter(|count| *count <= super::SEGMENTS_MAX),
            cost: self.cost,
            sender: self
                .sender
                .map(|sender| checker.text(sender, SENDER_BYTES_MAX)),
            failure: self.failure.map(|failure| checker.failure(failure)),
        })
    }
}

impl Checked for IncomingMessage {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        let mut media = self.media;
        media.truncate(MEDIA_MAX);
        media.retain(|medium| is_address(&medium.url));
        let media = media.into_iter().map(|medium| Medium {
            url: checker.text(medium.url, URL_BYTES_MAX),
            content_type: medium
                .content_type
                .map(|name| checker.text(name, CONTENT_TYPE_BYTES_MAX)),
        });
        Ok(Self {
            provider_id: self.provider_id,
            sender: checker.text(self.sender, SENDER_BYTES_MAX),
            to: checker.text(self.to, SENDER_BYTES_MAX),
            body: checker.message_text(self.body),
            media: media.collect(),
            segments: self.segments.filter(|count| *count <= super::SEGMENTS_MAX),
            consent: self.consent,
            extra: checker.extra(self.extra),
        })
    }
}

impl Checked for Engagement {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        if self.subject.kind != Kind::Email {
            return Err(Malformed("only an e-mail is opened or clicked".to_owned()));
        }
        let link = self.link.filter(|link| is_address(link));
        Ok(Self {
            subject: checker.subject(self.subject)?,
            what: self.what,
            link: link.map(|link| checker.text(link, URL_BYTES_MAX)),
            extra: checker.extra(self.extra),
        })
    }
}

impl Checker<'_> {
    fn subject(&self, subject: Subject) -> Result<Subject, Malformed> {
        self.provider_id(&subject.provider_id)?;
        let is_short = |id: &String| id.len() <= ID_BYTES_MAX;
        Ok(Subject {
            kind: subject.kind,
            provider_id: subject.provider_id,
            object_id: subject.object_id.filter(is_short),
            attempt_id: subject.attempt_id.filter(is_short),
        })
    }

    /// Somebody's text: lines stay, other control characters do not.
    fn message_text(&self, mut text: String) -> String {
        truncate(&mut text, TEXT_CHARACTERS_MAX * 4);
        self.scrubber.string(&mut text);
        text.chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .take(TEXT_CHARACTERS_MAX)
            .collect()
    }

    /// The answer, if it can be given.
    fn answer(&mut self, answer: Answer) -> Option<Answer> {
        let is_media_type = answer
            .content_type
            .split_once('/')
            .is_some_and(|(kind, sub)| {
                let is_token = |text: &str| {
                    (1..=60).contains(&text.len())
                        && text
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte))
                };
                is_token(kind) && is_token(sub)
            });
        if !is_media_type || answer.body.len() > ANSWER_BYTES_MAX {
            self.remarks
                .push("an answer to a webhook was dropped".to_owned());
            return None;
        }
        let mut body = answer.body;
        self.scrubber.string(&mut body);
        Some(Answer {
            content_type: answer.content_type,
            body,
        })
    }
}

fn is_address(url: &str) -> bool {
    url.len() <= URL_BYTES_MAX && (url.starts_with("https://") || url.starts_with("http://"))
}
