//! How much of one request was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of one request that were handed to the network: to the socket, or to TLS after
/// the handshake, which may pass them on at any moment.
///
/// All clones show the same count. It is exact as soon as the future of [`crate::Egress::send`]
/// has ended or was dropped, because the connection is driven by that future alone.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<AtomicU64>);

impl Written {
    /// Bytes that were written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether the first byte was written: from then on the provider may have acted.
    #[must_use]
    pub fn any(&self) -> bool {
        self.bytes() > 0
    }

    pub(crate) fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }
}
