//! What the tests stand on: databases, a gateway with its sandbox, clients that read as
//! users, tables of cases, and what a refused create must look like.

pub mod acme;
pub mod component;
pub mod database;
pub mod edge;
pub mod harness;
pub mod languages;
pub mod node;
pub mod outbox;
pub mod pgbouncer;
pub mod raw;
pub mod receiver;
pub mod redis;
pub mod refused;
pub mod table;
pub mod transit;
pub mod wire;
pub mod write_path;
