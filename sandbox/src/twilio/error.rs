//! The error dictionary: <https://www.twilio.com/docs/api/errors>.

use http::StatusCode;
use serde::Serialize;

use crate::reply::Reply;

/// Code, HTTP status, message (`{}` stands for what the error is about).
///
/// The status stands on no error page. Where the sources differ (21408, 21608: 400 or 403; 21611: 400
/// or 429; 21730: 503 or another) or say nothing (20009, 30409), this is our reading: clients should
/// go by the code.
const ERRORS: &[(u32, u16, &str)] = &[
    (20003, 401, "Authenticate"),
    (20004, 405, "Method not allowed"),
    (
        20008,
        403,
        "Resource not accessible with Test Account Credentials",
    ),
    (
        20009,
        409,
        "Cannot delete this resource before it is complete",
    ),
    (20404, 404, "The requested resource {} was not found"),
    (20422, 400, "Invalid parameter: {}"),
    (20429, 429, "Too many concurrent requests"),
    (20500, 500, "An internal server error has occurred"),
    (20503, 503, "Service unavailable"),
    (
        21211,
        400,
        "The 'To' number {} is not a valid phone number.",
    ),
    (
        21212,
        400,
        "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID.",
    ),
    (
        21408,
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {}.",
    ),
    (21602, 400, "Message body is required."),
    (21603, 400, "A 'From' phone number is required."),
    (21604, 400, "A 'To' phone number is required."),
    (
        21606,
        400,
        "The 'From' phone number {} is not a valid, SMS-capable inbound phone number or short code for your account.",
    ),
    (
        21608,
        400,
        "The number {} is unverified. Trial accounts cannot send messages to unverified numbers.",
    ),
    (21609, 400, "The StatusCallback URL {} is not a valid URL."),
    (21610, 400, "Attempt to send to unsubscribed recipient"),
    (
        21611,
        429,
        "This 'From' number {} has exceeded the maximum number of queued messages",
    ),
    (
        21612,
        400,
        "The 'To' phone number: {}, is not currently reachable using the 'From' phone number",
    ),
    (21614, 400, "'To' number is not a valid mobile number: {}"),
    (
        21617,
        400,
        "The concatenated message body exceeds the 1600 character limit.",
    ),
    (21620, 400, "Invalid media URL(s): {}"),
    (21623, 400, "Number of media files exceeds allowed limit."),
    (21701, 404, "The Messaging Service does not exist"),
    (21730, 503, "The service is under maintenance"),
    (30409, 409, "This message cannot be canceled"),
    (
        35111,
        400,
        "SendAt cannot be empty for ScheduleType 'fixed'",
    ),
    (
        35114,
        400,
        "SendAt time must be between 300 seconds and 35 days (3024000 seconds) in the future",
    ),
    (
        35118,
        400,
        "MessagingServiceSid is required to schedule a message",
    ),
    (
        63007,
        400,
        "Twilio could not find a Channel with the specified From address",
    ),
];

/// What a message's `error_code` says.
const DELIVERY_ERRORS: &[(u32, &str)] = &[
    (30001, "Queue overflow"),
    (30002, "Account suspended"),
    (30003, "Unreachable destination handset"),
    (30004, "Message blocked"),
    (30005, "Unknown destination handset"),
    (30006, "Landline or unreachable carrier"),
    (30007, "Message filtered"),
    (30008, "Unknown error"),
    (30009, "Missing inbound segment"),
    (30010, "Message price exceeds max price"),
    (30024, "Numeric Sender ID Not Provisioned on Carrier"),
    (30032, "Toll-Free Number Has Not Been Verified"),
    (30034, "US A2P 10DLC - Message from an Unregistered Number"),
    (
        63016,
        "Failed to send freeform message because you are outside the allowed window",
    ),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TwilioError {
    code: u32,
    subject: String,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_info: Option<String>,
    status: u16,
}

impl TwilioError {
    pub(super) const fn of(code: u32) -> TwilioError {
        TwilioError {
            code,
            subject: String::new(),
        }
    }

    pub(super) fn about(code: u32, subject: impl Into<String>) -> TwilioError {
        TwilioError {
            code,
            subject: subject.into(),
        }
    }

    pub(super) fn reply(self) -> Reply {
        let status = find(self.code).map_or(400, |(_, status, _)| *status);
        body(Some(self.code), status, &message(self.code, &self.subject))
    }
}

/// The answer that a fault asks for: a known code brings its status, a status alone the usual code.
pub(super) fn refusal(status: Option<StatusCode>, code: Option<&str>) -> Reply {
    let code =
        code.and_then(|code| code.parse().ok())
            .or(match status.map(|status| status.as_u16()) {
                Some(401) => Some(20003),
                Some(404) => Some(20404),
                Some(429) => Some(20429),
                Some(500) => Some(20500),
                Some(503) => Some(20503),
                _ => None,
            });
    let row = code.and_then(find);
    let status = status.map_or_else(
        || row.map_or(400, |(_, status, _)| *status),
        |status| status.as_u16(),
    );
    match code {
        Some(code) => body(Some(code), status, &message(code, "in this request")),
        // Twilio's clients expect bodies without a code too.
        None => body(None, status, "An error that the sandbox was told to answer"),
    }
}

pub(super) fn is_known(code: u32) -> bool {
    find(code).is_some()
}

pub(super) fn message(code: u32, subject: &str) -> String {
    find(code)
        .map_or("Unknown error", |(_, _, text)| *text)
        .replace("{}", subject)
}

pub(super) fn delivery_message(code: u32) -> &'static str {
    DELIVERY_ERRORS
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("Unknown error", |(_, text)| *text)
}

pub(super) fn all() -> impl Iterator<Item = u32> {
    ERRORS.iter().map(|(code, _, _)| *code)
}

pub(super) fn all_delivery() -> impl Iterator<Item = u32> {
    DELIVERY_ERRORS.iter().map(|(code, _)| *code)
}

fn find(code: u32) -> Option<&'static (u32, u16, &'static str)> {
    ERRORS.iter().find(|(known, _, _)| *known == code)
}

fn body(code: Option<u32>, status: u16, message: &str) -> Reply {
    let more_info = code.map(|code| format!("https://www.twilio.com/docs/errors/{code}"));
    let body = ErrorBody {
        code,
        message,
        more_info,
        status,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let reply = Reply::json(status, &body);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = http::HeaderValue::from_static("Basic realm=\"Twilio API\"");
        return reply.with("www-authenticate", challenge);
    }
    reply
}
