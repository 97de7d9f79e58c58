//! What this program can be besides the benchmark: started by itself, as a process whose CPU time is
//! then its own.

pub(crate) mod gateway;
pub(crate) mod pass_through;
