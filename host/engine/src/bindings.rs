//! Glue generated from `wit/`. Everything that others may see is re-exported by [`crate::wit`].
#![allow(
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    reason = "generated code: which of these it trips depends on the generator's version"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "onerouter:adapter/everything",
    imports: {
        "onerouter:outbound/http.send": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    additional_derives: [PartialEq],
});
