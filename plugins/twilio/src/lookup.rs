//! Finding a message again whose answer was lost.
//!
//! Twilio keeps no key of ours, so the messages to the recipient are read and compared. `DateSent`
//! cannot narrow them down: a message that has not been sent yet has none.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::failure;
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::json::Object;
use onerouter_plugin::time;

use crate::account::{HOST, account_url, authenticated};
use crate::bindings::exports::onerouter::sms::sms::{Message, SendRequest};
use crate::bindings::exports::onerouter::sms::sms_lookup::Window;
use crate::sender::Sender;
use crate::{message, refusal};

/// Long texts take up to 10 KiB a message in JSON, and an answer may have 4 MiB.
const PAGE_SIZE: &str = "200";
/// The manifest allows 16 requests a call.
const PAGES_MAX: usize = 12;
/// `date_created` has whole seconds.
const TOLERANCE_MS: u64 = 1_000;
/// A trial account puts this before every text.
const TRIAL: &str = "Sent from your Twilio trial account - ";

/// Every message that may be the one that `request` asked for.
pub(crate) fn find(request: &SendRequest, window: &Window) -> Result<Vec<Message>, CallError> {
    let wanted = Wanted {
        request,
        sender: Sender::of(request),
        window,
    };
    let mut url = account_url()
        .segment("Messages.json")
        .query("To", &request.to)
        .query("PageSize", PAGE_SIZE);
    if let Some(from) = wanted
        .sender
        .as_ref()
        .and_then(|sender| sender.from.as_ref())
    {
        url = url.query("From", from);
    }
    let mut url = String::from(url);
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = authenticated(Request::get(url))
            .send()
            .map_err(failure::after_read)?;
        if !answer.is_success() {
            return Err(refusal::after_read(&answer));
        }
        let page = Page::read(&answer, &wanted)
            .ok_or_else(|| failure::unreadable_after_read(answer.status))?;
        found.extend(page.found);
        match page.next {
            Some(next) => url = next,
            None => return Ok(found),
        }
    }
    // Half a list could make one of two look like the only one.
    Err(CallError::Other(
        "the recipient has too many messages to tell which one it was".to_owned(),
    ))
}

struct Page {
    found: Vec<Message>,
    /// URL of the next page.
    next: Option<String>,
}

impl Page {
    fn read(answer: &Answer, wanted: &Wanted<'_>) -> Option<Self> {
        let object = answer.object()?;
        let mut found = Vec::new();
        for raw in object.items("messages")? {
            let item = Object::parse(raw)?;
            if wanted.is(&item) {
                // A match that cannot be read must not vanish from the count.
                found.push(message::listed(&item, raw)?);
            }
        }
        let next = match object.text("next_page_uri") {
            Some(uri) if !uri.is_empty() => Some(next_url(&uri)?),
            _ => None,
        };
        Some(Self { found, next })
    }
}

/// The URI is relative to the host, and must stay with the API.
fn next_url(uri: &str) -> Option<String> {
    let path = uri.strip_prefix(HOST).unwrap_or(uri);
    path.starts_with("/2010-04-01/Accounts/").then(|| {
        let mut url = HOST.to_owned();
        url.push_str(path);
        url
    })
}

/// What the lost message looks like.
struct Wanted<'a> {
    request: &'a SendRequest,
    sender: Option<Sender>,
    window: &'a Window,
}

impl Wanted<'_> {
    fn is(&self, message: &Object<'_>) -> bool {
        // Between two numbers of one account the same text stands there twice, sent and received.
        let is_outbound = message
            .text("direction")
            .is_none_or(|direction| direction.starts_with("outbound"));
        is_outbound
            && message.text("to").as_deref() == Some(self.request.to.as_str())
            && self.has_sender(message)
            && self.has_content(message)
            && self.is_in_window(message)
    }

    fn has_sender(&self, message: &Object<'_>) -> bool {
        let Some(sender) = &self.sender else {
            return false;
        };
        let from = message.text("from");
        let service = message.text("messaging_service_sid");
        // A service may not have picked the number yet.
        let is_from = sender.from.is_none()
            || from == sender.from
            || (from.is_none() && sender.service.is_some());
        is_from && (sender.service.is_none() || service == sender.service)
    }

    fn has_content(&self, message: &Object<'_>) -> bool {
        let body = message.text("body").unwrap_or_default();
        let body_after_trial = body.strip_prefix(TRIAL).unwrap_or(&body);
        let media = message
            .text_or_number("num_media")
            .and_then(|count| count.parse::<usize>().ok());
        [body.as_str(), body_after_trial].contains(&self.request.body.as_str())
            && media.is_none_or(|count| count == self.request.media_urls.len())
    }

    fn is_in_window(&self, message: &Object<'_>) -> bool {
        let earliest = self.window.after.saturating_sub(TOLERANCE_MS);
        let latest = self.window.before.saturating_add(TOLERANCE_MS);
        message
            .text("date_created")
            .and_then(|date| time::parse_rfc2822(&date))
            .is_some_and(|created| (earliest..=latest).contains(&created))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::send::tests::request;

    /// Thu, 24 Aug 2023 05:01:45 GMT.
    const CREATED: u64 = 1_692_853_305_000;
    const MESSAGE: &str = r#"{"sid":"SM1","to":"+14155550100","from":"+15005550006","body":"Hello",
        "messaging_service_sid":null,"direction":"outbound-api","num_media":"0","status":"queued",
        "date_created":"Thu, 24 Aug 2023 05:01:45 +0000","date_sent":null}"#;

    fn number() -> Sender {
        Sender {
            from: Some("+15005550006".into()),
            service: None,
        }
    }

    fn is_wanted(message: &str, sender: Sender, window: &Window) -> bool {
        let request = request();
        let wanted = Wanted {
            request: &request,
            sender: Some(sender),
            window,
        };
        wanted.is(&Object::read(message.as_bytes()).unwrap())
    }

    fn around(created: u64) -> Window {
        Window {
            after: created - 5_000,
            before: created + 5_000,
        }
    }

    #[test]
    fn a_message_is_wanted_only_if_all_of_it_fits() {
        let window = around(CREATED);
        assert!(is_wanted(MESSAGE, number(), &window));
        for (from, to) in [
            ("\"to\":\"+14155550100\"", "\"to\":\"+14155550101\""),
            ("\"from\":\"+15005550006\"", "\"from\":\"+15005550007\""),
            ("\"from\":\"+15005550006\"", "\"from\":null"),
            ("\"body\":\"Hello\"", "\"body\":\"Hello!\""),
            ("outbound-api", "inbound"),
            ("\"num_media\":\"0\"", "\"num_media\":\"1\""),
            ("05:01:45", "05:01:59"),
            ("Thu, 24 Aug 2023 05:01:45 +0000", "soon"),
        ] {
            assert!(MESSAGE.contains(from));
            assert!(
                !is_wanted(&MESSAGE.replace(from, to), number(), &window),
                "{to}"
            );
        }
    }

    #[test]
    fn the_window_is_widened_by_the_second_that_dates_are_cut_to() {
        let created_at_945_ms = Window {
            after: CREATED + 940,
            before: CREATED + 950,
        };
        assert!(is_wanted(MESSAGE, number(), &created_at_945_ms));
        let later = Window {
            after: CREATED + 1_001,
            before: CREATED + 9_000,
        };
        assert!(!is_wanted(MESSAGE, number(), &later));
    }

    #[test]
    fn a_service_is_matched_by_its_id_whatever_number_it_picked() {
        let service = || Sender {
            from: None,
            service: Some("MG1".into()),
        };
        let window = around(CREATED);
        let sent = MESSAGE.replace(
            "\"messaging_service_sid\":null",
            "\"messaging_service_sid\":\"MG1\"",
        );
        assert!(is_wanted(&sent, service(), &window));
        let unpicked = sent.replace("\"from\":\"+15005550006\"", "\"from\":null");
        assert!(is_wanted(&unpicked, service(), &window));
        assert!(!is_wanted(MESSAGE, service(), &window));
        let both = Sender {
            from: Some("+15005550006".into()),
            service: Some("MG1".into()),
        };
        assert!(is_wanted(&sent, both.clone(), &window));
        assert!(is_wanted(&unpicked, both, &window));
    }

    #[test]
    fn the_text_of_a_trial_account_is_known_under_its_prefix() {
        let trial = MESSAGE.replace("\"Hello\"", &format!("\"{TRIAL}Hello\""));
        assert!(is_wanted(&trial, number(), &around(CREATED)));
    }

    fn page(body: &str) -> Option<Page> {
        let request = request();
        let window = around(CREATED);
        let wanted = Wanted {
            request: &request,
            sender: Some(number()),
            window: &window,
        };
        let answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        };
        Page::read(&answer, &wanted)
    }

    #[test]
    fn a_page_gives_its_matches_and_the_next_page() {
        let other = MESSAGE.replace("SM1", "SM2").replace("Hello", "Bye");
        let body = format!(
            r#"{{"messages":[{MESSAGE},{other}],"next_page_uri":"/2010-04-01/Accounts/AC1/Messages.json?Page=1&PageToken=PASM2"}}"#
        );
        let page = page(&body).unwrap();
        assert_eq!(page.found.len(), 1);
        assert_eq!(page.found[0].provider_id, "SM1");
        assert_eq!(page.found[0].raw.as_deref(), Some(MESSAGE));
        assert_eq!(
            page.next.as_deref(),
            Some(
                "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json?Page=1&PageToken=PASM2"
            )
        );
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        for next in ["null", "\"\""] {
            let body = format!(r#"{{"messages":[],"next_page_uri":{next}}}"#);
            assert!(page(&body).unwrap().next.is_none());
        }
    }

    #[test]
    fn a_match_that_cannot_be_read_spoils_the_page() {
        let odd = MESSAGE.replace("\"queued\"", "\"teleported\"");
        assert!(page(&format!(r#"{{"messages":[{odd}],"next_page_uri":null}}"#)).is_none());
        assert!(page("{}").is_none());
    }

    #[test]
    fn the_next_page_is_on_the_same_host() {
        let good = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json?Page=1";
        assert_eq!(next_url(good).as_deref(), Some(good));
        for bad in [
            "https://evil.example/2010-04-01/Accounts/AC1/Messages.json",
            "https://api.twilio.com.evil.example/2010-04-01/Accounts/",
            "//evil.example/2010-04-01/Accounts/AC1/Messages.json",
            "/2010-04-02/Accounts/AC1/Messages.json",
            "2010-04-01/Accounts/AC1/Messages.json",
        ] {
            assert_eq!(next_url(bad), None, "{bad}");
        }
    }
}
