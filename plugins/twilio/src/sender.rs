//! Whom a message comes from: a number, or the messaging service that picks one.

use alloc::string::String;

use onerouter_plugin::context;

use crate::bindings::exports::onerouter::sms::sms::SendRequest;

/// What `From` and `MessagingServiceSid` say. At least one of them is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    /// A number, a short code or a name.
    pub(crate) from: Option<String>,
    /// `MG…`.
    pub(crate) service: Option<String>,
}

impl Sender {
    /// The sender of this message on this connection.
    pub(crate) fn of(request: &SendRequest) -> Option<Self> {
        Self::choose(
            request,
            context::setting("from_number"),
            context::setting("messaging_service_sid"),
        )
    }

    fn choose(
        request: &SendRequest,
        from_setting: Option<String>,
        service_setting: Option<String>,
    ) -> Option<Self> {
        let own = request.sender.clone();
        if own.as_deref().is_some_and(is_service) {
            return Some(Self {
                from: None,
                service: own,
            });
        }
        let sender = match (own, service_setting) {
            // Twilio schedules only for a service; a number beside it is picked from its pool.
            (Some(own), service) => Self {
                from: Some(own),
                service: service.filter(|_| request.send_at.is_some()),
            },
            (None, Some(service)) => Self {
                from: None,
                service: Some(service),
            },
            (None, None) => Self {
                from: Some(from_setting?),
                service: None,
            },
        };
        Some(sender)
    }
}

fn is_service(sender: &str) -> bool {
    sender.len() == 34
        && sender
            .strip_prefix("MG")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::tests::request;

    const NUMBER: &str = "+15005550006";
    const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";

    fn choose(
        own: Option<&str>,
        send_at: Option<u64>,
        from: bool,
        service: bool,
    ) -> Option<Sender> {
        let request = SendRequest {
            sender: own.map(Into::into),
            send_at,
            ..request()
        };
        Sender::choose(
            &request,
            from.then(|| NUMBER.into()),
            service.then(|| SERVICE.into()),
        )
    }

    fn sender(from: Option<&str>, service: Option<&str>) -> Option<Sender> {
        Some(Sender {
            from: from.map(Into::into),
            service: service.map(Into::into),
        })
    }

    #[test]
    fn the_messages_own_sender_comes_first_then_the_service_then_the_number() {
        let own = "+15005550001";
        assert_eq!(choose(Some(own), None, true, true), sender(Some(own), None));
        assert_eq!(choose(None, None, true, true), sender(None, Some(SERVICE)));
        assert_eq!(choose(None, None, true, false), sender(Some(NUMBER), None));
        assert_eq!(choose(None, None, false, false), None);
    }

    #[test]
    fn a_message_may_name_a_service_as_its_sender() {
        let named = choose(Some(SERVICE), None, true, false);
        assert_eq!(named, sender(None, Some(SERVICE)));
        let short = choose(Some("MG01"), None, true, false);
        assert_eq!(short, sender(Some("MG01"), None));
    }

    #[test]
    fn a_scheduled_message_with_its_own_number_names_the_service_too() {
        let own = "+15005550001";
        assert_eq!(
            choose(Some(own), Some(1), true, true),
            sender(Some(own), Some(SERVICE))
        );
        assert_eq!(
            choose(Some(own), Some(1), true, false),
            sender(Some(own), None)
        );
    }
}
