//! What the API answers with.

use axum::Json;
use onerouter_manifest::PluginId;
use semver::VersionReq;
use serde_json::{Value, json};

use super::super::store::{AdvisoryRow, KeyRow, NameRow, VersionRow};
use crate::index::affects;

pub(super) fn list(data: Vec<Value>) -> Json<Value> {
    Json(json!({"object": "list", "data": data, "has_more": false, "next_cursor": null}))
}

/// One object with the members of two.
pub(super) fn joined(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, _) => one,
    }
}

pub(super) fn plugin(row: &NameRow) -> Value {
    let categories: Vec<&str> = row
        .categories
        .split(',')
        .filter(|category| !category.is_empty())
        .collect();
    json!({
        "object": "plugin",
        "name": row.name,
        "title": row.title,
        "summary": row.summary,
        "categories": categories,
        "owner": row.owner,
        "latest": row.latest,
        "downloads": row.downloads,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    })
}

pub(super) fn key(row: &KeyRow) -> Value {
    json!({
        "object": "key",
        "key": row.key,
        "key_id": row.key.id(),
        "added_at": row.added_at,
        "revoked_at": row.revoked_at,
        "revoked_reason": row.revoked_reason,
    })
}

/// Advisories with their ranges, read once for all versions that are shown.
#[derive(Debug, Default)]
pub(super) struct Affecting<'a>(Vec<(&'a str, VersionReq)>);

impl<'a> Affecting<'a> {
    pub(super) fn of(advisories: &'a [AdvisoryRow]) -> Self {
        let read = advisories.iter().filter_map(|advisory| {
            let affected = VersionReq::parse(&advisory.affected).ok()?;
            Some((advisory.id.as_str(), affected))
        });
        Self(read.collect())
    }
}

pub(super) fn version(name: &PluginId, row: &VersionRow, advisories: &Affecting<'_>) -> Value {
    // Written by us, so they are JSON; a damaged row is shown without them.
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let affecting: Vec<&str> = advisories
        .0
        .iter()
        .filter(|(_, affected)| affects(affected, &row.version))
        .map(|(id, _)| *id)
        .collect();
    json!({
        "object": "version",
        "plugin": name,
        "version": row.version,
        "component": row.component,
        "component_bytes": row.component_bytes,
        "image": row.manifest,
        "key_id": row.key,
        "statement": row.statement,
        "capabilities": parsed(&row.capabilities),
        "manifest": parsed(&row.plugin_manifest),
        "yanked": row.yanked_reason,
        "advisories": affecting,
        "published_at": row.published_at,
    })
}

pub(super) fn advisory(row: &AdvisoryRow) -> Value {
    json!({
        "object": "advisory",
        "id": row.id,
        "affected": row.affected,
        "summary": row.summary,
        "url": row.url,
        "created_at": row.created_at,
    })
}
