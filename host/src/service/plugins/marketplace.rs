//! What could be installed: asked of the marketplace registry, and bounded like everything of it.

use onerouter_domain::code::ErrorCode;
use onerouter_manifest::{Category, PluginId};
use onerouter_registry::client::{FetchError, RegistryApi};
use serde_json::Value;
use url::form_urlencoded;

use super::Plugins;
use super::trust::refused;
use crate::service::refusal::Refusal;

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct MarketplaceSearch {
    /// Words that name or describe it.
    pub text: Option<String>,
    /// What it is for.
    pub category: Option<Category>,
    /// How many at most.
    pub limit: Option<u8>,
    /// Where to go on.
    pub cursor: Option<String>,
}

impl Plugins {
    /// A page of the registry's plugins, as it shows them.
    ///
    /// # Errors
    /// `not_found` where no registry is set; `overloaded` where it cannot be asked.
    pub async fn search(&self, search: &MarketplaceSearch) -> Result<Value, Refusal> {
        let values = [
            ("q", search.text.clone()),
            (
                "category",
                search.category.map(|category| category.to_string()),
            ),
            ("limit", search.limit.map(|limit| limit.to_string())),
            ("cursor", search.cursor.clone()),
        ];
        let given = values
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(given)
            .finish();
        self.ask_registry(&format!("/plugins?{query}")).await
    }

    /// A plugin's page of the registry.
    ///
    /// # Errors
    /// `not_found` where no registry is set, or it has no such plugin; `overloaded` where it cannot be asked.
    pub async fn page(&self, name: &PluginId) -> Result<Value, Refusal> {
        self.ask_registry(&format!("/plugins/{name}")).await
    }

    async fn ask_registry(&self, path: &str) -> Result<Value, Refusal> {
        let registry: &RegistryApi = self.parts().registry.as_ref().ok_or_else(|| {
            Refusal::new(
                ErrorCode::NotFound,
                "No marketplace registry is set: ONEROUTER_REGISTRY_URL.",
            )
        })?;
        match self.parts().client.get(registry, path).await {
            Ok(answer) => Ok(answer),
            Err(FetchError::Absent { .. }) => Err(Refusal::not_found("plugin")),
            Err(error) => Err(Refusal {
                code: ErrorCode::Overloaded,
                errors: Vec::new(),
                ..refused(&error)
            }),
        }
    }
}
