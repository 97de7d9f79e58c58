//! What holds when the database goes away at a bad moment, or two transactions meet at one: the
//! gateway reaches PostgreSQL by a wire that the tests cut and hold.

mod claims;
mod failover;
mod keys;
mod order;
mod pool;
mod settling;
