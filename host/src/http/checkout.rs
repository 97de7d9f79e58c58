//! `/checkout/{token}`: the buyer's pages. No API key; whoever has the address may see them.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use onerouter_domain::code::ErrorCode;

use super::paths::Path;
use super::state::AppState;
use crate::service::pages::{Over, Page, RESPONSE_FIELDS_MAX};
use crate::service::payment::CheckoutForm;
use crate::service::refusal::Refusal;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// Bytes of a provider's answer by way of the browser.
const RESPONSE_BYTES_MAX: usize = 16 << 10;
/// Characters of one of its values.
const VALUE_LENGTH_MAX: usize = 1_024;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/checkout/{token}", get(start))
        .route("/checkout/{token}/return", get(back).post(back_with_form))
        .route("/checkout/{token}/cancel", get(given_up).post(given_up))
}

/// What a buyer sees where there is no page: no JSON in a browser.
struct NoPage(Refusal);

impl From<Refusal> for NoPage {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        let (title, text) = match self.0.code {
            ErrorCode::NotFound => ("Not found", "There is no such page."),
            ErrorCode::BodyTooLarge => ("Too large", "This form is too large."),
            _ => ("Try again", "Something went wrong here. Please try again."),
        };
        let mut response = html(&word_page(title, text), None);
        *response.status_mut() =
            StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }
}

async fn start(
    State(state): State<AppState>,
    Path(token): Path<String>,
) -> Result<Response, NoPage> {
    Ok(shown(&state, state.checkouts.start(&token).await?))
}

async fn back(
    State(state): State<AppState>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, NoPage> {
    let response = response(query.unwrap_or_default().as_bytes());
    Ok(shown(&state, state.checkouts.back(&token, response).await?))
}

async fn back_with_form(
    State(state): State<AppState>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Response, NoPage> {
    if body.len() > RESPONSE_BYTES_MAX {
        return Err(Refusal::new(
            ErrorCode::BodyTooLarge,
            format!("The form may have at most {RESPONSE_BYTES_MAX} bytes."),
        )
        .into());
    }
    let response = response(&body);
    Ok(shown(&state, state.checkouts.back(&token, response).await?))
}

async fn given_up(
    State(state): State<AppState>,
    Path(token): Path<String>,
) -> Result<Response, NoPage> {
    Ok(shown(&state, state.checkouts.given_up(&token).await?))
}

/// The fields of a form or a query, as far as they can be a provider's answer.
fn response(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded)
        .take(RESPONSE_FIELDS_MAX)
        .filter(|(name, value)| {
            !name.is_empty() && name.len() <= 128 && value.chars().count() <= VALUE_LENGTH_MAX
        })
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn shown(state: &AppState, page: Page) -> Response {
    match page {
        Page::Elsewhere(url) => elsewhere(&url),
        Page::Form {
            form,
            amount,
            description,
        } => {
            let action = through_upstreams(state, &form.action);
            html(
                &form_page(&form, &action, &amount, description.as_deref()),
                Some(&action),
            )
        }
        Page::Over(over) => html(&over_page(over), None),
    }
}

/// The operator may have sent the provider's host elsewhere: then the buyer goes there too.
fn through_upstreams(state: &AppState, action: &str) -> String {
    let Ok(url) = url::Url::parse(action) else {
        return action.to_owned();
    };
    let base = state
        .upstreams
        .iter()
        .find(|(host, _)| url.host_str() == Some(host))
        .map(|(_, base)| base);
    match base {
        Some(base) => {
            let query = url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            format!("{}{}{query}", base.trim_end_matches('/'), url.path())
        }
        None => action.to_owned(),
    }
}

fn elsewhere(url: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(url) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// A page that runs nothing and loads nothing; its form goes to the provider alone.
fn html(body: &str, form_action: Option<&str>) -> Response {
    let action = form_action.and_then(|action| url::Url::parse(action).ok());
    let target = match &action {
        // The provider may send the form on to another host of its own, and browsers hold that against
        // this page too.
        Some(url) if url.scheme() == "https" => "https:".to_owned(),
        Some(url) => url.origin().ascii_serialization(),
        None => "'none'".to_owned(),
    };
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action {target}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = (StatusCode::OK, body.to_owned()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HTML);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:15vh auto;padding:0 1rem;text-align:center}\
button{font:inherit;padding:.6rem 1.6rem;border:0;border-radius:.4rem;background:#174ea6;color:#fff;cursor:pointer}\
strong{display:block;font-size:1.6rem;margin:1rem 0}";

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
}

fn form_page(form: &CheckoutForm, action: &str, amount: &str, description: Option<&str>) -> String {
    let mut fields = String::new();
    for (name, value) in &form.fields {
        let _ = write!(
            fields,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            escaped(name),
            escaped(value)
        );
    }
    let what = description.map(escaped).unwrap_or_default();
    document(
        "Payment",
        &format!(
            "<p>{what}</p><strong>{}</strong>\
             <form method=\"post\" action=\"{}\">{fields}<button>Continue to payment</button></form>",
            escaped(amount),
            escaped(action)
        ),
    )
}

fn over_page(over: Over) -> String {
    let (title, text) = match over {
        Over::Paid => (
            "Thank you",
            "The payment is complete. You can close this page.",
        ),
        Over::Pending => (
            "One moment",
            "The payment is being processed. You can close this page.",
        ),
        Over::NotPaid => ("Not paid", "Nothing was paid. You can close this page."),
    };
    word_page(title, text)
}

fn word_page(title: &str, text: &str) -> String {
    document(title, &format!("<h1>{title}</h1><p>{text}</p>"))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text() {
        let form = CheckoutForm {
            action: "https://pay.example/".to_owned(),
            fields: vec![("a\"b".to_owned(), "<script>'&".to_owned())],
        };
        let page = form_page(
            &form,
            "https://pay.example/\"x",
            "5.00 USD",
            Some("<b>\"&'"),
        );
        assert!(page.contains("name=\"a&quot;b\" value=\"&lt;script&gt;&#39;&amp;\""));
        assert!(page.contains("<p>&lt;b&gt;&quot;&amp;&#39;</p>"));
        assert!(page.contains("action=\"https://pay.example/&quot;x\""));
        assert!(!page.contains("<script>") && !page.contains("<b>"));
    }

    #[test]
    fn a_providers_answer_is_bounded() {
        let long = "x".repeat(VALUE_LENGTH_MAX + 1);
        let many: String = (0..100).map(|n| format!("a{n}={n}&")).collect();
        assert_eq!(response(many.as_bytes()).len(), RESPONSE_FIELDS_MAX);
        assert_eq!(response(format!("a={long}&b=%zz&=1").as_bytes()).len(), 1);
    }
}
