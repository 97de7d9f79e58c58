//! What a request's fields, query parameters and headers may be: each rule, and that every broken
//! one is named, in its place, at once.

mod cases;
mod connect;
mod email;
mod keys;
mod parameters;
mod sms;
mod webhooks;
