//! Members that an answer has only sometimes.

use serde_json::Value;

pub(super) fn set(view: &mut Value, name: &str, member: impl Into<Value>) {
    if let Some(members) = view.as_object_mut() {
        members.insert(name.to_owned(), member.into());
    }
}
