//! Finds a connection's secrets in whatever comes back, and blots them out.
//!
//! A provider may echo what it was sent: in an error text, a debug header, a login page. Secrets
//! are looked for as they are and in every form in which software writes them: percent-encoded,
//! as a form field, JSON-escaped, HTML-escaped, in hex, and in base64 at each of its three
//! alignments, in both alphabets. JSON escapes and percent-encodings are also undone first, several times,
//! because each character may be escaped or not.
//!
//! The common case, in which nothing is found, is one pass with a vectorised search.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::form_urlencoded;

/// Stands where a secret stood.
const BLOT: &[u8] = b"[redacted]";

/// The prepared search for the secrets of one connection, or for one token, or for several of these.
///
/// The patterns are copies of the secrets that are not wiped when they are dropped.
pub(crate) struct Scrubber {
    /// Says quickly that there is nothing; none where the patterns are too many for it.
    quick: Option<Searcher>,
    /// Finds every place.
    thorough: Option<AhoCorasick>,
    /// By pattern: whether a match grows over the characters around it.
    grows: Vec<bool>,
    longest: usize,
    /// Searches besides this one.
    others: Vec<Arc<Self>>,
}

impl Scrubber {
    pub(crate) fn new<'s>(secrets: impl Iterator<Item = &'s str>) -> Self {
        let mut patterns = Patterns::default();
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            patterns.add_secret(secret);
        }
        let Patterns { bytes, grows } = patterns;
        let quick = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(&bytes)
            .build();
        // Overlapping matches are wanted: one secret may begin inside another.
        let thorough = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&bytes)
            .ok()
            .filter(|_| !bytes.is_empty());
        Self {
            quick,
            thorough,
            grows,
            longest: bytes.iter().map(Vec::len).max().unwrap_or(0),
            others: Vec::new(),
        }
    }

    /// Finds what any of these finds.
    pub(crate) fn of(others: Vec<Arc<Self>>) -> Self {
        Self {
            quick: None,
            thorough: None,
            grows: Vec::new(),
            longest: others.iter().map(|other| other.longest).max().unwrap_or(0),
            others,
        }
    }

    /// The searches that it was made of.
    pub(crate) fn parts(&self) -> &[Arc<Self>] {
        &self.others
    }

    /// Length of the longest form of a secret, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The bytes without secrets; none where there was nothing to remove.
    pub(crate) fn scrub(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut found = Vec::new();
        self.find(bytes, &mut found);
        // Each looks at the bytes as they came: what one blots out may be part of what another knows.
        for other in &self.others {
            other.find(bytes, &mut found);
        }
        (!found.is_empty()).then(|| blot(bytes, found))
    }

    fn find(&self, bytes: &[u8], found: &mut Vec<Range<usize>>) {
        let Some(thorough) = &self.thorough else {
            return;
        };
        self.search(thorough, bytes, None, found);
        // Three times: a dump of a JSON request in an error text, itself in a JSON answer.
        let mut view = View::of(bytes);
        for _ in 0..3 {
            if !view.bytes.contains(&b'\\') {
                break;
            }
            view = view.undo(json_escape);
            self.search(thorough, &view.bytes, Some(&view), found);
            self.search_percent(thorough, view.clone(), found);
        }
        self.search_percent(thorough, View::of(bytes), found);
    }

    /// The text without secrets.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.scrub(text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Removes secrets in place.
    pub(crate) fn string(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = clean;
        }
    }

    /// Twice, because a URL inside a URL is encoded twice.
    fn search_percent(
        &self,
        thorough: &AhoCorasick,
        mut view: View<'_>,
        found: &mut Vec<Range<usize>>,
    ) {
        for _ in 0..2 {
            if !view.bytes.contains(&b'%') {
                return;
            }
            view = view.undo(percent_encoding);
            self.search(thorough, &view.bytes, Some(&view), found);
        }
    }

    fn search(
        &self,
        thorough: &AhoCorasick,
        bytes: &[u8],
        view: Option<&View<'_>>,
        found: &mut Vec<Range<usize>>,
    ) {
        if let Some(quick) = &self.quick
            && quick.find(bytes).is_none()
        {
            return;
        }
        // The run that was blotted last. Hits come in order, and without it a run full of hits would
        // be walked anew for each of them: whoever knows a secret could stall the host with it.
        let mut run = 0..0;
        for hit in thorough.find_overlapping_iter(bytes) {
            if run.start <= hit.start() && hit.end() <= run.end {
                continue;
            }
            let grows = self.grows.get(hit.pattern().as_usize());
            let range = if grows.copied().unwrap_or(false) {
                run = grown(bytes, hit.range());
                run.clone()
            } else {
                hit.range()
            };
            found.push(view.map_or(range.clone(), |view| view.origin(&range)));
        }
    }
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubber")
            .field("patterns", &self.grows.len())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Patterns {
    bytes: Vec<Vec<u8>>,
    grows: Vec<bool>,
}

impl Patterns {
    fn add(&mut self, pattern: impl Into<Vec<u8>>, grows: bool) {
        let pattern = pattern.into();
        if !pattern.is_empty() && !self.bytes.contains(&pattern) {
            self.bytes.push(pattern);
            self.grows.push(grows);
        }
    }

    fn add_secret(&mut self, secret: &str) {
        self.add(secret, false);
        // Where a "+" stands for a space, undoing percent-encodings is not enough.
        let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        self.add(form, false);
        self.add(secret.replace(' ', "+"), false);
        for quote in ["&#39;", "&#x27;", "&apos;"] {
            self.add(html(secret, quote), false);
        }
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        self.add(hex.to_ascii_uppercase(), true);
        self.add(hex, true);
        for skipped in 0..3 {
            let (standard, url_safe) = base64_core(secret.as_bytes(), skipped);
            self.add(standard, true);
            self.add(url_safe, true);
        }
    }
}

fn html(secret: &str, quote: &str) -> String {
    secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', quote)
}

/// The base64 characters that depend on the secret alone when `skipped` bytes of something else
/// stand before it in its group of three.
fn base64_core(secret: &[u8], skipped: usize) -> (String, String) {
    let mut bytes = vec![0; skipped];
    bytes.extend_from_slice(secret);
    // 8 bits per byte, 6 per character: the first character that is wholly the secret's, and the
    // one behind the last.
    let first = (skipped * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    let core = |encoded: String| encoded.get(first..end).unwrap_or_default().to_owned();
    (
        core(STANDARD_NO_PAD.encode(&bytes)),
        core(URL_SAFE_NO_PAD.encode(&bytes)),
    )
}

/// A secret in the middle of base64 or hex shares characters with its neighbours: the whole run
/// goes.
fn grown(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let belongs = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(b);
    let before = bytes.get(..range.start).unwrap_or_default();
    let after = bytes.get(range.end..).unwrap_or_default();
    let start = before
        .iter()
        .rposition(|b| !belongs(b))
        .map_or(0, |at| at + 1);
    let more = after
        .iter()
        .position(|b| !belongs(b))
        .unwrap_or(after.len());
    start..range.end + more
}

fn blot(bytes: &[u8], mut found: Vec<Range<usize>>) -> Vec<u8> {
    found.sort_unstable_by_key(|range| range.start);
    let mut clean = Vec::with_capacity(bytes.len());
    let mut done = 0;
    let mut blotted_to = None;
    for range in found {
        if blotted_to.is_some_and(|end| range.start <= end) {
            // Overlaps or touches the last one: one blot for both.
            blotted_to = blotted_to.max(Some(range.end));
            done = done.max(range.end);
            continue;
        }
        clean.extend_from_slice(bytes.get(done..range.start).unwrap_or_default());
        clean.extend_from_slice(BLOT);
        done = range.end;
        blotted_to = Some(range.end);
    }
    clean.extend_from_slice(bytes.get(done..).unwrap_or_default());
    clean
}

/// Bytes with encodings undone, and where each of them comes from.
#[derive(Clone)]
struct View<'b> {
    bytes: Cow<'b, [u8]>,
    /// Start of each byte in the original, and the original's end behind the last; none while the
    /// bytes are the original.
    starts: Option<Vec<usize>>,
}

impl<'b> View<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Self {
            bytes: Cow::Borrowed(bytes),
            starts: None,
        }
    }

    /// `decode` reads one encoded character at the start of its input, appends what it stands for,
    /// and says how many bytes it takes; 0 where there is none.
    fn undo(&self, decode: impl Fn(&[u8], &mut Vec<u8>) -> usize) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut starts = Vec::with_capacity(self.bytes.len() + 1);
        let mut at = 0;
        while let Some(rest @ [first, ..]) = self.bytes.get(at..) {
            let taken = decode(rest, &mut bytes);
            if taken == 0 {
                bytes.push(*first);
            }
            starts.resize(bytes.len(), self.start(at));
            at += taken.max(1);
        }
        starts.push(self.start(self.bytes.len()));
        Self {
            bytes: Cow::Owned(bytes),
            starts: Some(starts),
        }
    }

    fn start(&self, at: usize) -> usize {
        match &self.starts {
            None => at,
            Some(starts) => starts.get(at).copied().unwrap_or_default(),
        }
    }

    fn origin(&self, range: &Range<usize>) -> Range<usize> {
        self.start(range.start)..self.start(range.end)
    }
}

/// Reads one `%41` at the start, appends what it stands for, and says how many bytes it takes; 0
/// where there is none.
pub(crate) fn percent_encoding(bytes: &[u8], decoded: &mut Vec<u8>) -> usize {
    let Some(([b'%', digits @ ..], _)) = bytes.split_first_chunk::<3>() else {
        return 0;
    };
    match hex(digits) {
        Some(byte) => {
            decoded.extend(u8::try_from(byte));
            3
        }
        None => 0,
    }
}

fn json_escape(bytes: &[u8], decoded: &mut Vec<u8>) -> usize {
    let Some(([b'\\', kind], rest)) = bytes.split_first_chunk::<2>() else {
        return 0;
    };
    let plain = match kind {
        b'"' | b'\\' | b'/' => *kind,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode_escape(rest, decoded),
        _ => return 0,
    };
    decoded.push(plain);
    2
}

/// What follows `\u`: four digits, or a pair of surrogates.
fn unicode_escape(rest: &[u8], decoded: &mut Vec<u8>) -> usize {
    let mut buffer = [0; 4];
    let mut push = |character: char| {
        decoded.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    };
    let Some(high) = rest.get(..4).and_then(hex) else {
        return 0;
    };
    if let Some(character) = char::from_u32(high) {
        push(character);
        return 6;
    }
    let low = rest
        .get(4..10)
        .and_then(|rest| rest.strip_prefix(b"\\u"))
        .and_then(hex);
    let pair = low.and_then(|low| {
        let high = high.checked_sub(0xd800).filter(|high| *high < 0x400)?;
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x1_0000 + (high << 10) + low)
    });
    match pair {
        Some(character) => {
            push(character);
            12
        }
        None => 0,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    let all = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::Scrubber;

    const SECRET: &str = "s3cr\"t/+&<\u{e9}> k\\y'%41";

    fn scrubbed(text: &str) -> String {
        let scrubber = Scrubber::new([SECRET, "hunter2hunter2"].into_iter());
        scrubber.text(text).into_owned()
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

    fn all_percent(text: &str) -> String {
        text.bytes().map(|b| format!("%{b:02X}")).collect()
    }

    fn all_unicode(text: &str) -> String {
        text.encode_utf16()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect()
    }

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let json = serde_json::to_string(SECRET).unwrap();
        let slashes = json.replace('/', "\\/");
        let safe = json
            .replace('<', "\\u003c")
            .replace('>', "\\u003E")
            .replace('&', "\\u0026")
            .replace('\u{e9}', "\\u00e9");
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let html = SECRET
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;");
        let mut forms = vec![
            SECRET.to_owned(),
            json.trim_matches('"').to_owned(),
            slashes.trim_matches('"').to_owned(),
            safe.trim_matches('"').to_owned(),
            all_unicode(SECRET),
            percent(SECRET, true),
            percent(SECRET, false),
            all_percent(SECRET),
            percent(&percent(SECRET, true), true),
            all_unicode(&percent(SECRET, true)),
            form,
            html,
            SECRET.bytes().map(|b| format!("{b:02x}")).collect(),
            SECRET.bytes().map(|b| format!("{b:02X}")).collect(),
        ];
        for before in ["", "u", "us", "use", "AC123:"] {
            for after in ["", "a", "ab", "abc"] {
                let text = format!("{before}{SECRET}{after}");
                forms.push(STANDARD.encode(&text));
                forms.push(URL_SAFE.encode(&text));
                forms.push(URL_SAFE_NO_PAD.encode(&text));
                forms.push(STANDARD.encode(&text).replace('/', "\\/"));
                forms.push(percent(&STANDARD.encode(&text), true));
            }
        }
        for form in forms {
            let clean = scrubbed(&format!("<<{form}>>"));
            assert_eq!(clean, "<<[redacted]>>", "{form}");
        }
    }

    #[test]
    fn what_holds_no_secret_is_not_touched() {
        let scrubber = Scrubber::new([SECRET].into_iter());
        for text in [
            "",
            "s3cr",
            "{\"a\":\"\\u00e9 \\/ %41\"}",
            "%",
            "\\",
            "\\u12",
            "%zz",
        ] {
            assert_eq!(scrubber.scrub(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Scrubber::new(std::iter::empty()).scrub(b"anything"), None);
    }

    #[test]
    fn secrets_that_overlap_are_removed_wholly() {
        let scrubber = Scrubber::new(["abcdefgh", "efghijkl", "efgh1234"].into_iter());
        let clean = |text: &str| scrubber.text(text).into_owned();
        assert_eq!(clean("abcdefghijkl"), "[redacted]");
        assert_eq!(clean("-abcdefgh1234-"), "-[redacted]-");
        assert_eq!(clean("abcdefghabcdefgh"), "[redacted]");
        assert_eq!(clean("abcdefgh abcdefgh"), "[redacted] [redacted]");
    }

    #[test]
    fn a_flood_of_hits_in_one_run_costs_one_walk() {
        // Walking the run for each of these hits would take hours.
        let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
        let clean = scrubbed(&format!("<<{}>>", hex.repeat(100_000)));
        assert_eq!(clean, "<<[redacted]>>");
    }

    /// Each search looks at the bytes as they came: after the other, one would find pieces only.
    #[test]
    fn several_searches_find_what_each_of_them_finds() {
        let all = ["0123456789abcdef", "cdefghijklmnopqr", "unrelated-secret"]
            .map(|secret| Arc::new(Scrubber::new([secret].into_iter())));
        let longest = all.iter().map(|one| one.longest()).max().unwrap();
        let scrubber = Scrubber::of(all.to_vec());
        assert_eq!(scrubber.longest(), longest);
        assert_eq!(
            scrubber.text("<0123456789abcdefghijklmnopqr> unrelated\\u002dsecret"),
            "<[redacted]> [redacted]"
        );
        assert_eq!(scrubber.scrub(b"0123456789abcde"), None);
        assert_eq!(Scrubber::of(Vec::new()).scrub(b"anything"), None);
    }

    #[test]
    fn many_secrets_are_searched_without_the_quick_path() {
        let secrets: Vec<_> = (0..40).map(|n| format!("secret-number-{n:03}")).collect();
        let scrubber = Scrubber::new(secrets.iter().map(String::as_str));
        for secret in &secrets {
            let body = format!("{{\"error\":\"bad key {secret}\"}}");
            assert_eq!(scrubber.text(&body), "{\"error\":\"bad key [redacted]\"}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_mixture_of_escapes_hides_a_secret(
            characters in proptest::collection::vec(("[ -~]", 0..4_u8), 8..40),
            before in "[a-zA-Z0-9 <>{}]{0,10}",
            after in "[a-zA-Z0-9 <>{}]{0,10}",
        ) {
            let secret: String = characters.iter().map(|(c, _)| c.as_str()).collect();
            let scrubber = Scrubber::new([secret.as_str()].into_iter());
            let json: String = characters.iter().map(|(c, how)| json_form(c, *how)).collect();
            let url: String = characters.iter().map(|(c, how)| url_form(c, *how)).collect();
            for form in [json, url] {
                let clean = scrubber.text(&format!("{before}{form}{after}")).into_owned();
                proptest::prop_assert!(clean.contains("[redacted]"), "{clean}");
            }
        }
    }

    fn json_form(character: &str, how: u8) -> String {
        let code = u32::from(character.chars().next().unwrap());
        match (how, character) {
            (0, _) => format!("\\u{code:04x}"),
            (1, _) => format!("\\u{code:04X}"),
            (_, "\\" | "\"") => format!("\\{character}"),
            (2, "/") => "\\/".to_owned(),
            (_, _) => character.to_owned(),
        }
    }

    fn url_form(character: &str, how: u8) -> String {
        let code = u32::from(character.chars().next().unwrap());
        match (how, character) {
            (0, _) | (_, "%") => format!("%{code:02x}"),
            (1, _) => format!("%{code:02X}"),
            (_, _) => character.to_owned(),
        }
    }
}
