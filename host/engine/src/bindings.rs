//! Glue generated from `wit/`. Everything that others may see is re-exported by [`crate::wit`].

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "onerouter:adapter/everything",
    imports: {
        "onerouter:outbound/http.send": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});
