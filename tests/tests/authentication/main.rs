//! Who may call, for whom, in which environment; and that tenants never meet.

mod addresses;
mod audit;
mod deletion;
mod keys;
mod operators;
mod walk;
