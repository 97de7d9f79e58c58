//! One adapter call by itself: the bundled adapters, a provider that answers at once and without a
//! network, one thread, hot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use onerouter_domain::environment::Environment;
use onerouter_egress::{Answer, Egress, EgressConfig};
use onerouter_engine::measure::{Enabled, Reused};
use onerouter_engine::wit::{email, sms};
use onerouter_engine::{
    Adapter, CallContext, ConnectionContext, Credentials, Engine, EngineConfig, MacKey, Outcome,
};
use onerouter_tests::harness::built;
use zeroize::Zeroizing;

use crate::native::Mapping;
use crate::numbers::{Samples, Table, percentile};
use crate::provider;

/// An instance's allocator frees nothing; after so many calls it would reach its limit.
const CALLS_OF_AN_INSTANCE: usize = 250;

/// How a call is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Fresh(Enabled),
    Reused,
    Native,
}

impl Way {
    const ALL: [Self; 4] = [
        Self::Fresh(Enabled::Auto),
        Self::Fresh(Enabled::No),
        Self::Reused,
        Self::Native,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fresh(Enabled::No) => "fresh instance, as on a kernel without `PAGEMAP_SCAN`",
            Self::Fresh(_) => "fresh instance, `PAGEMAP_SCAN` where the kernel has it (6.7)",
            Self::Reused => "one instance again and again",
            Self::Native => "the same mapping in native code, no sandbox",
        }
    }
}

/// An adapter and the message that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Text,
    Email,
}

impl Subject {
    const fn plugin(self) -> &'static str {
        match self {
            Self::Text => "twilio",
            Self::Email => "resend",
        }
    }
}

/// An engine with one adapter, ready for calls.
struct Bench {
    subject: Subject,
    way: Way,
    adapter: Arc<Adapter>,
    context: CallContext,
    p50_us: Samples,
    p99_us: Samples,
}

pub(crate) fn measure(rounds: usize, calls: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut benches = Vec::new();
        for subject in [Subject::Text, Subject::Email] {
            for way in Way::ALL {
                benches.push(Bench::new(subject, way).await);
            }
            agree(&benches[benches.len() - Way::ALL.len()..]).await;
        }
        for round in 0..=rounds {
            for bench in &mut benches {
                let mut times = bench.run(calls).await;
                times.sort_by(f64::total_cmp);
                // The first round warms up.
                if round > 0 {
                    bench.p50_us.add(percentile(&times, 0.5));
                    bench.p99_us.add(percentile(&times, 0.99));
                }
            }
        }
        let mut table = Table::new(&["adapter", "served by", "p50, µs (range)", "p99, µs (range)"]);
        for bench in &benches {
            table.row(&[
                format!("`{}` send", bench.subject.plugin()),
                bench.way.name().to_owned(),
                bench.p50_us.show(1),
                bench.p99_us.show(1),
            ]);
        }
        table.print(&format!(
            "One adapter call, provider answers at once without a network, {rounds} rounds of {calls} calls"
        ));
    });
}

/// All ways must say the same, or the comparison is none.
async fn agree(benches: &[Bench]) {
    let mut said = Vec::new();
    for bench in benches {
        said.push(bench.one().await);
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:#?}");
}

impl Bench {
    async fn new(subject: Subject, way: Way) -> Self {
        let egress = Arc::new(Egress::new(EgressConfig::default()).unwrap());
        let mut config = EngineConfig::new(MacKey::new([7; 32]));
        if let Way::Fresh(pagemap_scan) = way {
            config.pagemap_scan = pagemap_scan;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-code");
        config.cache_dir = Some(folder);
        let engine = Engine::new(config, egress).unwrap();
        let body = Bytes::from(match subject {
            Subject::Text => provider::message(1),
            Subject::Email => r#"{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}"#.to_owned(),
        });
        engine.answer_at_once(move |_request| Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.clone(),
        });
        let file = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
        let file = file.join(format!("{}.wasm", subject.plugin()));
        let component = std::fs::read(&file).unwrap();
        let adapter = engine.load(component.into()).await.unwrap();
        if way == Way::Native {
            adapter.answer_natively(Mapping);
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3_600);
        Self {
            subject,
            way,
            adapter,
            context: CallContext {
                connection: connection(subject),
                deadline,
            },
            p50_us: Samples::default(),
            p99_us: Samples::default(),
        }
    }

    /// One call, and what came of it.
    async fn one(&self) -> String {
        match (self.subject, self.way) {
            (Subject::Text, Way::Reused) => {
                let mut reused = Reused::new(&self.adapter, &self.context).await.unwrap();
                format!("{:?}", reused.sms_send(&text()).await.unwrap().unwrap())
            }
            (Subject::Email, Way::Reused) => {
                let mut reused = Reused::new(&self.adapter, &self.context).await.unwrap();
                format!("{:?}", reused.email_send(&mail()).await.unwrap().unwrap())
            }
            (Subject::Text, _) => accepted(self.adapter.sms_send(&self.context, &text()).await),
            (Subject::Email, _) => accepted(self.adapter.email_send(&self.context, &mail()).await),
        }
    }

    /// Times in µs.
    async fn run(&self, calls: usize) -> Vec<f64> {
        let (text, mail) = (text(), mail());
        let mut times = Vec::with_capacity(calls);
        let mut reused = None;
        for number in 0..calls {
            if self.way == Way::Reused && number % CALLS_OF_AN_INSTANCE == 0 {
                let mut instance = Reused::new(&self.adapter, &self.context).await.unwrap();
                // The first call of an instance is the one that a fresh one has.
                self.again(&mut instance, &text, &mail).await;
                reused = Some(instance);
            }
            let began = Instant::now();
            match (self.subject, &mut reused) {
                (_, Some(instance)) => self.again(instance, &text, &mail).await,
                (Subject::Text, None) => {
                    let report = self.adapter.sms_send(&self.context, &text).await;
                    assert!(matches!(report.outcome, Outcome::Accepted(_)));
                }
                (Subject::Email, None) => {
                    let report = self.adapter.email_send(&self.context, &mail).await;
                    assert!(matches!(report.outcome, Outcome::Accepted(_)));
                }
            }
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        times
    }

    async fn again(
        &self,
        instance: &mut Reused,
        text: &sms::SendRequest,
        mail: &email::SendRequest,
    ) {
        match self.subject {
            Subject::Text => assert!(instance.sms_send(text).await.unwrap().is_ok()),
            Subject::Email => assert!(instance.email_send(mail).await.unwrap().is_ok()),
        }
    }
}

fn accepted<T: std::fmt::Debug>(report: onerouter_engine::CallReport<T>) -> String {
    match report.outcome {
        Outcome::Accepted(message) => format!("{message:?}"),
        other => panic!("{other:?}: {:?}", report.logs),
    }
}

fn connection(subject: Subject) -> Arc<ConnectionContext> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (public, secret, setting) = match subject {
        Subject::Text => (
            BTreeMap::from([pair("account_sid", provider::ACCOUNT)]),
            pair("auth_token", provider::TOKEN),
            pair("from_number", provider::SENDER),
        ),
        Subject::Email => (
            BTreeMap::new(),
            pair("api_key", "re_benchmark_0123456789"),
            pair("from_email", "Acme <hello@example.com>"),
        ),
    };
    let secret = BTreeMap::from([(secret.0, Zeroizing::new(secret.1))]);
    Arc::new(ConnectionContext {
        environment: Environment::Test,
        credentials: Credentials::new(public, secret).unwrap(),
        settings: BTreeMap::from([setting]),
        recorder: None,
    })
}

pub(crate) fn text() -> sms::SendRequest {
    sms::SendRequest {
        object_id: "sms_0000000000000000000000000000".to_owned(),
        attempt_id: "att_0000000000000000000000000000".to_owned(),
        idempotency_key: "sms_0000000000000000000000000000:send".to_owned(),
        to: "+14155550123".to_owned(),
        sender: None,
        body: "Your code is 123456.".to_owned(),
        media_urls: Vec::new(),
        send_at: None,
        extra: Vec::new(),
    }
}

fn mail() -> email::SendRequest {
    email::SendRequest {
        object_id: "em_0000000000000000000000000000".to_owned(),
        attempt_id: "att_0000000000000000000000000000".to_owned(),
        idempotency_key: "em_0000000000000000000000000000:send".to_owned(),
        sender: None,
        to: vec!["ann@example.com".to_owned()],
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: Vec::new(),
        subject: "Your receipt".to_owned(),
        html: Some("<p>Thank you for your order.</p>".to_owned()),
        text: Some("Thank you for your order.".to_owned()),
        attachments: Vec::new(),
        headers: Vec::new(),
        tags: Vec::new(),
        send_at: None,
        extra: Vec::new(),
    }
}
