//! The search.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use url::form_urlencoded::byte_serialize;

use crate::canaries::{CANARIES, CLIENT};
use crate::encodings::searched;

/// How much of a place is shown around something found, and taken for the control.
const AROUND: usize = 60;

/// What is looked for, where it was looked for, and what was found.
#[derive(Debug)]
pub struct Search {
    automaton: AhoCorasick,
    names: Vec<String>,
    forms: Vec<String>,
    /// Bytes by place.
    places: BTreeMap<String, usize>,
    /// Each with its place.
    found: Vec<(String, String)>,
}

impl Search {
    /// For the canaries in every form, and for further secrets by their names.
    pub fn new(further: &[(&str, &str)]) -> Self {
        let canaries = CANARIES.map(|canary| (canary.scheme, canary.secret));
        // Sent as a field of a form in base64, so it may also come back from there.
        let field: String = byte_serialize(CLIENT.secret.as_bytes()).collect();
        let client = [
            (CLIENT.scheme, CLIENT.secret),
            ("client as a form's field", field.as_str()),
        ];
        let (mut names, mut forms) = (Vec::new(), Vec::new());
        for (secret, text) in canaries.iter().chain(&client).chain(further) {
            for (form, text) in searched(text) {
                names.push(format!("{secret} {form}"));
                forms.push(text);
            }
        }
        Self {
            automaton: AhoCorasick::new(&forms).unwrap(),
            names,
            forms,
            places: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// Searches one place. `known` stands there for sure, so it is the right place and readable; and
    /// a copy in which every form was planted shows that each would have been found.
    #[track_caller]
    pub fn place(&mut self, name: &str, bytes: &[u8], known: &str) {
        assert!(contains(bytes, known.as_bytes()), "no {known:?} in {name}");
        let (before, after) = bytes.split_at(bytes.len() / 2);
        let before = &before[before.len().saturating_sub(AROUND)..];
        let after = &after[..after.len().min(AROUND)];
        for (form, text) in self.names.iter().zip(&self.forms) {
            let planted = [before, text.as_bytes(), after].concat();
            assert!(
                self.automaton.is_match(&planted),
                "{form} would not be found in {name}"
            );
        }
        let mut last = 0;
        for hit in self.automaton.find_iter(bytes) {
            if hit.start() < last {
                continue;
            }
            last = hit.end() + AROUND;
            let around =
                &bytes[hit.start().saturating_sub(AROUND)..bytes.len().min(hit.end() + AROUND)];
            let what = format!(
                "{name}: {} in {:?}",
                self.names[hit.pattern().as_usize()],
                String::from_utf8_lossy(around)
            );
            self.found.push((name.to_owned(), what));
        }
        let seen = self.places.insert(name.to_owned(), bytes.len());
        assert_eq!(seen, None, "{name} was searched twice");
    }

    /// The places whose names begin so.
    pub fn places(&self, beginning: &str) -> Vec<&str> {
        let names = self.places.keys().map(String::as_str);
        names.filter(|name| name.starts_with(beginning)).collect()
    }

    /// The places in which something was found.
    pub fn found_in(&self) -> BTreeSet<&str> {
        self.found.iter().map(|(place, _)| place.as_str()).collect()
    }

    /// Nothing was found.
    #[track_caller]
    pub fn found_nothing(&self) {
        let total: usize = self.places.values().sum();
        println!("{} places, {total} bytes", self.places.len());
        let found: Vec<_> = self.found.iter().map(|(_, what)| what.as_str()).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

/// Whether the bytes hold these.
pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || count(bytes, wanted) > 0
}

/// How often the bytes hold these.
pub fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    AhoCorasick::new([wanted]).unwrap().find_iter(bytes).count()
}
