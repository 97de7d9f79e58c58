//! What strangers may do to the gateway with bytes alone: nonsense, slowness, size and number.

mod bodies;
mod crowds;
mod hostile;
mod mutated;
mod pipelined;
mod slow;
