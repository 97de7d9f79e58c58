//! Glue generated from the WIT packages: the host's side of the contract.

#![expect(
    missing_docs,
    reason = "generated; what needs words has them in the WIT files"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "onerouter:adapter/host@1.0.0",
    generate_all,
});

/// Binds a type to the capabilities that it has.
///
/// In its short form it makes the module `bindings`, with one module for each capability; the type
/// implements the trait `Guest` of each. The names are those of the interfaces, with underscores:
/// `account_check`, `sms`, `sms_cancel`, `email`, `payments`, `refunds`, `webhooks` and so on.
///
/// ```text
/// use bindings::{account_check, sms};
///
/// onerouter_plugin::adapter!(Adapter: account_check, sms);
///
/// struct Adapter;
///
/// impl sms::Guest for Adapter { … }
/// impl account_check::Guest for Adapter { … }
/// ```
///
/// The long form is for a world of one's own. It stands in a module, and leaves the macro `export!` that
/// binds the traits in `exports` to the type. `wit` is the folder with the WIT packages, relative to the
/// plugin's `Cargo.toml`; `world` is a package with one world that includes `onerouter:adapter/host`.
///
/// ```text
/// mod bindings {
///     use super::Adapter;
///
///     onerouter_plugin::adapter! {
///         wit: "wit",
///         world: "
///             package acme:texts;
///             world texts {
///                 include onerouter:adapter/host@1.0.0;
///                 export onerouter:sms/sms@1.0.0;
///             }
///         ",
///     }
///     export!(Adapter with_types_in self);
/// }
/// ```
#[macro_export]
macro_rules! adapter {
    (wit: $wit:literal, world: $world:literal $(,)?) => {
        $crate::wit_bindgen::generate!({
            path: $wit,
            inline: $world,
            runtime_path: "::onerouter_plugin::wit_bindgen::rt",
            with: {
                "onerouter:types/common@1.0.0": ::onerouter_plugin::common,
                "onerouter:outbound/http@1.0.0": ::onerouter_plugin::outbound,
                "onerouter:host/context@1.0.0": ::onerouter_plugin::context,
                "onerouter:host/log@1.0.0": ::onerouter_plugin::log,
                "onerouter:host/signature@1.0.0": ::onerouter_plugin::signature,
                "onerouter:payments/types@1.0.0": ::onerouter_plugin::payments,
            },
        });
    };
    ($adapter:ident: $($capability:ident),+ $(,)?) => {
        $crate::macros::bindings! { $adapter: $($capability),+ }
    };
}
