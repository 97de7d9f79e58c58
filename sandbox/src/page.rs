//! The shell of the pages on which a buyer decides. They work without script; every value is escaped.

use http::StatusCode;

use crate::reply::Reply;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}\
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem}dt{color:#555}dd{margin:0;overflow-wrap:anywhere}\
fieldset{border:1px solid #bbb;margin:0 0 1rem}label{display:block}button{font:inherit;padding:.4rem 1rem;margin:0 .5rem .5rem 0}";

/// A page with the three buttons. Every button posts one form: `action` is `approve`, `decline` or
/// `abandon`, beside it what the buyer chose.
#[derive(Debug, Default)]
pub(crate) struct BuyerPage<'a> {
    pub(crate) title: &'a str,
    /// What the buyer agrees to, as label and value.
    pub(crate) facts: &'a [(&'a str, &'a str)],
    /// Where the form is posted to.
    pub(crate) posts_to: &'a str,
    pub(crate) choices: &'a [Choice<'a>],
}

/// Radio buttons; the first value is chosen unless the buyer takes another.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) values: &'a [&'a str],
}

impl BuyerPage<'_> {
    pub(crate) fn reply(&self) -> Reply {
        let mut html = head(self.title);
        html.push_str("<p>This is the provider sandbox: nothing is charged.</p><dl>");
        for (label, value) in self.facts {
            html.push_str(&format!(
                "<dt>{}</dt><dd>{}</dd>",
                escaped(label),
                escaped(value)
            ));
        }
        let posts_to = escaped(self.posts_to);
        html.push_str(&format!(
            "</dl><form method=\"post\" action=\"{posts_to}\">"
        ));
        for choice in self.choices {
            choice.write(&mut html);
        }
        for (action, label) in [
            ("approve", "Approve"),
            ("decline", "Decline"),
            ("abandon", "Abandon"),
        ] {
            html.push_str(&format!(
                "<button name=\"action\" value=\"{action}\">{label}</button>"
            ));
        }
        html.push_str("</form></body></html>");
        answer(html)
    }
}

impl Choice<'_> {
    fn write(&self, html: &mut String) {
        html.push_str(&format!(
            "<fieldset><legend>{}</legend>",
            escaped(self.label)
        ));
        for (index, value) in self.values.iter().enumerate() {
            let checked = if index == 0 { " checked" } else { "" };
            let (name, value) = (escaped(self.name), escaped(value));
            html.push_str(&format!(
                "<label><input type=\"radio\" name=\"{name}\" value=\"{value}\"{checked}> {value}</label>"
            ));
        }
        html.push_str("</fieldset>");
    }
}

/// A page that says one thing: paid already, expired, thank you.
pub(crate) fn notice(title: &str, text: &str) -> Reply {
    let mut html = head(title);
    html.push_str(&format!("<p>{}</p></body></html>", escaped(text)));
    answer(html)
}

/// A form that takes the browser back to the merchant: with script at once, without by its button.
pub(crate) fn form_back<'a>(
    title: &str,
    url: &str,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Reply {
    let mut html = head(title);
    let url = escaped(url);
    html.push_str(&format!("<form method=\"post\" action=\"{url}\">"));
    for (name, value) in fields {
        let (name, value) = (escaped(name), escaped(value));
        html.push_str(&format!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        ));
    }
    html.push_str(
        "<button>Back to the merchant</button></form><script>document.forms[0].submit()</script></body></html>",
    );
    answer(html)
}

pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

fn head(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
    )
}

fn answer(html: String) -> Reply {
    Reply::of(StatusCode::OK, "text/html; charset=utf-8", html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(reply: &Reply) -> &str {
        std::str::from_utf8(&reply.body).unwrap()
    }

    #[test]
    fn values_of_strangers_stay_text() {
        let page = BuyerPage {
            title: "<i>Pay</i>",
            facts: &[("Shop", "<script>alert(1)</script>")],
            posts_to: "/x?a=1&b=\"",
            choices: &[Choice {
                name: "method",
                label: "Pay by",
                values: &["card", "'upi'"],
            }],
        };
        let reply = page.reply();
        let html = html(&reply);
        assert!(
            !html.contains("<script>") && !html.contains("<i>"),
            "{html}"
        );
        assert!(html.contains("action=\"/x?a=1&amp;b=&quot;\""), "{html}");
        assert!(html.contains("value=\"card\" checked> card"), "{html}");
        assert!(html.contains("value=\"&#39;upi&#39;\"> "), "{html}");
    }

    #[test]
    fn the_way_back_has_a_button_for_browsers_without_script() {
        let reply = form_back(
            "Paid",
            "https://shop.example/r",
            [("id", "\"1")].into_iter(),
        );
        let html = html(&reply);
        assert!(html.contains("name=\"id\" value=\"&quot;1\""), "{html}");
        assert!(html.contains("<button>Back to the merchant</button>"));
    }
}
