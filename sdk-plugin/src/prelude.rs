//! What nearly every adapter uses: `use onerouter_plugin::prelude::*;`.
//!
//! Besides this crate's own there is what programs with the standard library have without asking.

pub use alloc::borrow::ToOwned;
pub use alloc::string::{String, ToString};
pub use alloc::vec;
pub use alloc::vec::Vec;

pub use crate::common::{CallError, Cost, Failure, FieldError};
pub use crate::failure::{self, failure, field_error};
pub use crate::http::{Answer, Request};
pub use crate::json::{Object, Writer};
pub use crate::refusal::{self, Ending, Refusal, lasting, passing};
pub use crate::url::Url;
pub use crate::{context, money, segments, time, webhook};
