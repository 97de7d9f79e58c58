//! Credentials, looked for wherever they could have gone.
//!
//! Canaries are planted as credentials of every kind. A provider repeats them in every way it can
//! think of, to an adapter that keeps and passes on whatever it hears. Afterwards everything that
//! the gateway wrote, answered, stored or let the adapter see is searched.

mod canaries;
mod core_dumps;
mod disguises;
mod echo;
mod encodings;
mod gateway;
mod reflections;
mod rows;
mod search;
mod tricks;
