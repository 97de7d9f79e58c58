//! Money on the wire.

use std::borrow::Cow;

use onerouter_domain::money::Currency;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The schema of a currency: every code that is accepted.
#[derive(Debug)]
pub(crate) struct CurrencyCode;

impl PartialSchema for CurrencyCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A currency code of ISO 4217."))
            .enum_values(Some(Currency::all().map(Currency::code)))
            .build()
            .into()
    }
}

impl ToSchema for CurrencyCode {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Currency")
    }
}
