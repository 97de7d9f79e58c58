//! The short form of `onerouter_plugin::adapter!`: a world written from the names of capabilities.
//!
//! The world's text has to be one literal, which no `macro_rules!` can put together.

#![warn(missing_docs)]

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// What an adapter can export: the name in Rust, package and interface.
const CAPABILITIES: [(&str, &str, &str); 19] = [
    ("account_check", "account", "account-check"),
    ("sms", "sms", "sms"),
    ("sms_cancel", "sms", "sms-cancel"),
    ("sms_lookup", "sms", "sms-lookup"),
    ("email", "email", "email"),
    ("email_cancel", "email", "email-cancel"),
    ("email_batch", "email", "email-batch"),
    ("payments", "payments", "payments"),
    ("payment_lookup", "payments", "payment-lookup"),
    ("checkout", "payments", "checkout"),
    ("refunds", "payments", "refunds"),
    ("refund_lookup", "payments", "refund-lookup"),
    ("plans", "payments", "plans"),
    ("plan_lookup", "payments", "plan-lookup"),
    ("subscriptions", "payments", "subscriptions"),
    ("subscription_lookup", "payments", "subscription-lookup"),
    ("payment_links", "payments", "payment-links"),
    ("payment_link_lookup", "payments", "payment-link-lookup"),
    ("webhooks", "webhooks", "webhooks"),
];

/// The WIT packages that came with this version of the SDK.
const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");

/// `Adapter: sms, webhooks` becomes the module `bindings`. Called by `onerouter_plugin::adapter!`.
#[proc_macro]
pub fn bindings(input: TokenStream) -> TokenStream {
    let source = match names(input) {
        Some((adapter, capabilities)) => module(&adapter, &capabilities),
        None => Err("write a type and what it can do: `Adapter: sms, webhooks`".to_owned()),
    };
    let source = source.unwrap_or_else(|reason| format!("::core::compile_error!({reason:?});"));
    // Text of ours, and names that were names before: it cannot fail. If it did, the compiler would
    // miss `bindings`.
    source.parse().unwrap_or_default()
}

/// The type's name, and those of the capabilities.
fn names(input: TokenStream) -> Option<(String, Vec<String>)> {
    let mut tokens = input.into_iter().flat_map(opened);
    let adapter = word(tokens.next()?)?;
    let colon = tokens.next()?;
    if !matches!(colon, TokenTree::Punct(colon) if colon.as_char() == ':') {
        return None;
    }
    let mut capabilities = Vec::new();
    while let Some(token) = tokens.next() {
        capabilities.push(word(token)?);
        match tokens.next() {
            Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => {}
            None => break,
            Some(_) => return None,
        }
    }
    Some((adapter, capabilities))
}

/// What came through another macro may be wrapped in a group that nobody sees.
fn opened(token: TokenTree) -> Vec<TokenTree> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            group.stream().into_iter().collect()
        }
        token => vec![token],
    }
}

fn word(token: TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    }
}

/// The module, as source text.
fn module(adapter: &str, capabilities: &[String]) -> Result<String, String> {
    let mut exports = String::new();
    let mut uses = String::new();
    for capability in capabilities {
        let known = CAPABILITIES.iter().find(|(name, ..)| name == capability);
        let Some((name, package, interface)) = known else {
            let all: Vec<_> = CAPABILITIES.iter().map(|(name, ..)| *name).collect();
            return Err(format!(
                "`{capability}` is no capability; there are {}",
                all.join(", ")
            ));
        };
        exports.push_str(&format!("export onerouter:{package}/{interface}@1.0.0;\n"));
        uses.push_str(&format!(
            "pub(crate) use exports::onerouter::{package}::{name};\n"
        ));
    }
    let world = format!(
        "package plugin:adapter;\nworld adapter {{\ninclude onerouter:adapter/host@1.0.0;\n{exports}}}"
    );
    Ok(format!(
        "pub(crate) mod bindings {{
            use super::{adapter};
            ::onerouter_plugin::adapter! {{ wit: {WIT:?}, world: {world:?} }}
            {uses}
            export!({adapter} with_types_in self);
        }}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_export_of_the_contract_has_a_name() {
        let worlds = std::fs::read_to_string(format!("{WIT}/adapter.wit")).unwrap();
        let in_contract: Vec<&str> = worlds
            .lines()
            .filter(|line| !line.starts_with("///"))
            .filter_map(|line| line.trim().strip_prefix("export "))
            .collect();
        let here: Vec<_> = CAPABILITIES
            .iter()
            .map(|(name, package, interface)| {
                assert_eq!(interface.replace('-', "_"), *name);
                format!("onerouter:{package}/{interface}@1.0.0;")
            })
            .collect();
        assert_eq!(here, in_contract);
    }

    #[test]
    fn what_is_no_capability_is_named_with_those_that_are() {
        let refused = module("Adapter", &["sms".to_owned(), "fax".to_owned()]).unwrap_err();
        assert!(refused.contains("`fax`"), "{refused}");
        assert!(refused.contains("sms_cancel, sms_lookup"), "{refused}");
    }
}
