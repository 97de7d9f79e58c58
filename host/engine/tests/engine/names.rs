//! Names that lead inside, or elsewhere each time they are asked for.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onerouter_egress::{Egress, EgressConfig, Resolve, Resolving};
use onerouter_engine::wit::sms::Message;
use onerouter_engine::{CallContext, CallReport, Engine, NotSent, Outcome};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::host::{config, connection, fixture, request};
use crate::packing::repacked;

/// Answers with these, one after another, and the last again and again.
#[derive(Debug)]
struct Answers {
    asked: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
}

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse =
            |addresses: &&[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self {
            asked: Mutex::default(),
            answers: Mutex::new(answers.iter().map(parse).collect()),
        })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Resolve for Answers {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers.front().cloned(),
            _ => answers.pop_front(),
        };
        Box::pin(async move { Ok(answer.unwrap_or_default()) })
    }
}

/// Public by every register, and nobody's: the network of an experiment that ended in 2006.
const NOBODY: &str = "3ffe::1";

/// Sends one message with the saboteur to a name with these answers. Servers stand at the forbidden
/// addresses, on the port that the manifest allows; the number says how many connections they saw.
async fn send(answers: &Arc<Answers>, text: &str) -> (CallReport<Message>, usize) {
    let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = v4.local_addr().unwrap().port();
    let v6 = TcpListener::bind(("::1", port)).await.ok();
    let component = repacked(&fixture("saboteur"), |manifest| {
        for rule in &mut manifest.outbound {
            rule.port = port;
        }
    });
    let egress = EgressConfig {
        connect_timeout: Duration::from_millis(200),
        ..EgressConfig::default()
    };
    let egress = Egress::with_resolver(egress, answers.clone()).unwrap();
    let engine = Engine::new(config(), Arc::new(egress)).unwrap();
    let adapter = engine.load(component).await.unwrap();
    let context = CallContext {
        connection: connection(),
        deadline: Instant::now() + Duration::from_secs(20),
    };
    let text = text.replace("PORT", &port.to_string());
    let report = adapter.sms_send(&context, &request(&text)).await;
    let mut seen = 0;
    for listener in [Some(v4), v6].into_iter().flatten() {
        let listener = listener.into_std().unwrap();
        while listener.accept().is_ok() {
            seen += 1;
        }
    }
    (report, seen)
}

fn post() -> String {
    let url = "https://api.saboteur.example:PORT/v1/messages";
    ["request ", "POST", "token", url, "json", "{}"].join("\u{1f}")
}

#[track_caller]
fn reason(report: &CallReport<Message>) -> String {
    assert!(
        report.ledger.iter().all(|entry| !entry.left),
        "{:?}",
        report.ledger
    );
    match &report.outcome {
        Outcome::NotSent(NotSent::Unreachable(Some(failure))) => failure.message.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_dialled() {
    let inside: [&[&str]; 26] = [
        &["127.0.0.1"],
        &["127.255.255.254"],
        &["0.0.0.0"],
        &["10.0.0.1"],
        &["172.16.0.1"],
        &["172.31.255.255"],
        &["192.168.0.1"],
        &["100.64.0.1"],
        &["169.254.169.254"],
        &["169.254.170.2"],
        &["100.100.100.200"],
        &["168.63.129.16"],
        &["192.0.0.192"],
        &["198.18.0.1"],
        &["224.0.0.1"],
        &["255.255.255.255"],
        &["::1"],
        &["::"],
        &["::ffff:127.0.0.1"],
        &["::127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["2002:7f00:1::1"],
        &["fd00:ec2::254"],
        &["fe80::1"],
        &["ff02::1"],
        &["127.0.0.1", "::1", "::ffff:10.0.0.1"],
    ];
    for addresses in inside {
        let answers = Answers::new(&[addresses]);
        let (report, seen) = send(&answers, &post()).await;
        assert_eq!(
            reason(&report),
            "the host's name resolves to no public address",
            "{addresses:?}"
        );
        assert_eq!((seen, answers.asked()), (0, 1), "{addresses:?}");
    }
}

/// Among public addresses a private one is passed over, wherever it stands.
#[tokio::test]
async fn a_private_address_among_public_ones_is_not_dialled() {
    for addresses in [
        ["127.0.0.1", NOBODY],
        [NOBODY, "127.0.0.1"],
        ["::1", NOBODY],
    ] {
        let answers = Answers::new(&[&addresses]);
        let (report, seen) = send(&answers, &post()).await;
        assert!(
            reason(&report).starts_with("no connection to the host"),
            "{report:?}"
        );
        assert_eq!((seen, answers.asked()), (0, 1), "{addresses:?}");
    }
}

/// The name is asked for once, and what was checked is what is dialled: a second answer would lead
/// inside. The next request asks again, and is checked again.
#[tokio::test]
async fn a_name_that_changes_between_check_and_dial_leads_nowhere() {
    let answers = Answers::new(&[&[NOBODY], &["127.0.0.1"]]);
    let (report, seen) = send(&answers, &post()).await;
    assert!(
        reason(&report).starts_with("no connection to the host"),
        "{report:?}"
    );
    assert_eq!((seen, answers.asked()), (0, 1));

    let (report, seen) = send(&answers, &post()).await;
    assert_eq!(
        reason(&report),
        "the host's name resolves to no public address"
    );
    assert_eq!((seen, answers.asked()), (0, 2));
}
