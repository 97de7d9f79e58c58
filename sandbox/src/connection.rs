//! What a gateway needs to connect to an emulated provider.

use std::collections::BTreeMap;

/// Credentials and settings that work against the sandbox, and a first request to try them with.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxConnection {
    /// The category: `sms`, `email`.
    pub service: &'static str,
    pub provider: &'static str,
    pub environment: &'static str,
    /// By the field names of the adapter's manifest.
    pub credentials: BTreeMap<&'static str, String>,
    pub settings: BTreeMap<&'static str, String>,
    /// Path of a first request to OneRouter (not to the provider), a POST.
    pub example_path: &'static str,
    pub example_body: serde_json::Value,
}
