//! The real imports and exports of a component, read from its bytes without compiling it.

use wasmparser::{Encoding, Parser, Payload};

use crate::capability::Capability;

/// WASI interfaces that a Rust guest's standard library pulls in. They are linked to nothing: no
/// environment, no files, no sockets, no streams but the log.
const WASI_ALLOWED: [&str; 15] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/monotonic-clock",
    "wasi:random/insecure-seed",
];

const HOST_ALLOWED: [&str; 15] = [
    "onerouter:types/common",
    "onerouter:outbound/http",
    "onerouter:host/context",
    "onerouter:host/log",
    "onerouter:host/signature",
    "onerouter:payments/types",
    // A world that exports an interface imports the types that it uses from its neighbours.
    "onerouter:sms/sms",
    "onerouter:email/email",
    "onerouter:account/account-check",
    "onerouter:sms/sms-lookup",
    "onerouter:payments/payments",
    "onerouter:payments/refunds",
    "onerouter:payments/plans",
    "onerouter:payments/subscriptions",
    "onerouter:payments/payment-links",
];

/// Exports that a compiler leaves behind and that are no capability. The host calls what it knows and
/// nothing else, so nobody ever calls these: `exports` is where componentize-py sets its interpreter up,
/// while it builds.
const LEFT_BEHIND: [&str; 1] = ["exports"];

/// What a component imports and exports, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// Imported instances, with versions.
    pub imports: Vec<String>,
    /// Exported instances, with versions, without what a compiler has left behind.
    pub exports: Vec<String>,
}

/// Why a component's surface is not acceptable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SurfaceError {
    /// Not a WebAssembly file, or a damaged one.
    #[error("the file is not a valid WebAssembly component: {0}")]
    Malformed(String),
    /// A core module.
    #[error(
        "the file is a core WebAssembly module, not a component; build for the target wasm32-wasip2"
    )]
    CoreModule,
    /// It wants something that the host does not give.
    #[error(
        "the component imports {0}, which the host does not offer; an adapter may use onerouter:outbound, onerouter:host and the inert parts of wasi:cli and wasi:io"
    )]
    Import(String),
    /// It offers something that the host does not know.
    #[error("the component exports {0}, which is no capability of this host")]
    Export(String),
    /// It can do nothing.
    #[error(
        "the component exports no capability; export one or more of the interfaces of the onerouter WIT packages"
    )]
    Nothing,
    /// A capability without the one it stands on.
    #[error("the component exports {0} without {1}")]
    Incomplete(Capability, Capability),
}

impl Surface {
    /// Reads the top level of a component.
    ///
    /// # Errors
    /// The file is no component, or is damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, SurfaceError> {
        let mut surface = Self {
            imports: Vec::new(),
            exports: Vec::new(),
        };
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } if depth == 0 => {
                    return Err(SurfaceError::CoreModule);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    depth = depth.saturating_add(1);
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        surface
                            .imports
                            .push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let name = export.map_err(malformed)?.name.name;
                        if !LEFT_BEHIND.contains(&name) {
                            surface.exports.push(name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        surface.imports.sort_unstable();
        surface.exports.sort_unstable();
        Ok(surface)
    }

    /// What the exports say the adapter can do.
    ///
    /// # Errors
    /// An import that the host does not offer, an export that it does not know, no capability at
    /// all, or one without the one it stands on.
    pub fn capabilities(&self) -> Result<Vec<Capability>, SurfaceError> {
        for import in &self.imports {
            let interface = import.split('@').next().unwrap_or_default();
            if !WASI_ALLOWED.contains(&interface) && !HOST_ALLOWED.contains(&interface) {
                return Err(SurfaceError::Import(import.clone()));
            }
        }
        let mut capabilities = Vec::with_capacity(self.exports.len());
        for export in &self.exports {
            let capability = Capability::from_export(export)
                .ok_or_else(|| SurfaceError::Export(export.clone()))?;
            capabilities.push(capability);
        }
        if capabilities.is_empty() {
            return Err(SurfaceError::Nothing);
        }
        for capability in &capabilities {
            if let Some(base) = capability.requires()
                && !capabilities.contains(&base)
            {
                return Err(SurfaceError::Incomplete(*capability, base));
            }
        }
        capabilities.sort_unstable();
        Ok(capabilities)
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> SurfaceError {
    SurfaceError::Malformed(error.to_string())
}
