//! How software writes down a secret that it was given.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use url::form_urlencoded;

/// The forms in which a provider repeats a secret: what the gateway promises to recognise.
pub fn recognised(secret: &str) -> Vec<(String, String)> {
    let mut forms = plain(secret);
    // In front of a secret stands what shifts it in its group of three.
    for before in ["", "u", "us"] {
        for (after, engine, name) in [
            ("", &STANDARD, "base64"),
            ("&a=b", &STANDARD, "base64"),
            ("", &URL_SAFE, "base64url"),
            ("\n", &URL_SAFE_NO_PAD, "base64url"),
        ] {
            let text = engine.encode(format!("{before}{secret}{after}"));
            let name = format!("{name} of {before:?} it {after:?}");
            forms.push((format!("{name}, percent-encoded"), percent(&text, true)));
            forms.push((name, text));
        }
    }
    forms
}

/// What is looked for: as [`recognised`], but of base64 only what depends on the secret alone, and
/// every piece of the secret that is long enough to be no accident.
pub fn searched(secret: &str) -> Vec<(String, String)> {
    let mut forms = plain(secret);
    for skipped in 0..3 {
        for (name, core) in [
            ("base64", core(secret, skipped, &STANDARD_NO_PAD)),
            ("base64url", core(secret, skipped, &URL_SAFE_NO_PAD)),
        ] {
            let name = format!("{name} after {skipped} bytes");
            forms.push((format!("{name}, percent-encoded"), percent(&core, true)));
            forms.push((format!("{name} in JSON"), core.replace('/', "\\/")));
            forms.push((name, core));
        }
    }
    forms.push((
        "JSON in JSON in JSON".to_owned(),
        json(&json(&json(secret))),
    ));
    forms.push(("reversed".to_owned(), secret.chars().rev().collect()));
    for start in 0..=secret.len() - PIECE {
        let piece = &secret[start..start + PIECE];
        forms.push((format!("piece {start}"), piece.to_owned()));
        forms.push((format!("piece {start} in JSON"), json(piece)));
    }
    forms
}

const PIECE: usize = 10;

fn plain(secret: &str) -> Vec<(String, String)> {
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let all = |upper: bool| -> String {
        let digits = |b| match upper {
            true => format!("%{b:02X}"),
            false => format!("%{b:02x}"),
        };
        secret.bytes().map(digits).collect()
    };
    let unicode = |text: &str| -> String { text.bytes().map(|b| format!("\\u{b:04x}")).collect() };
    let safe = json(secret)
        .replace('<', "\\u003c")
        .replace('>', "\\u003E")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027");
    let half_escaped: String = secret
        .chars()
        .enumerate()
        .map(|(at, c)| match at % 2 {
            0 => format!("%{:02X}", u32::from(c)),
            _ if c == '%' => "%25".to_owned(),
            _ => c.to_string(),
        })
        .collect();
    [
        ("as it is", secret.to_owned()),
        ("percent-encoded", percent(secret, true)),
        ("percent-encoded, lower case", percent(secret, false)),
        ("percent-encoded wholly", all(true)),
        ("percent-encoded wholly, lower case", all(false)),
        ("percent-encoded here and there", half_escaped),
        (
            "percent-encoded twice",
            percent(&percent(secret, true), true),
        ),
        (
            "as a form's field",
            form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        ),
        ("in JSON", json(secret)),
        ("in JSON in JSON", json(&json(secret))),
        ("wholly escaped in JSON in JSON", json(&unicode(secret))),
        ("in JSON, slashes too", json(secret).replace('/', "\\/")),
        ("in JSON, safe for HTML", safe),
        ("in JSON, wholly escaped", unicode(secret)),
        (
            "in JSON, wholly escaped, upper case",
            secret.bytes().map(|b| format!("\\u{b:04X}")).collect(),
        ),
        (
            "percent-encoded, then wholly escaped in JSON",
            unicode(&percent(secret, true)),
        ),
        ("in HTML", html(secret, "&#39;")),
        ("in HTML, hexadecimal", html(secret, "&#x27;")),
        ("in hex", hex.clone()),
        ("in hex, upper case", hex.to_ascii_uppercase()),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into()
}

/// What comes through, because only those who know how it was written can read it again.
pub fn disguised(secret: &str) -> Vec<(&'static str, String)> {
    let shifted = |c: char| match c {
        'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
        _ => c,
    };
    let half = secret.len() / 2;
    vec![
        ("reversed", secret.chars().rev().collect()),
        ("in upper case", secret.to_ascii_uppercase()),
        ("in lower case", secret.to_ascii_lowercase()),
        (
            "shifted by 13 letters",
            secret.chars().map(shifted).collect(),
        ),
        ("with spaces", spread(secret, " ")),
        ("with zero-width spaces", spread(secret, "\u{200b}")),
        ("in UTF-16", spread(secret, "\0")),
        (
            "as decimal numbers",
            secret.bytes().map(|b| format!("{b} ")).collect(),
        ),
        ("its first half", secret[..half].to_owned()),
        ("its second half", secret[half..].to_owned()),
    ]
}

fn spread(secret: &str, between: &str) -> String {
    let characters: Vec<_> = secret.chars().map(String::from).collect();
    characters.join(between)
}

fn percent(text: &str, upper: bool) -> String {
    text.bytes()
        .map(|b| match (b.is_ascii_alphanumeric(), upper) {
            (true, _) => char::from(b).to_string(),
            (false, true) => format!("%{b:02X}"),
            (false, false) => format!("%{b:02x}"),
        })
        .collect()
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn html(text: &str, quote: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', quote)
}

/// The characters of base64 that depend on the secret alone, with so many bytes before it in its
/// group of three.
fn core(secret: &str, skipped: usize, engine: &impl base64::Engine) -> String {
    let bytes = [&vec![0; skipped][..], secret.as_bytes()].concat();
    let first = (skipped * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    engine.encode(&bytes)[first..end].to_owned()
}
