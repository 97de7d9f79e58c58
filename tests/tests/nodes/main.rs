//! Several gateways, processes of their own, on one database, and the command line beside them.

mod away;
mod changes;
mod cluster;
mod deliveries;
mod hashicorp;
mod house;
mod limits;
mod pooler;
mod restart;
mod rotation;
mod skew;
