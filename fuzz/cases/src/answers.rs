//! What a provider, or whoever answers in its name, may send back.

use std::sync::LazyLock;
use std::time::Duration;

use onerouter_egress::{
    Egress, EgressConfig, EgressError, Origin, OutboundRequest, SendError, Upstreams, Written,
};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// How adapters read dates.
#[path = "../../../sdk-plugin/src/time.rs"]
#[expect(dead_code, unreachable_pub, reason = "public where it belongs")]
mod dates;
/// How adapters read JSON.
#[path = "../../../sdk-plugin/src/json/reader.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "not every way of reading is a target"
)]
mod reader;
/// Secrets, taken out of what comes back.
#[path = "../../../host/engine/src/scrub.rs"]
#[expect(dead_code, reason = "texts are scrubbed as bytes are")]
mod scrubber;

const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Nobody waits here: whoever answers closes the connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// Secrets have 8 bytes at least.
const SECRET_BYTES: usize = 12;
/// The reader's own bound lies at 64.
const SHALLOW: usize = 32;

/// The JSON reader of the adapters, beside serde's.
pub(crate) fn json(input: &[u8]) {
    let known = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(input).ok();
    let Some(object) = reader::Object::read(input) else {
        let is_plain = known.is_none_or(|map| depth(&serde_json::Value::Object(map)) > SHALLOW);
        assert!(is_plain, "JSON that cannot be read");
        return;
    };
    let is_json = serde_json::from_slice::<&RawValue>(input).is_ok();
    assert!(is_json, "read, but no JSON");
    for (name, value) in known.iter().flatten() {
        assert!(object.raw(name).is_some(), "{name} is lost");
        assert_eq!(object.text(name).as_deref(), value.as_str(), "{name}");
        assert_eq!(object.number(name).is_some(), value.is_number(), "{name}");
        let items = object.items(name).map(|items| items.len());
        assert_eq!(items, value.as_array().map(Vec::len), "{name}");
        assert_eq!(object.object(name).is_some(), value.is_object(), "{name}");
        let _ = object.objects(name);
    }
}

fn depth(value: &serde_json::Value) -> usize {
    let inner = match value {
        serde_json::Value::Array(values) => values.iter().map(depth).max(),
        serde_json::Value::Object(fields) => fields.values().map(depth).max(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => None,
    };
    inner.unwrap_or(0).saturating_add(1)
}

/// Dates: what is read is written so that it is read alike.
pub(crate) fn time(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(ms) = dates::parse_rfc3339(text) {
        let written = dates::format_rfc3339(ms);
        assert_eq!(dates::parse_rfc3339(&written), Some(ms), "{written}");
        let known =
            chrono::DateTime::parse_from_rfc3339(&written).map(|time| time.timestamp_millis());
        assert_eq!(
            known.ok().and_then(|ms| ms.try_into().ok()),
            Some(ms),
            "{written}"
        );
    }
    if let Some(ms) = dates::parse_rfc2822(text) {
        let written = dates::format_rfc2822(ms);
        assert_eq!(dates::parse_rfc2822(&written), Some(ms), "{written}");
    }
}

/// A secret, then a text that may hold it: afterwards it does not.
pub(crate) fn scrub(input: &[u8]) {
    let Some((secret, text)) = input.split_at_checked(SECRET_BYTES) else {
        return;
    };
    let Ok(secret) = std::str::from_utf8(secret) else {
        return;
    };
    // What stands in its place may not make it anew.
    if secret.contains(['[', ']']) {
        return;
    }
    let scrubber = scrubber::Scrubber::new([secret].into_iter());
    assert!(scrubber.longest() >= secret.len());
    let clean = scrubber.scrub(text);
    let clean = clean.as_deref().unwrap_or(text);
    assert!(
        !holds(clean, secret.as_bytes()),
        "the secret is still there"
    );
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        !holds(clean, hex.as_bytes()),
        "the secret is still there, in hex"
    );
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Everything that is needed to ask a server that answers with anything.
struct Exchange {
    runtime: Runtime,
    listener: TcpListener,
    egress: Egress,
}

static EXCHANGE: LazyLock<Result<Exchange, String>> =
    LazyLock::new(|| Exchange::prepare().map_err(|error| error.to_string()));

impl Exchange {
    fn prepare() -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let mut upstreams = Upstreams::default();
        upstreams.set(
            "api.example.com",
            &format!("http://{}", listener.local_addr()?),
        )?;
        let egress = {
            let _inside = runtime.enter();
            let config = EgressConfig {
                upstreams,
                // Each input gets a connection of its own.
                idle_per_origin: 0,
                idle_total: 0,
                ..EgressConfig::default()
            };
            Egress::new(config).map_err(|error: EgressError| error.to_string())?
        };
        Ok(Self {
            runtime,
            listener,
            egress,
        })
    }

    /// The server's part: reads the request's head, answers with `bytes`, and closes.
    async fn answer(&self, bytes: &[u8]) -> std::io::Result<()> {
        let (mut stream, _) = self.listener.accept().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        // The client may have seen enough before the end.
        stream.write_all(bytes).await?;
        stream.shutdown().await
    }
}

/// The head and body of an answer, over a real connection.
pub(crate) fn head(input: &[u8]) {
    let exchange = match &*EXCHANGE {
        Ok(exchange) => exchange,
        Err(error) => panic!("no exchange: {error}"),
    };
    let written = Written::default();
    let request = OutboundRequest {
        method: http::Method::GET,
        origin: Origin::https("api.example.com"),
        target: http::uri::PathAndQuery::from_static("/"),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        answer_bytes_max: ANSWER_BYTES_MAX,
        written: written.clone(),
    };
    let answered = exchange.runtime.block_on(async {
        let now = Instant::now();
        let deadline = now.checked_add(PATIENCE).unwrap_or(now);
        let (answered, _) = tokio::join!(
            exchange.egress.send(request, deadline),
            exchange.answer(input)
        );
        answered
    });
    assert!(written.any(), "the request was not written");
    match answered {
        Ok(answer) => {
            assert!(answer.status.as_u16() >= 200);
            let bytes = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
            assert!(bytes <= ANSWER_BYTES_MAX && answer.body.len() <= input.len());
        }
        Err(SendError::Unreachable(error)) => panic!("it was there: {error}"),
        Err(SendError::TimedOut { .. }) => panic!("waited for a closed connection"),
        Err(SendError::Interrupted { .. } | SendError::TooLarge { .. }) => {}
    }
}
