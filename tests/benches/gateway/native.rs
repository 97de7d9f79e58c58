//! What the two bundled adapters do for a plain message, as native code: the measure for what the
//! sandbox costs. `call.rs` holds its answers against the components'.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use onerouter_engine::measure::{Native, NativeHost, outbound};
use onerouter_engine::wit::common::{CallError, Cost};
use onerouter_engine::wit::{email, sms};
use serde::{Deserialize, Serialize};

/// Both adapters in one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping;

impl Native for Mapping {
    fn sms_send<'r>(
        &'r self,
        host: NativeHost,
        request: &'r sms::SendRequest,
    ) -> BoxFuture<'r, Result<sms::Message, CallError>> {
        send_text(host, request).boxed()
    }

    fn email_send<'r>(
        &'r self,
        host: NativeHost,
        request: &'r email::SendRequest,
    ) -> BoxFuture<'r, Result<email::Message, CallError>> {
        send_email(host, request).boxed()
    }
}

/// What a provider says about a message.
#[derive(Debug, Deserialize)]
struct Created {
    sid: String,
    status: String,
    from: Option<String>,
    messaging_service_sid: Option<String>,
    num_segments: Option<String>,
    price: Option<String>,
    price_unit: Option<String>,
}

async fn send_text(
    mut host: NativeHost,
    request: &sms::SendRequest,
) -> Result<sms::Message, CallError> {
    let account = host.credential("account_sid").unwrap_or_default();
    let url = format!("https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json");
    let auth = match host.credential("api_key_sid") {
        Some(_) => "api_key",
        None => "auth_token",
    };
    let mut form = vec![("To".to_owned(), request.to.clone())];
    let service = host.setting("messaging_service_sid");
    match (&request.sender, service) {
        (Some(own), _) => form.push(("From".to_owned(), own.clone())),
        (None, Some(service)) => {
            form.push(("MessagingServiceSid".to_owned(), service.to_owned()));
        }
        (None, None) => {
            let from = host.setting("from_number").unwrap_or_default();
            form.push(("From".to_owned(), from.to_owned()));
        }
    }
    if request.body.chars().count() > 1_600 || request.body.is_empty() {
        return Err(CallError::Invalid(Vec::new()));
    }
    form.push(("Body".to_owned(), request.body.clone()));
    let outbound = outbound::Request {
        method: outbound::Method::Post,
        url,
        headers: Vec::new(),
        body: outbound::Body::Form(form),
        auth: Some(auth.to_owned()),
        want_headers: vec!["retry-after".to_owned()],
        timeout_ms: None,
    };
    let answer = host.send(outbound).await.map_err(|_| unknown())?;
    let created: Created = serde_json::from_slice(&answer.body).map_err(|_| unknown())?;
    let status = match created.status.as_str() {
        "accepted" | "queued" => "queued",
        "sending" => "sending",
        "sent" => "sent",
        "scheduled" => "scheduled",
        _ => return Err(unknown()),
    };
    let segments = created.num_segments.and_then(|count| count.parse().ok());
    Ok(sms::Message {
        provider_id: created.sid,
        status: status.to_owned(),
        segments,
        cost: created
            .price
            .zip(created.price_unit)
            .map(|(price, unit)| Cost {
                amount: price.trim_start_matches('-').to_owned(),
                currency: unit.to_ascii_uppercase(),
            }),
        sender: created.from.or(created.messaging_service_sid),
        failure: None,
        raw: String::from_utf8(answer.body).ok(),
        extra: Vec::new(),
    })
}

#[derive(Debug, Serialize)]
struct Draft<'r> {
    from: &'r str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    to: &'r [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cc: &'r [String],
    subject: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
}

#[derive(Debug, Deserialize)]
struct Queued {
    id: String,
}

async fn send_email(
    mut host: NativeHost,
    request: &email::SendRequest,
) -> Result<email::Message, CallError> {
    let sender = match &request.sender {
        Some(own) => own.as_str(),
        None => host.setting("from_email").unwrap_or_default(),
    };
    let draft = Draft {
        from: sender,
        to: &request.to,
        cc: &request.cc,
        subject: &request.subject,
        html: request.html.as_deref(),
        text: request.text.as_deref(),
    };
    let body = serde_json::to_string(&draft).map_err(|_| unknown())?;
    let outbound = outbound::Request {
        method: outbound::Method::Post,
        url: "https://api.resend.com/emails".to_owned(),
        headers: vec![(
            "Idempotency-Key".to_owned(),
            request.idempotency_key.clone(),
        )],
        body: outbound::Body::Json(body),
        auth: Some("api_key".to_owned()),
        want_headers: vec!["retry-after".to_owned()],
        timeout_ms: None,
    };
    let answer = host.send(outbound).await.map_err(|_| unknown())?;
    let queued: Queued = serde_json::from_slice(&answer.body).map_err(|_| unknown())?;
    Ok(email::Message {
        provider_id: queued.id,
        status: "queued".to_owned(),
        cost: None,
        failure: None,
        raw: String::from_utf8(answer.body).ok(),
        extra: Vec::new(),
    })
}

fn unknown() -> CallError {
    CallError::Other("the double cannot read this".to_owned())
}
