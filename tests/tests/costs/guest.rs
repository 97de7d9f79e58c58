//! A bundled adapter in an engine that counts: instructions, pages, and bytes that cross the border.

use std::path::Path;

use onerouter_tests::harness::built;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, Store, WasmCoreDump};

use self::bindings::exports::onerouter::email::email;
use self::bindings::exports::onerouter::sms::sms;
use self::bindings::onerouter::host::{context, log, signature};
use self::bindings::onerouter::outbound::http;
use self::bindings::onerouter::payments::types;
use self::bindings::onerouter::types::common::{self, CallError};
use crate::within;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "onerouter:adapter/everything",
        imports: { default: trappable },
    });
}

/// What the kernel gives and takes back.
const PAGE_BYTES: usize = 4 << 10;

const ANSWER: &str = r#"{"account_sid":"AC00000000000000000000000000000001","api_version":"2010-04-01","body":"Your code is 123456.","date_created":"Thu, 24 Aug 2023 05:01:45 +0000","date_sent":null,"direction":"outbound-api","error_code":null,"error_message":null,"from":"+12025550142","messaging_service_sid":null,"num_media":"0","num_segments":"1","price":null,"price_unit":"USD","sid":"SM00000000000000000000000000000001","status":"queued","to":"+14155550123"}"#;

/// What one call took.
#[derive(Debug, PartialEq, Eq)]
struct Costs {
    /// Fuel of wasmtime: about one unit an instruction.
    instructions: u64,
    /// Pages of linear memory that the call changed.
    pages: u64,
    /// Of texts and lists, in both directions.
    bytes: u64,
}

#[test]
fn a_text_message_costs_the_guest_no_more_than_it_did() {
    let costs = costs("twilio", "onerouter:sms/sms@1.0.0", Guest::text);
    within("instructions of a text message", costs.instructions, 39_000);
    within("pages of a text message", costs.pages, 3);
    within(
        "bytes of a text message over the border",
        costs.bytes,
        1_400,
    );
}

#[test]
fn an_email_costs_the_guest_no_more_than_it_did() {
    let costs = costs("resend", "onerouter:email/email@1.0.0", Guest::mail);
    within("instructions of an e-mail", costs.instructions, 12_500);
    within("pages of an e-mail", costs.pages, 3);
    within("bytes of an e-mail over the border", costs.bytes, 600);
}

/// The same call twice must cost the same, and then a third time with so little fuel that it ends
/// one instruction short: what memory looks like then is in the dump.
fn costs(plugin: &str, interface: &str, call: fn(&mut Guest) -> wasmtime::Result<()>) -> Costs {
    let component = Loaded::new(plugin);
    let [first, again] = [(); 2].map(|()| {
        let mut guest = component.instantiate(interface);
        call(&mut guest).unwrap();
        (
            FUEL - guest.store.get_fuel().unwrap(),
            guest.store.data().bytes,
        )
    });
    assert_eq!(first, again, "a call costs the same each time");
    let (instructions, bytes) = first;
    let memory = |fuel: u64| {
        let mut guest = component.instantiate(interface);
        guest.store.set_fuel(fuel).unwrap();
        let ended = call(&mut guest).unwrap_err();
        let dump = ended.downcast_ref::<WasmCoreDump>().unwrap();
        let memories = dump.memories().iter();
        let bytes = memories.flat_map(|memory| memory.data(&guest.store).to_vec());
        bytes.collect::<Vec<u8>>()
    };
    let (before, after) = (memory(0), memory(instructions - 1));
    let pages = after
        .chunks(PAGE_BYTES)
        .enumerate()
        .filter(|(number, page)| {
            let begin = number * PAGE_BYTES;
            match before.get(begin..begin + page.len()) {
                Some(was) => was != *page,
                None => page.iter().any(|byte| *byte != 0),
            }
        });
    Costs {
        instructions,
        pages: pages.count() as u64,
        bytes,
    }
}

const FUEL: u64 = 1 << 40;

struct Loaded {
    engine: Engine,
    linker: Linker<Border>,
    component: Component,
}

struct Guest {
    store: Store<Border>,
    instance: wasmtime::component::Instance,
    function: wasmtime::component::ComponentExportIndex,
}

impl Loaded {
    fn new(plugin: &str) -> Self {
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .coredump_on_trap(true)
            .concurrency_support(false);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        bindings::Everything::add_to_linker::<Border, HasSelf<Border>>(&mut linker, |state| state)
            .unwrap();
        let folder = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
        let path = Path::new(&folder).join(format!("{plugin}.wasm"));
        let component = Component::from_binary(&engine, &std::fs::read(path).unwrap()).unwrap();
        Self {
            engine,
            linker,
            component,
        }
    }

    fn instantiate(&self, interface: &str) -> Guest {
        let mut store = Store::new(&self.engine, Border::default());
        store.set_fuel(FUEL).unwrap();
        let instance = self
            .linker
            .instantiate(&mut store, &self.component)
            .unwrap();
        // What starting takes is not the call's.
        store.set_fuel(FUEL).unwrap();
        let parent = self.component.get_export_index(None, interface).unwrap();
        let function = self
            .component
            .get_export_index(Some(&parent), "send")
            .unwrap();
        Guest {
            store,
            instance,
            function,
        }
    }
}

impl Guest {
    fn text(&mut self) -> wasmtime::Result<()> {
        let request = sms::SendRequest {
            object_id: "sms_0000000000000000000000000000".to_owned(),
            attempt_id: "att_0000000000000000000000000000".to_owned(),
            idempotency_key: "sms_0000000000000000000000000000:send".to_owned(),
            to: "+14155550123".to_owned(),
            sender: None,
            body: "Your code is 123456.".to_owned(),
            media_urls: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        };
        let texts = [
            &request.object_id,
            &request.attempt_id,
            &request.idempotency_key,
        ];
        let texts = texts.into_iter().chain([&request.to, &request.body]);
        let bytes = texts.map(String::len).sum();
        type Answer = (Result<sms::Message, CallError>,);
        let function = self
            .instance
            .get_typed_func::<(&sms::SendRequest,), Answer>(&mut self.store, self.function)?;
        let (answer,) = function.call(&mut self.store, (&request,))?;
        let message = answer.unwrap();
        let border = self.store.data_mut();
        border.crossed(bytes);
        border.crossed(message.provider_id.len() + message.status.len());
        border.crossed(message.sender.map_or(0, |sender| sender.len()));
        border.crossed(message.raw.map_or(0, |raw| raw.len()));
        Ok(())
    }

    fn mail(&mut self) -> wasmtime::Result<()> {
        let request = email::SendRequest {
            object_id: "em_0000000000000000000000000000".to_owned(),
            attempt_id: "att_0000000000000000000000000000".to_owned(),
            idempotency_key: "em_0000000000000000000000000000:send".to_owned(),
            sender: None,
            to: vec!["ann@example.com".to_owned()],
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: "Your receipt".to_owned(),
            html: None,
            text: Some("Thank you for your order.".to_owned()),
            attachments: Vec::new(),
            headers: Vec::new(),
            tags: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        };
        let texts = [
            &request.object_id,
            &request.attempt_id,
            &request.idempotency_key,
        ];
        let texts = texts
            .into_iter()
            .chain(&request.to)
            .chain([&request.subject]);
        let bytes = texts.chain(&request.text).map(String::len).sum();
        type Answer = (Result<email::Message, CallError>,);
        let function = self
            .instance
            .get_typed_func::<(&email::SendRequest,), Answer>(&mut self.store, self.function)?;
        let (answer,) = function.call(&mut self.store, (&request,))?;
        let message = answer.unwrap();
        let border = self.store.data_mut();
        border.crossed(bytes);
        border.crossed(message.provider_id.len() + message.status.len());
        border.crossed(message.raw.map_or(0, |raw| raw.len()));
        Ok(())
    }
}

/// The host's side: one connection, and a provider that always says yes.
#[derive(Debug, Default)]
struct Border {
    bytes: u64,
}

impl Border {
    fn crossed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    fn pass(&mut self, name: &str, value: Option<&str>) -> wasmtime::Result<Option<String>> {
        self.crossed(name.len() + value.map_or(0, str::len));
        Ok(value.map(str::to_owned))
    }
}

impl common::Host for Border {}

impl types::Host for Border {}

impl context::Host for Border {
    fn get_environment(&mut self) -> wasmtime::Result<context::Environment> {
        Ok(context::Environment::Test)
    }

    fn credential(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let value = (name == "account_sid").then_some("AC00000000000000000000000000000001");
        self.pass(&name, value)
    }

    fn setting(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let value = match name.as_str() {
            "from_number" => Some("+12025550142"),
            "from_email" => Some("Acme <hello@example.com>"),
            _ => None,
        };
        self.pass(&name, value)
    }

    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(1_692_853_305_000)
    }

    fn time_left(&mut self) -> wasmtime::Result<u64> {
        Ok(20_000)
    }
}

impl log::Host for Border {
    fn write(&mut self, _level: log::Level, message: String) -> wasmtime::Result<()> {
        panic!("the adapter complains: {message}")
    }
}

impl signature::Host for Border {
    fn verify(&mut self, name: String, _: Vec<u8>, _: String) -> wasmtime::Result<bool> {
        panic!("no bundled adapter has a signature {name} checked")
    }
}

impl http::Host for Border {
    fn send(
        &mut self,
        request: http::Request,
    ) -> wasmtime::Result<Result<http::Response, http::SendError>> {
        let pairs = |pairs: &[(String, String)]| -> usize {
            let sizes = pairs.iter().map(|(name, value)| name.len() + value.len());
            sizes.sum()
        };
        self.crossed(request.url.len() + pairs(&request.headers));
        self.crossed(request.auth.map_or(0, |name| name.len()));
        self.crossed(request.want_headers.iter().map(String::len).sum());
        self.crossed(match &request.body {
            http::Body::Empty => 0,
            http::Body::Json(text) => text.len(),
            http::Body::Form(fields) => pairs(fields),
            http::Body::Bytes(bytes) => bytes.len(),
        });
        let body = match &request.body {
            http::Body::Form(_) => ANSWER,
            _ => r#"{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}"#,
        };
        self.crossed(body.len());
        Ok(Ok(http::Response {
            status: 200,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }))
    }
}
