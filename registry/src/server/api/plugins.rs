//! Finding plugins, and reading about one.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use onerouter_manifest::Category;
use semver::Version;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Registry;
use super::super::asked::Asked;
use super::super::owned::parse_name;
use super::super::refusal::{Kind, Refusal};
use super::super::store::PluginFilter;
use super::publish::named;
use super::views::{self, Affecting};

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;
const TEXT_CHARACTERS_MAX: usize = 100;
/// Days whose downloads are shown, and how many counts at most.
const DAYS_SHOWN: i64 = 90;
const COUNTS_MAX: u64 = 5_000;
/// Versions that a plugin's page names; all of them are under `/versions`.
const VERSIONS_NAMED: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    q: Option<String>,
    category: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
}

/// `GET /registry/v1/plugins`: the ones with the most downloads first.
pub(super) async fn search(
    State(registry): State<Registry>,
    Asked(query): Asked<Search>,
) -> Result<Json<Value>, Refusal> {
    let limit = parse_limit(query.limit)?;
    if let Some(category) = &query.category
        && Category::from_name(category).is_none()
    {
        return Err(invalid(
            "?category: must be sms, email or payments".to_owned(),
        ));
    }
    let text = query.q.map(|text| text.trim().to_lowercase());
    if text
        .as_ref()
        .is_some_and(|text| text.chars().count() > TEXT_CHARACTERS_MAX)
    {
        return Err(invalid(format!(
            "?q: at most {TEXT_CHARACTERS_MAX} characters"
        )));
    }
    let filter = PluginFilter {
        text: text.filter(|text| !text.is_empty()),
        category: query.category,
        after: query.cursor.as_deref().map(parse_cursor).transpose()?,
        limit: limit.saturating_add(1),
    };
    let mut rows = registry.0.store.read().await?.search_names(&filter).await?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > kept;
    rows.truncate(kept);
    let next = rows
        .last()
        .filter(|_| has_more)
        .map(|last| URL_SAFE_NO_PAD.encode(format!("{} {}", last.downloads, last.name)));
    let data: Vec<Value> = rows.iter().map(views::plugin).collect();
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "has_more": has_more,
        "next_cursor": next,
    })))
}

fn parse_cursor(cursor: &str) -> Result<(u64, String), Refusal> {
    let parts = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.contains('\0'));
    parts
        .as_deref()
        .and_then(|text| text.split_once(' '))
        .and_then(|(downloads, name)| Some((downloads.parse().ok()?, name.to_owned())))
        .ok_or_else(|| invalid("?cursor: is none of this list".to_owned()))
}

/// `GET /registry/v1/plugins/{name}`: all that its page shows.
pub(super) async fn page(
    State(registry): State<Registry>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let name = parse_name(&name)?;
    let row = registry.get_name(&name).await?;
    let mut tx = registry.0.store.read().await?;
    let advisories = tx.list_advisories(name.as_str()).await?;
    let keys = tx.list_keys(name.as_str()).await?;
    let mut versions = tx.list_version_numbers(name.as_str()).await?;
    versions.truncate(VERSIONS_NAMED);
    let latest = row
        .latest
        .as_deref()
        .and_then(|text| Version::parse(text).ok());
    let latest = match latest {
        Some(latest) => tx.find_version(name.as_str(), &latest).await?,
        None => None,
    };
    let affecting = Affecting::of(&advisories);
    let latest = latest.map(|version| views::version(&name, &version, &affecting));
    let more = json!({
        "keys": keys.iter().map(views::key).collect::<Vec<_>>(),
        "advisories": advisories.iter().map(views::advisory).collect::<Vec<_>>(),
        "versions": versions,
        "latest_version": latest,
    });
    Ok(Json(views::joined(views::plugin(&row), more)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<u64>,
    cursor: Option<String>,
}

/// `GET /registry/v1/plugins/{name}/versions`: the newest first, in pages.
pub(super) async fn versions(
    State(registry): State<Registry>,
    Path(name): Path<String>,
    Asked(page): Asked<Page>,
) -> Result<Json<Value>, Refusal> {
    let name = parse_name(&name)?;
    registry.get_name(&name).await?;
    let limit = usize::try_from(parse_limit(page.limit)?).unwrap_or(usize::MAX);
    let after = page.cursor.as_deref().map(Version::parse).transpose();
    let after = after.map_err(|_error| invalid("?cursor: is none of this list".to_owned()))?;
    let mut tx = registry.0.store.read().await?;
    let mut numbers = tx.list_version_numbers(name.as_str()).await?;
    numbers.retain(|number| after.as_ref().is_none_or(|after| number < after));
    let has_more = numbers.len() > limit;
    numbers.truncate(limit);
    let next = numbers.last().filter(|_| has_more);
    let advisories = tx.list_advisories(name.as_str()).await?;
    let affecting = Affecting::of(&advisories);
    let mut data = Vec::with_capacity(numbers.len());
    for number in &numbers {
        if let Some(row) = tx.find_version(name.as_str(), number).await? {
            data.push(views::version(&name, &row, &affecting));
        }
    }
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "has_more": has_more,
        "next_cursor": next,
    })))
}

/// `GET /registry/v1/plugins/{name}/versions/{version}`
pub(super) async fn version(
    State(registry): State<Registry>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let (name, version) = named(&name, &version)?;
    let mut tx = registry.0.store.read().await?;
    let row = tx.find_version(name.as_str(), &version).await?;
    let row = row
        .ok_or_else(|| Refusal::new(Kind::NotFound, format!("{name} has no version {version}")))?;
    let advisories = tx.list_advisories(name.as_str()).await?;
    let affecting = Affecting::of(&advisories);
    Ok(Json(views::version(&name, &row, &affecting)))
}

/// `GET /registry/v1/plugins/{name}/advisories`
pub(super) async fn advisories(
    State(registry): State<Registry>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let name = parse_name(&name)?;
    registry.get_name(&name).await?;
    let mut tx = registry.0.store.read().await?;
    let advisories = tx.list_advisories(name.as_str()).await?;
    Ok(views::list(
        advisories.iter().map(views::advisory).collect(),
    ))
}

/// `GET /registry/v1/plugins/{name}/downloads`: by version and day.
pub(super) async fn downloads(
    State(registry): State<Registry>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let name = parse_name(&name)?;
    let row = registry.get_name(&name).await?;
    let since = registry.now() - TimeDelta::days(DAYS_SHOWN);
    let since = since.format("%Y-%m-%d").to_string();
    let mut tx = registry.0.store.read().await?;
    let days = tx.list_downloads(name.as_str(), &since, COUNTS_MAX).await?;
    let days: Vec<Value> = days
        .iter()
        .map(|day| json!({"day": day.day, "version": day.version, "count": day.count}))
        .collect();
    Ok(Json(json!({
        "object": "downloads",
        "plugin": name,
        "total": row.downloads,
        "days": days,
    })))
}

fn parse_limit(limit: Option<u64>) -> Result<u64, Refusal> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(invalid(format!("?limit: must be 1 to {LIMIT_MAX}")))
}

fn invalid(reason: String) -> Refusal {
    Refusal::new(Kind::Invalid, reason)
}
