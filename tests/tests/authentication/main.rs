//! Who may call, for whom, in which environment; and that tenants never meet.

mod keys;
mod operators;
mod walk;
