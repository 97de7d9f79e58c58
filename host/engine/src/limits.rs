//! What one call may use of the machine.

use std::sync::Arc;
use std::time::Duration;

use onerouter_manifest::Limits;
use wasmtime::ResourceLimiter;

use crate::config::TICK;
use crate::record::CallRecord;

/// Core instances in one component; a plain Rust adapter has four.
pub(crate) const CORE_INSTANCES_MAX: u32 = 16;

/// Linear memories in one component. One is usual; a composed component has one per part.
pub(crate) const MEMORIES_MAX: u32 = 2;

/// Tables in one component; a plain Rust adapter has two.
pub(crate) const TABLES_MAX: u32 = 4;

/// Elements of one table.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Bytes of one linear memory: the most that a manifest may ask for.
pub(crate) const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Bytes that a guest may hand to the host in one call of a function: a body, and room for the
/// rest of the request.
pub(crate) const HOSTCALL_BYTES_MAX: usize = crate::outbound::BODY_BYTES_MAX + (1 << 20);

/// Handles that a guest may hold. Those of the host are the standard streams and what is waited
/// for.
pub(crate) const HANDLES_MAX: usize = 256;

/// Ticks in a CPU budget, rounded up.
pub(crate) fn ticks(limits: &Limits) -> u32 {
    let tick = u64::try_from(TICK.as_millis()).unwrap_or(u64::MAX);
    u32::try_from(limits.cpu_ms.div_ceil(tick)).unwrap_or(u32::MAX)
}

pub(crate) fn wall(limits: &Limits) -> Duration {
    Duration::from_millis(limits.wall_ms)
}

/// Counts memory over all linear memories of a call: wasmtime's own limits hold for each alone.
#[derive(Debug)]
pub(crate) struct Memory {
    used: usize,
    limit: usize,
    table_elements: usize,
    record: Arc<CallRecord>,
}

impl Memory {
    pub(crate) fn new(limits: &Limits, record: Arc<CallRecord>) -> Self {
        Self {
            used: 0,
            limit: usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX),
            table_elements: 0,
            record,
        }
    }

    /// A guest's allocator turns a refusal into a trap that does not name its cause.
    fn refuse(&self) -> wasmtime::Result<bool> {
        self.record.refuse_memory();
        Ok(false)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            return self.refuse();
        }
        self.used = used;
        self.record
            .note_memory(u64::try_from(used).unwrap_or(u64::MAX));
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        let most = TABLE_ELEMENTS_MAX.saturating_mul(TABLES_MAX as usize);
        let too_many = elements > most || desired > TABLE_ELEMENTS_MAX;
        if too_many || maximum.is_some_and(|maximum| desired > maximum) {
            return self.refuse();
        }
        self.table_elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onerouter_manifest::Limits;
    use wasmtime::ResourceLimiter as _;

    use super::{Memory, ticks};
    use crate::record::CallRecord;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let record = Arc::new(CallRecord::new(0));
        let limits = Limits {
            memory_bytes: 100,
            ..Limits::default()
        };
        let mut memory = Memory::new(&limits, Arc::clone(&record));
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.memory_growing(0, 30, None).unwrap());
        assert!(!record.memory_was_refused());
        assert!(!memory.memory_growing(60, 80, None).unwrap());
        assert!(record.memory_was_refused());
        assert!(memory.memory_growing(30, 40, None).unwrap());
        assert_eq!(record.memory_peak(), 100);
    }

    #[test]
    fn a_cpu_budget_is_rounded_up_to_ticks() {
        for (cpu_ms, expected) in [(1, 1), (5, 1), (6, 2), (200, 40)] {
            let limits = Limits {
                cpu_ms,
                ..Limits::default()
            };
            assert_eq!(ticks(&limits), expected);
        }
    }
}
