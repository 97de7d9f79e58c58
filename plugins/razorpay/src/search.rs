//! Objects found again by our id in their notes, for what has no key of ours otherwise.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::json::Object;
use onerouter_plugin::payments::Window;
use onerouter_plugin::url::Url;

use crate::{api, notes};

const PAGE: usize = 100;
/// Less than the requests that the manifest asks for.
const PAGES_MAX: usize = 6;

/// What `read` makes of every object in the list at `url` that was made in the window under our id.
///
/// # Errors
/// Where a page cannot be read, and where there are more pages than may be asked for: "not found" would
/// be a lie then.
pub(crate) fn by_notes<T>(
    url: &Url,
    window: &Window,
    object_id: &str,
    read: impl Fn(&Object<'_>) -> Option<T>,
) -> Result<Vec<T>, CallError> {
    let from = (window.after / 1_000).to_string();
    let to = window.before.div_ceil(1_000).to_string();
    let mut found = Vec::new();
    for page in 0..PAGES_MAX {
        let page_url = url
            .clone()
            .query("from", &from)
            .query("to", &to)
            .query("count", &PAGE.to_string())
            .query("skip", &page.saturating_mul(PAGE).to_string());
        let answer = api::read(page_url)?;
        let unreadable = || failure::unreadable_after_read(answer.status);
        let object = answer.object().ok_or_else(unreadable)?;
        let items = object.objects("items").ok_or_else(unreadable)?;
        for item in items.iter().filter(|item| notes::are_of(item, object_id)) {
            found.push(read(item).ok_or_else(unreadable)?);
        }
        if items.len() < PAGE {
            return Ok(found);
        }
    }
    Err(CallError::NotSent(failure(
        "unexpected_answer",
        "More was made in this time than can be looked through.",
    )))
}
