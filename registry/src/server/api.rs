//! The registry's own API: what OCI has no words for.

mod account;
mod index;
mod keys;
mod plugins;
mod publish;
mod views;

use axum::Router;
use axum::routing::{get, post};

use super::Registry;
use super::refusal::{Kind, Refusal};

pub(super) fn routes() -> Router<Registry> {
    let routes = Router::new()
        .route("/", get(account::about))
        .route("/account", get(account::own))
        .route("/index/head", get(index::head))
        .route("/index/entries", get(index::entries))
        .route("/plugins", get(plugins::search))
        .route("/plugins/{name}", get(plugins::page))
        .route(
            "/plugins/{name}/versions",
            get(plugins::versions).post(publish::publish),
        )
        .route("/plugins/{name}/versions/{version}", get(plugins::version))
        .route(
            "/plugins/{name}/versions/{version}/yank",
            post(publish::yank),
        )
        .route(
            "/plugins/{name}/versions/{version}/unyank",
            post(publish::unyank),
        )
        .route(
            "/plugins/{name}/advisories",
            get(plugins::advisories).post(publish::advise),
        )
        .route("/plugins/{name}/downloads", get(plugins::downloads))
        .route("/plugins/{name}/keys", get(keys::list).post(keys::add))
        .route("/plugins/{name}/keys/{key}/revoke", post(keys::revoke))
        .method_not_allowed_fallback(other_method)
        .fallback(elsewhere);
    Router::new().nest("/registry/v1", routes)
}

async fn elsewhere() -> Refusal {
    Refusal::new(Kind::NotFound, "there is nothing at this path")
}

async fn other_method() -> Refusal {
    Refusal::new(Kind::Unsupported, "this path does not know that method")
}
