//! What a new version may change without calling itself incompatible.

use onerouter_manifest::Manifest;
use onerouter_registry::evolution::{Break, check};

use crate::support::{SMS, manifest_with};

fn exporting(version: &str, exports: &[&str], rest: &str) -> Manifest {
    let mut manifest = manifest_with("acme-texts", version, rest);
    manifest.exports = exports.iter().map(ToString::to_string).collect();
    manifest
}

fn breaks(old: &Manifest, new: &Manifest) -> Vec<Break> {
    check(old, new)
        .err()
        .map(|refused| refused.breaks)
        .unwrap_or_default()
}

const CANCEL: &str = "onerouter:sms/sms-cancel@1.0.0";
const PAYMENTS: &str = "onerouter:payments/payments@1.0.0";

#[test]
fn a_dropped_export_needs_a_major() {
    let old = exporting("1.2.0", &[SMS, CANCEL], "");
    assert_eq!(
        breaks(&old, &exporting("1.3.0", &[SMS], "")),
        [Break::Dropped("onerouter:sms/sms-cancel".to_owned())]
    );
    assert_eq!(breaks(&old, &exporting("2.0.0", &[SMS], "")), []);
    assert_eq!(breaks(&old, &exporting("2.0.0-rc.1", &[SMS], "")), []);
    assert_eq!(breaks(&old, &exporting("1.3.0-rc.1", &[SMS], "")).len(), 1);
}

#[test]
fn before_one_the_minor_is_the_major() {
    let old = exporting("0.2.0", &[SMS, CANCEL], "");
    assert_eq!(breaks(&old, &exporting("0.2.1", &[SMS], "")).len(), 1);
    assert_eq!(breaks(&old, &exporting("0.3.0", &[SMS], "")), []);
    let old = exporting("0.0.2", &[SMS, CANCEL], "");
    assert_eq!(breaks(&old, &exporting("0.0.3", &[SMS], "")), []);
}

#[test]
fn an_interface_may_go_forward_within_its_major_only() {
    let old = exporting("1.0.0", &["onerouter:sms/sms@1.1.0"], "");
    let to = |export: &str| breaks(&old, &exporting("1.0.1", &[export], "")).len();
    assert_eq!(to("onerouter:sms/sms@1.2.0"), 0);
    assert_eq!(to("onerouter:sms/sms@1.0.0"), 1);
    assert_eq!(to("onerouter:sms/sms@2.0.0"), 1);
}

#[test]
fn more_exports_are_no_break() {
    let old = exporting("1.0.0", &[SMS], "");
    assert_eq!(breaks(&old, &exporting("1.0.1", &[SMS, CANCEL], "")), []);
}

#[test]
fn fewer_currencies_are_a_break() {
    let with = |version: &str, currencies: &str| {
        exporting(
            version,
            &[PAYMENTS],
            &format!("[currencies]\npayments = [{currencies}]"),
        )
    };
    let old = with("1.0.0", "\"INR\", \"USD\"");
    assert_eq!(
        breaks(&old, &with("1.1.0", "\"USD\", \"EUR\"")),
        [Break::Currency {
            category: "payments".to_owned(),
            currency: "INR".to_owned()
        }]
    );
    assert_eq!(
        breaks(&old, &exporting("1.1.0", &[PAYMENTS], "")),
        [],
        "all are taken now"
    );
    let all = exporting("1.0.0", &[PAYMENTS], "");
    assert_eq!(breaks(&all, &with("1.1.0", "\"USD\"")).len(), 1);
}

#[test]
fn a_credential_that_nobody_was_asked_for_is_a_break() {
    let field = |name: &str, optional: bool| {
        format!(
            "[[credentials]]\nname = \"{name}\"\nlabel = \"Key\"\nkind = \"public\"\noptional = {optional}\n"
        )
    };
    let old = exporting("1.0.0", &[SMS], &field("account", true));
    let wanted = exporting("1.1.0", &[SMS], &field("account", false));
    assert_eq!(
        breaks(&old, &wanted),
        [Break::Credential("account".to_owned())]
    );
    let optional = exporting(
        "1.1.0",
        &[SMS],
        &(field("account", true) + &field("region", true)),
    );
    assert_eq!(breaks(&old, &optional), []);
    let gone = exporting("1.1.0", &[SMS], "");
    assert_eq!(breaks(&wanted, &gone), []);
}
