//! Rules that count for connections of one environment only.

use std::collections::BTreeMap;
use std::sync::Arc;

use onerouter_domain::environment::Environment;
use onerouter_engine::{ConnectionContext, Credentials, Denial, NotSent, Outcome};
use onerouter_manifest::ConnectionEnvironment;
use zeroize::Zeroizing;

use crate::host::{Host, TOKEN, config, fixture};
use crate::packing::repacked;
use crate::provider::Reply;

fn connection(environment: Environment) -> Arc<ConnectionContext> {
    let token = Zeroizing::new(TOKEN.to_owned());
    let secret = BTreeMap::from([("token".to_owned(), token)]);
    Arc::new(ConnectionContext {
        environment,
        credentials: Credentials::new(BTreeMap::new(), secret).unwrap(),
        settings: BTreeMap::new(),
        recorder: None,
    })
}

/// A credential of one environment never goes to the host of the other.
#[tokio::test]
async fn a_rule_of_another_environment_lets_nothing_out() {
    for (allowed, environment, leaves) in [
        (&[][..], Environment::Test, true),
        (&[], Environment::Live, true),
        (&[ConnectionEnvironment::Test], Environment::Test, true),
        (&[ConnectionEnvironment::Test], Environment::Live, false),
        (&[ConnectionEnvironment::Live], Environment::Test, false),
        (&[ConnectionEnvironment::Live], Environment::Live, true),
        (
            &[ConnectionEnvironment::Test, ConnectionEnvironment::Live],
            Environment::Live,
            true,
        ),
    ] {
        let component = repacked(&fixture("saboteur"), |manifest| {
            for rule in &mut manifest.outbound {
                rule.environments = allowed.to_vec();
            }
        });
        let mut host = Host::loading(config(), component, |_| Reply::created()).await;
        host.connection = connection(environment);
        let report = host.send("hello").await;
        if leaves {
            assert!(matches!(report.outcome, Outcome::Accepted(_)), "{report:?}");
            host.provider.only();
        } else {
            let refused = format!("a request was refused: {}", Denial::RuleEnvironment);
            assert_eq!(report.logs[0].message, refused);
            assert!(
                matches!(report.outcome, Outcome::NotSent(NotSent::Fault(_))),
                "{report:?}"
            );
            assert!(report.ledger.is_empty());
            assert_eq!(host.provider.connections(), 0);
        }
    }
}
