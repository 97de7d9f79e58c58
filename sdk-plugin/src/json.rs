//! JSON: answers are read field by field, bodies are written in order.
//!
//! A provider may add fields, or change the type of one that nobody here looks at; neither must
//! cost an answer that says "accepted". So nothing is read but what is asked for. Numbers stay text.
//!
//! Written by hand, as `serde_json` made up 35 KiB of a component, most of it for telling what is
//! wrong with a text. The tests hold it against `serde_json`.

mod reader;
mod writer;

pub use reader::Object;
pub use writer::{Writer, quote};
