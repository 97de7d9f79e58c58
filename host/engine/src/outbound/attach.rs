//! Credentials, attached on the way out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use onerouter_manifest::Attachment;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::denial::Denial;
use super::target::Target;
use super::{body, origin};
use crate::connection::Credentials;
use crate::oauth::{Client, Grant};

/// The parts of a request that a credential may be added to, besides the headers, and what has to be
/// got before it can be.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) query: String,
    pub(super) body: body::Draft,
    pub(super) grant: Option<Box<Grant>>,
}

pub(super) fn attach(
    attachment: &Attachment,
    credentials: &Credentials,
    target: &Target,
    headers: &mut HeaderMap,
    draft: &mut Draft,
) -> Result<(), Denial> {
    match attachment {
        Attachment::Basic { username, password } => {
            let username = value(credentials, username)?;
            // The first colon ends the user name.
            if username.contains(':') {
                return Err(Denial::CredentialUnfit);
            }
            let pair = Zeroizing::new(format!("{username}:{}", value(credentials, password)?));
            let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
            headers.insert(AUTHORIZATION, secret_header(&encoded)?);
        }
        Attachment::Bearer { token } => {
            let bearer = Zeroizing::new(format!("Bearer {}", value(credentials, token)?));
            headers.insert(AUTHORIZATION, secret_header(&bearer)?);
        }
        // The token is attached when it is there.
        Attachment::OAuth2ClientCredentials {
            token_path,
            client_id,
            client_secret,
            scope,
        } => {
            let client = Client {
                id: value(credentials, client_id)?,
                secret: value(credentials, client_secret)?,
            };
            let grant = Grant::new(origin(target), token_path, scope, &client);
            draft.grant = Some(Box::new(grant));
        }
        Attachment::Header {
            name,
            prefix,
            value: field,
        } => {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_no_token| Denial::HeaderName)?;
            if headers.keys().any(|used| is_same(used, &name)) {
                return Err(Denial::HeaderSetByAuth);
            }
            let text = Zeroizing::new(format!("{prefix}{}", value(credentials, field)?));
            headers.insert(name, secret_header(&text)?);
        }
        Attachment::Query { name, value: field } => {
            if target
                .query_names()
                .any(|used| used.eq_ignore_ascii_case(name))
            {
                return Err(Denial::QueryReserved);
            }
            let text = value(credentials, field)?;
            let query = std::mem::take(&mut draft.query);
            let mut pairs = form_urlencoded::Serializer::new(query);
            pairs.append_pair(name, text);
            draft.query = pairs.finish();
        }
        Attachment::Form { name, value: field } => {
            let pair = (name.clone(), value(credentials, field)?.to_owned());
            match &mut draft.body {
                body::Draft::Form(pairs) => {
                    if pairs
                        .iter()
                        .any(|(used, _)| used.eq_ignore_ascii_case(name))
                    {
                        return Err(Denial::BodyReserved);
                    }
                    pairs.push(pair);
                }
                body::Draft::Empty => draft.body = body::Draft::Form(vec![pair]),
                body::Draft::Json(_) | body::Draft::Bytes(..) => return Err(Denial::BodyNoForm),
            }
        }
    }
    Ok(())
}

/// Some servers read an underscore in a header's name as a hyphen.
fn is_same(a: &HeaderName, b: &HeaderName) -> bool {
    let hyphens = |name: &HeaderName| name.as_str().replace('_', "-");
    a == b || hyphens(a) == hyphens(b)
}

fn value<'c>(credentials: &'c Credentials, field: &str) -> Result<&'c str, Denial> {
    credentials
        .secret(field)
        .or_else(|| credentials.public(field))
        .filter(|value| !value.is_empty())
        .ok_or(Denial::CredentialMissing)
}

fn secret_header(text: &str) -> Result<HeaderValue, Denial> {
    if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(Denial::CredentialUnfit);
    }
    let mut header = HeaderValue::from_str(text).map_err(|_unfit| Denial::CredentialUnfit)?;
    header.set_sensitive(true);
    Ok(header)
}
