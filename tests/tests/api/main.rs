//! The rules that every request and every answer keeps.

mod bodies;
mod events;
mod lists;
mod objects;
mod problems;
mod rates;
mod reach;
mod requests;
mod webhooks;
