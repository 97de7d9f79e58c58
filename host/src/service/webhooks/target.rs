//! Which URLs an endpoint may have. What a name leads to is only known when a delivery is made, and is
//! checked then, each time.

use onerouter_domain::address::has_whole_escapes;
use url::{Host, Url};

use crate::config::WebhookTargets;

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 2_048;

/// What a URL must be.
pub const RULE: &str = "must be an https URL of at most 2048 characters with the name of a public host, without user, password and \
     fragment";
/// The same where the operator allows more.
pub const RULE_OF_ANY: &str =
    "must be an http or https URL of at most 2048 characters, without user, password and fragment";

/// Checks the URL of an endpoint.
///
/// # Errors
/// What it must be.
pub fn check(text: &str, targets: WebhookTargets) -> Result<(), &'static str> {
    let (is_fine, rule) = match targets {
        WebhookTargets::Public => (is_target(text, &["https"], is_public_name), RULE),
        WebhookTargets::Any => (is_target(text, &["https", "http"], |_| true), RULE_OF_ANY),
    };
    if is_fine { Ok(()) } else { Err(rule) }
}

fn is_target(text: &str, schemes: &[&str], may_be: impl Fn(&Host<&str>) -> bool) -> bool {
    // The parser drops tabs and line breaks, and mends what is not quite a URL: what is kept is to be read
    // alike by everybody.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains('\\')
        && has_whole_escapes(text);
    let Some(url) = Url::parse(text).ok().filter(|_| is_plain) else {
        return false;
    };
    text.len() <= URL_BYTES_MAX
        && schemes
            .iter()
            .any(|scheme| text.starts_with(&format!("{scheme}://")))
        && !text.contains('#')
        && url.username().is_empty()
        && url.password().is_none()
        && url.host().is_some_and(|host| may_be(&host))
}

/// Whether a host may be public, as far as its text tells.
fn is_public_name(host: &Host<&str>) -> bool {
    match host {
        // Whose certificate would be checked against it? Deliveries refuse them too.
        Host::Ipv4(_) | Host::Ipv6(_) => false,
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name != "localhost" && !name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_target_is_https_and_not_inside() {
        let public = |text: &str| check(text, WebhookTargets::Public).is_ok();
        for fine in [
            "https://example.com/hooks",
            "https://example.com:8443/hooks?source=one",
        ] {
            assert!(public(fine), "{fine}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        for wrong in [
            "http://example.com/",
            "https://me@example.com/",
            "https://me:secret@example.com/",
            "https://example.com/#part",
            "https://",
            "https:example.com",
            "ftp://example.com/",
            "https://203.0.114.7/",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://api.localhost./",
            "https://exa\nmple.com/",
            "https:\\\\example.com\\",
            "https://example.com/%e,W",
            long.as_str(),
        ] {
            assert!(!public(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_operator_may_allow_what_is_inside() {
        let any = |text: &str| check(text, WebhookTargets::Any).is_ok();
        assert!(any("http://127.0.0.1:3000/hook"));
        assert!(any("http://localhost/hook"));
        assert!(!any("http://me@localhost/hook"));
        assert!(!any("ftp://localhost/hook"));
    }
}
