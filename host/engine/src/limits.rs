//! What one call may use of the machine.

use std::sync::Arc;
use std::time::Duration;

use onerouter_manifest::Limits;
use wasmtime::ResourceLimiter;

use crate::config::TICK;
use crate::record::CallRecord;

/// What one component may take of the machine at most, whatever its manifest says.
#[derive(Debug)]
pub(crate) struct Room {
    /// For people.
    pub(crate) name: &'static str,
    /// Core instances in one component.
    pub(crate) core_instances: u32,
    /// What wasmtime itself keeps of an instance, all core instances together.
    pub(crate) instance_bytes: usize,
    /// Bytes of one linear memory.
    pub(crate) memory_bytes: usize,
    /// How deep compiled code may call itself.
    pub(crate) stack_bytes: usize,
}

/// For an adapter that is a translator and little else: a plain one in Rust has four core instances.
pub(crate) const SMALL: Room = Room {
    name: "small",
    core_instances: 16,
    instance_bytes: 1 << 20,
    memory_bytes: 64 << 20,
    stack_bytes: 512 << 10,
};

/// For one that brings an interpreter along. CPython comes as some forty core instances, more with
/// libraries, of which wasmtime keeps a MiB and more; interpreters call themselves deeply.
pub(crate) const WIDE: Room = Room {
    name: "wide",
    core_instances: 256,
    instance_bytes: 8 << 20,
    memory_bytes: 256 << 20,
    stack_bytes: 1 << 20,
};

/// A larger component is wide, whatever else it asks for: its instances touch memory in proportion,
/// and of the small ones there may be a thousand at once.
pub(crate) const SMALL_COMPONENT_BYTES: usize = 4 << 20;

/// Linear memories in one component. One is usual; a composed component has one per part.
pub(crate) const MEMORIES_MAX: u32 = 2;

/// Tables in one component; a plain Rust adapter has two.
pub(crate) const TABLES_MAX: u32 = 4;

/// Elements of one table.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;

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
    core_instances: usize,
    record: Arc<CallRecord>,
}

impl Memory {
    pub(crate) fn new(limits: &Limits, room: &Room, record: Arc<CallRecord>) -> Self {
        Self {
            used: 0,
            limit: usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX),
            table_elements: 0,
            core_instances: usize::try_from(room.core_instances).unwrap_or(usize::MAX),
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
        self.core_instances
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

    use super::{Memory, SMALL, ticks};
    use crate::record::CallRecord;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let record = Arc::new(CallRecord::new(0));
        let limits = Limits {
            memory_bytes: 100,
            ..Limits::default()
        };
        let mut memory = Memory::new(&limits, &SMALL, Arc::clone(&record));
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
