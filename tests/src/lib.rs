//! What the tests stand on: databases, a gateway with its sandbox, and clients that read as users.

pub mod database;
pub mod harness;
