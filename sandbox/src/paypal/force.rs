//! What the control API sets: the end of a pending authorization, capture or refund.

use serde::Deserialize;
use serde_json::Value;

use super::{
    books::Books,
    course::{AuthorizationStatus, CaptureStatus, RefundStatus},
    desk::Desk,
    happened::Entry,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    status: String,
    /// Why a capture is pending.
    #[serde(default)]
    reason: String,
}

/// `None`: nothing of that id here.
pub(super) fn force(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    change: &Value,
) -> Option<Result<Value, String>> {
    let change: Result<Change, String> =
        serde_json::from_value(change.clone()).map_err(|error| error.to_string());
    let unknown = |status: &str| format!("{status} is no status that can be set");
    if let Some(capture) = books.captures.find_mut(id) {
        let set = change.and_then(|change| {
            let status = CaptureStatus::of_name(&change.status);
            capture.status = status.ok_or_else(|| unknown(&change.status))?;
            capture.reason = capture.status.reason(&change.reason);
            capture.updated_at = desk.now;
            capture.tell(desk, Entry::Later);
            Ok(())
        });
        let capture = books.captures.find(id)?;
        return Some(set.map(|()| capture.view(books)));
    }
    if let Some(refund) = books.refunds.find_mut(id) {
        let set = change.and_then(|change| {
            let status = RefundStatus::of_name(&change.status);
            refund.status = status.ok_or_else(|| unknown(&change.status))?;
            refund.updated_at = desk.now;
            refund.tell(desk, Entry::Later);
            Ok(())
        });
        let refund = books.refunds.find(id)?;
        return Some(set.map(|()| refund.view(books)));
    }
    let authorization = books.authorizations.find_mut(id)?;
    Some(change.and_then(|change| {
        let status = AuthorizationStatus::of_name(&change.status);
        authorization.status = status.ok_or_else(|| unknown(&change.status))?;
        authorization.updated_at = desk.now;
        authorization.tell(desk, Entry::Later, None);
        Ok(authorization.view())
    }))
}
