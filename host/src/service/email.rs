//! E-mail.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{EmailId, TenantId};
use onerouter_domain::message::EmailStatus;
use onerouter_domain::time;
use onerouter_engine::wit::email as wit;
use onerouter_engine::{Adapter, CallContext, CallReport};
use onerouter_manifest::{Capability, Category};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::connections::Chosen;
use super::kind::{self, CallIds, Kind, still_open};
use super::message::{self, CANCEL, Cancel, MessageFacts};
use super::object::{Object, Reported};
use super::objects::Objects;
use super::refusal::Refusal;
use super::view::EmailView;
use crate::store::AttemptRow;
use crate::store::ObjectKind;
use crate::store::StoreError;

/// Addresses in each of `to`, `cc`, `bcc` and `reply_to`.
pub const ADDRESSES_MAX: usize = 50;
/// Files of one e-mail.
pub const ATTACHMENTS_MAX: usize = 32;
/// An e-mail of which nothing more was heard after this is no longer asked about.
const QUIET_IS_FINAL_AFTER: TimeDelta = TimeDelta::days(7);

/// The kind.
#[derive(Debug, Clone, Copy)]
pub struct Email;

/// What a caller asks for, without the contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailRequest {
    /// Recipients.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Hidden copies.
    pub bcc: Vec<String>,
    /// Where answers go.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The e-mail's own sender.
    pub from_email: Option<String>,
    /// What is attached.
    pub attachments: Vec<EmailAttachment>,
    /// Headers of the e-mail itself.
    pub headers: BTreeMap<String, String>,
    /// For sorting at the provider.
    pub tags: BTreeMap<String, String>,
    /// When to send.
    pub send_at: Option<DateTime<Utc>>,
}

/// One attached file, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailAttachment {
    /// File name.
    pub filename: String,
    /// Media type.
    pub content_type: Option<String>,
    /// Where the provider fetches it.
    pub url: Option<String>,
    /// Size of the content, where it came with the request.
    pub size_bytes: Option<u64>,
}

/// The large part of an e-mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailContent {
    /// The text as HTML.
    pub html_body: Option<String>,
    /// The plain text.
    pub text_body: Option<String>,
    /// The attachments' contents in base64, in the order of the attachments; none for a URL.
    pub attachments: Vec<Option<String>>,
}

impl Kind for Email {
    type Id = EmailId;
    type Status = EmailStatus;
    type Request = EmailRequest;
    type Facts = MessageFacts;
    type Action = Cancel;
    type Content = EmailContent;

    const NAME: &'static str = "email";
    const OBJECT: ObjectKind = ObjectKind::Email;
    const HAS_CONTENT: bool = true;
    const NOUN: &'static str = "e-mail";
    const CATEGORY: Category = Category::Email;
    const CREATE: Capability = Capability::Email;
    const CREATE_NAME: &'static str = "send";
    const SENDER_POINTER: Option<&'static str> = Some("/from_email");
    const CREATE_OPERATION: &'static str = "email.send";

    fn id(uuid: Uuid) -> EmailId {
        EmailId::from_uuid(uuid)
    }

    fn uuid(id: EmailId) -> Uuid {
        id.uuid()
    }

    fn queued() -> EmailStatus {
        EmailStatus::Queued
    }

    fn failed() -> EmailStatus {
        EmailStatus::Failed
    }

    fn unknown() -> EmailStatus {
        EmailStatus::Unknown
    }

    fn is_terminal(status: EmailStatus) -> bool {
        status.is_terminal()
    }

    fn merge(status: EmailStatus, _facts: &MessageFacts, reported: &Reported<Self>) -> EmailStatus {
        status.merge(reported.status)
    }

    fn is_settled_by_age(object: &Object<Self>, now: DateTime<Utc>) -> bool {
        let since = object
            .request
            .send_at
            .unwrap_or(object.created_at)
            .max(object.created_at);
        matches!(object.status, EmailStatus::Sent | EmailStatus::Delayed)
            && now.signed_duration_since(since) > QUIET_IS_FINAL_AFTER
    }

    fn sender(request: &EmailRequest) -> Option<&str> {
        request.from_email.as_deref()
    }

    fn latest(object: &Object<Self>) -> Option<DateTime<Utc>> {
        object.request.send_at
    }

    fn same_recipient(one: &EmailRequest, other: &EmailRequest) -> bool {
        one.to == other.to
    }

    fn recipients(request: &EmailRequest) -> Vec<&str> {
        let all = request.to.iter().chain(&request.cc).chain(&request.bcc);
        all.map(String::as_str).collect()
    }

    fn set_sender(request: &mut EmailRequest, sender: Option<String>) {
        request.from_email = sender;
    }

    async fn create(
        adapter: &Adapter,
        context: &CallContext,
        ids: CallIds,
        object: &Object<Self>,
        content: &EmailContent,
    ) -> CallReport<Reported<Self>> {
        adapter
            .email_send(context, &to_wit(ids, &object.request, content))
            .await
            .map(from_wit)
    }

    async fn get(
        adapter: &Adapter,
        context: &CallContext,
        _object: &Object<Self>,
        provider_ref: &str,
    ) -> CallReport<Reported<Self>> {
        adapter.email_get(context, provider_ref).await.map(from_wit)
    }

    fn needed_for(_action: &Cancel) -> Capability {
        Capability::EmailCancel
    }

    fn allow(object: &Object<Self>, _action: &Cancel) -> Result<(), Refusal> {
        still_open(object, "canceled any more")
    }

    fn has_happened(object: &Object<Self>, action: &str) -> bool {
        action == CANCEL && object.status == EmailStatus::Canceled
    }

    fn is_word_on_the_first(code: &str) -> bool {
        message::is_word_on_the_first(code)
    }

    async fn act(
        adapter: &Adapter,
        context: &CallContext,
        _ids: CallIds,
        _object: &Object<Self>,
        provider_ref: &str,
        _action: &Cancel,
    ) -> CallReport<Reported<Self>> {
        adapter
            .email_cancel(context, provider_ref)
            .await
            .map(from_wit)
    }

    fn no_content() -> Option<EmailContent> {
        None
    }

    async fn settle_batch(
        objects: &Objects<Self>,
        tenant: TenantId,
        environment: Environment,
        first: AttemptRow,
        chosen: Chosen,
    ) -> Result<(), StoreError> {
        objects.repeat_set(tenant, environment, first, chosen).await
    }

    fn present(object: &Object<Self>, content: Option<&EmailContent>) -> Vec<u8> {
        serde_json::to_vec(&EmailView::new(object, content)).unwrap_or_default()
    }
}

/// A request as the adapter gets it.
pub(crate) fn to_wit(
    ids: CallIds,
    request: &EmailRequest,
    content: &EmailContent,
) -> wit::SendRequest {
    let contents = content
        .attachments
        .iter()
        .map(Option::as_deref)
        .chain(std::iter::repeat(None));
    let attachments = request
        .attachments
        .iter()
        .zip(contents)
        .map(|(attachment, content)| wit::Attachment {
            filename: attachment.filename.clone(),
            content: match (&attachment.url, content) {
                (Some(url), _) => wit::AttachmentContent::Url(url.clone()),
                (None, content) => {
                    wit::AttachmentContent::Base64(content.unwrap_or_default().to_owned())
                }
            },
            content_type: attachment.content_type.clone(),
        })
        .collect();
    let pairs = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    wit::SendRequest {
        object_id: ids.object_id,
        attempt_id: ids.attempt_id,
        idempotency_key: ids.provider_key,
        sender: request.from_email.clone(),
        to: request.to.clone(),
        cc: request.cc.clone(),
        bcc: request.bcc.clone(),
        reply_to: request.reply_to.clone(),
        subject: request.subject.clone(),
        html: content.html_body.clone(),
        text: content.text_body.clone(),
        attachments,
        headers: pairs(&request.headers),
        tags: pairs(&request.tags),
        send_at: request.send_at.map(time::to_millis),
        extra: Vec::new(),
    }
}

/// The provider's view of an e-mail.
pub(crate) fn from_wit(message: wit::Message) -> Reported<Email> {
    Reported {
        provider_ref: message.provider_id,
        // The engine refuses every other text; `unknown` never moves a status.
        status: message.status.parse().unwrap_or(EmailStatus::Unknown),
        facts: MessageFacts {
            consent: None,
            segments: None,
            cost: message.cost.as_ref().and_then(kind::cost),
            sender: None,
            failure: message.failure.map(kind::failure),
            provider_data: message.raw,
            told: None,
        },
    }
}
