//! Payments and what belongs to them, through the API, against the emulated providers: the calls are
//! the same but for the provider's name.

mod capture;
mod checkout;
mod keys;
mod links;
mod paying;
mod refunds;
mod rig;
mod subscriptions;
mod unattended;
mod wrong;
