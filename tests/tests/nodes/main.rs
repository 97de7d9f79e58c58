//! Several gateways, processes of their own, on one PostgreSQL.

mod away;
mod changes;
mod cluster;
mod house;
mod limits;
mod pooler;
mod restart;
mod rotation;
mod skew;
