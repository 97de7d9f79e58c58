//! The scenarios of one operation: what was recorded, and recording it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use onerouter_engine::NotSent;
use serde_json::{Value, json};

use super::KitError;
use super::bench::{Bench, Scene};
use super::ground::Ground;
use crate::canonical::NOW_MS;
use crate::carried;
use crate::cassette::{Cassette, Exchange, Expect, ExpectedOutcome};
use crate::expectation::{AMOUNTS, followed, wanted};
use crate::finding::{Finding, Findings, Verdict};
use crate::input::Input;
use crate::live::{Recording, rewrite};
use crate::operation::{Nature, Operation};
use crate::provider::Then;
use crate::run::{Ending, Facts, Run};

/// A recorded success, ready to be played.
struct Success {
    cassette: Cassette,
    facts: Facts,
}

impl Bench<'_> {
    pub(super) async fn operation(&mut self, operation: Operation) -> Result<(), KitError> {
        let success = self.recorded(operation).await?;
        if let Some(success) = &success {
            self.unknown_fields(operation, success).await?;
        }
        let cassette = success.map(|success| success.cassette);
        let cassette = cassette.unwrap_or_else(Cassette::empty);
        self.carried(operation, &cassette).await?;
        self.faults(operation, &cassette).await
    }

    /// Everything that has a cassette, or should have one.
    async fn recorded(&mut self, operation: Operation) -> Result<Option<Success>, KitError> {
        let options = self.options;
        let mut names: Vec<&str> = wanted(operation).to_vec();
        names.extend(options.cassettes.of(operation).map(|(name, _)| name));
        if options.live.is_some() && operation.has_amount() {
            let taken = AMOUNTS.iter().filter(|(_, code, _)| self.takes(code));
            names.extend(taken.map(|(name, ..)| *name));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let mut success = None;
        for name in names {
            if !self.begins(operation, name) {
                break;
            }
            let given = options.cassettes.get(operation, name);
            let played = match (&options.live, given) {
                (None, None) => {
                    let file = format!("cassettes/{}/{name}.json", operation.name());
                    self.skip(operation, name, &format!("there is no {file}"));
                    None
                }
                (None, Some(given)) => self.replay(operation, name, given).await?,
                (Some(_), None) if name == "declined" => {
                    let why = "only a cassette with an `input` can say what the provider declines";
                    self.skip(operation, name, why);
                    None
                }
                (Some(_), given) => {
                    let empty = Cassette::empty();
                    self.live(operation, name, given.unwrap_or(&empty)).await?
                }
            };
            if name == "success" {
                success = played;
            }
        }
        Ok(success)
    }

    async fn replay(
        &mut self,
        operation: Operation,
        name: &str,
        given: &Cassette,
    ) -> Result<Option<Success>, KitError> {
        let Some(expect) = Expect::for_scenario(name, given) else {
            self.no_expectation(operation, name);
            return Ok(None);
        };
        if given.exchanges.is_empty() && expect.outcome != ExpectedOutcome::NotSent {
            self.skip(
                operation,
                name,
                "the cassette has no answers yet: record it",
            );
            return Ok(None);
        }
        let cassette = rewrite(given, |text| self.connection.fill(text))?;
        let scene = scene(
            operation,
            &cassette,
            cassette.exchanges.len(),
            Then::Nothing,
        );
        let (request, run, heard) = self.play(scene).await?;
        let mut findings = expect.judge(&run);
        findings.add(followed(&heard));
        if name == "success" {
            // `unicode` tries the kit's texts, this the cassette's.
            let texts = carried::texts(operation, &request, &heard.received);
            findings.all.extend(texts.all);
        }
        if is_amount(name) {
            findings.add(carried::amount(&request, &run, &heard.received));
        }
        findings.add(self.always(&run, &heard));
        findings.add(self.remarks(&run));
        self.keep(operation, name, findings, Some(&run));
        let facts = run.facts;
        Ok(Some(Success { cassette, facts }))
    }

    async fn live(
        &mut self,
        operation: Operation,
        name: &str,
        given: &Cassette,
    ) -> Result<Option<Success>, KitError> {
        let Some(expect) = Expect::for_scenario(name, given) else {
            self.no_expectation(operation, name);
            return Ok(None);
        };
        let mut filled = rewrite(given, |text| self.connection.fill(text))?;
        let now_ms = self.now_ms();
        if let Some((_, code, minor)) = AMOUNTS.iter().find(|(amount, ..)| *amount == name) {
            filled.input.currency = Some((*code).to_owned());
            filled.input.amount_minor = Some(*minor);
        }
        let mut input = filled.input.clone();
        if name == "not_found" {
            input.provider_id = input.provider_id.or_else(|| self.made.absent(operation));
        } else {
            input = match self.ground(operation, &filled, now_ms).await? {
                Ground::Usual => self.made.input(operation, &input, now_ms),
                Ground::Made(made) => input.or(&made),
                Ground::Missing(why) => {
                    self.skip(operation, name, &why);
                    return Ok(None);
                }
            };
        }
        let live = Cassette {
            input: input.clone(),
            recorded_at: None,
            ..filled
        };
        let mut scene = scene(operation, &live, 0, Then::Forwards);
        scene.now_ms = now_ms;
        let (request, run, heard) = self.play(scene).await?;
        let mut findings = Findings::default();
        if is_out_of_reach(operation, &run) && expect.outcome == ExpectedOutcome::Accepted {
            let why = format!(
                "the sandbox has nothing to try it on: {}",
                run.ending.describe()
            );
            findings.not_covered(why);
        } else if matches!(
            run.ending,
            Ending::NotSent(NotSent::Unsupported(_) | NotSent::Invalid(_))
        ) {
            findings.not_covered(format!(
                "the adapter does not ask: {}",
                run.ending.describe()
            ));
        } else {
            findings = expect.judge(&run);
        }
        if is_amount(name) {
            findings.add(carried::amount(&request, &run, &heard.received));
        }
        findings.add(self.always(&run, &heard));
        findings.add(self.remarks(&run));
        self.keep(operation, name, findings, Some(&run));
        if name == "success" && run.ending == Ending::Accepted {
            self.made.remember(operation, &input, &run.facts);
        }
        if !matches!(self.last_verdict(), Some(Verdict::Passed | Verdict::Warned)) {
            return Ok(None);
        }
        let recording = Recording {
            given,
            input,
            now_ms,
            exchanges: heard.recorded,
        };
        let Some(live) = &self.options.live else {
            return Ok(None);
        };
        let hidden = recording.cassette(&self.connection, &live.upstreams)?;
        if let Some(folder) = &live.record_to {
            hidden.write(folder, operation, name)?;
        }
        let cassette = rewrite(&hidden, |text| self.connection.fill(text))?;
        let facts = run.facts;
        Ok(Some(Success { cassette, facts }))
    }

    fn no_expectation(&mut self, operation: Operation, name: &str) {
        let mut findings = Findings::default();
        findings.fail(Finding::new(
            "no_expectation",
            format!(
                "the cassette {}/{name} does not say how the call ends",
                operation.name()
            ),
            "add `expect` to the cassette, or give it a well-known name",
        ));
        self.keep(operation, name, findings, None);
    }

    /// Providers add fields whenever they like.
    async fn unknown_fields(
        &mut self,
        operation: Operation,
        success: &Success,
    ) -> Result<(), KitError> {
        let mut cassette = success.cassette.clone();
        let mut is_changed = false;
        for exchange in &mut cassette.exchanges {
            if let Some(value) = &mut exchange.answer.json {
                is_changed |= add_unknown(value);
            } else if let Some(text) = &exchange.answer.text
                && let Ok(mut value) = serde_json::from_str(text)
                && add_unknown(&mut value)
            {
                exchange.answer.text = Some(value.to_string());
                is_changed = true;
            }
        }
        if !is_changed || !self.begins(operation, "unknown_fields") {
            return Ok(());
        }
        let count = cassette.exchanges.len();
        let scene = scene(operation, &cassette, count, Then::Nothing);
        let (_, run, heard) = self.play(scene).await?;
        let mut findings = self.always(&run, &heard);
        let seen = Facts {
            // A recording leads to the provider's own page, a live sandbox to its.
            checkout_url: success.facts.checkout_url.clone(),
            ..run.facts.clone()
        };
        if run.ending != Ending::Accepted || seen != success.facts {
            findings.fail(Finding::new(
                "unknown_fields_matter",
                format!("with more fields in the answers the outcome is {}", run.ending.describe()),
                "ignore fields that the adapter does not know: providers add some whenever they like",
            ));
        }
        self.keep(operation, "unknown_fields", findings, Some(&run));
        Ok(())
    }
}

/// A call with the first `count` answers of a cassette.
pub(super) fn scene<'c>(
    operation: Operation,
    cassette: &'c Cassette,
    count: usize,
    then: Then,
) -> Scene<'c> {
    Scene {
        operation,
        input: cassette.input.clone(),
        settings: &cassette.settings,
        now_ms: time(cassette),
        exchanges: cassette
            .exchanges
            .iter()
            .take(count)
            .cloned()
            .collect::<VecDeque<Exchange>>(),
        then,
        time_max: None,
    }
}

fn time(cassette: &Cassette) -> u64 {
    let recorded = cassette
        .recorded_at
        .and_then(|at| u64::try_from(at.timestamp_millis()).ok());
    recorded.unwrap_or(NOW_MS)
}

pub(super) fn with_input(cassette: &Cassette, input: Input) -> Cassette {
    Cassette {
        input,
        ..cassette.clone()
    }
}

/// What is to be changed, paid back or followed is not there, or not in the state for it: it takes a buyer, say.
fn is_out_of_reach(operation: Operation, run: &Run) -> bool {
    let needs_object = operation.nature() != Nature::Creates
        || matches!(
            operation,
            Operation::RefundsCreate | Operation::SubscriptionsCreate
        );
    needs_object && matches!(run.ending, Ending::Declined(_)) && !carried::is_refused_login(run)
}

fn is_amount(name: &str) -> bool {
    AMOUNTS.iter().any(|(amount, ..)| *amount == name)
}

/// Adds what nobody knows to an object, and to the objects of its lists. Whether there was one.
fn add_unknown(value: &mut Value) -> bool {
    let unknown: BTreeMap<&str, Value> = BTreeMap::from([
        ("kit_unknown_text", json!("unknown")),
        ("kit_unknown_tree", json!({"a": [1, {"b": null}], "c": 0.5})),
    ]);
    let add = |value: &mut Value| {
        let Value::Object(fields) = value else {
            return false;
        };
        for (name, value) in &unknown {
            fields.insert((*name).to_owned(), value.clone());
        }
        true
    };
    if let Value::Object(fields) = value {
        for list in fields.values_mut().filter_map(Value::as_array_mut) {
            for item in list {
                add(item);
            }
        }
    }
    add(value)
}
