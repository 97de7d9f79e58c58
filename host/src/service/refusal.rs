//! Why a request was not served: what the client may read, and nothing else.

use onerouter_domain::code::ErrorCode;

/// One broken rule, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMistake {
    /// JSON Pointer into the body, `?name` for a query parameter, or a header's name.
    pub pointer: String,
    /// Snake case.
    pub code: &'static str,
    /// A sentence that says what would be accepted.
    pub detail: String,
}

impl FieldMistake {
    /// A mistake at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// What a provider said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAnswer {
    /// Which provider.
    pub name: String,
    /// Its own code.
    pub code: Option<String>,
    /// Its own words.
    pub message: Option<String>,
    /// The HTTP status of its answer.
    pub http_status: Option<u16>,
}

/// A request that was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code; it decides the HTTP status.
    pub code: ErrorCode,
    /// A sentence for people.
    pub detail: String,
    /// The broken rules, for `validation_failed`.
    pub errors: Vec<FieldMistake>,
    /// What the provider said, where one refused.
    pub provider: Option<Box<ProviderAnswer>>,
    /// The object's id, where one exists.
    pub object_id: Option<String>,
    /// How long to wait, in whole seconds.
    pub retry_after_s: Option<u64>,
    /// Where it differs from what the code says.
    pub retryable: Option<bool>,
}

impl Refusal {
    /// A refusal with a code and a sentence.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            provider: None,
            object_id: None,
            retry_after_s: None,
            retryable: None,
        }
    }

    /// `validation_failed` with every mistake that was found.
    #[must_use]
    pub fn invalid(errors: Vec<FieldMistake>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", place(&only.pointer), only.detail),
            all => format!("{} mistakes; each stands under errors.", all.len()),
        };
        Self {
            errors,
            ..Self::new(ErrorCode::ValidationFailed, detail)
        }
    }

    /// `not_found`, the same for an absent object and for another tenant's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            ErrorCode::NotFound,
            format!("There is no {what} with this id."),
        )
    }

    /// `internal_error`; the cause goes to the log, once, here.
    #[must_use]
    pub fn internal(during: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        log(during, error);
        Self::new(
            ErrorCode::InternalError,
            "Something went wrong on our side. Nothing is lost; send the request again with the same Idempotency-Key.",
        )
    }

    /// `overloaded`, for what is away for a moment; the cause goes to the log, once, here.
    #[must_use]
    pub fn overloaded(
        during: &str,
        error: &(dyn std::error::Error + 'static),
        detail: &str,
    ) -> Self {
        log(during, error);
        Self::new(ErrorCode::Overloaded, detail).retry_after(1)
    }

    /// The same refusal about an object.
    #[must_use]
    pub fn about(mut self, object_id: impl ToString) -> Self {
        self.object_id = Some(object_id.to_string());
        self
    }

    /// The same refusal of a part of the body: `at` stands before every pointer.
    #[must_use]
    pub fn inside(mut self, at: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, at);
        }
        if !self.errors.is_empty() {
            self.detail = Self::invalid(self.errors.clone()).detail;
        }
        self
    }

    /// The same refusal with a time to wait.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Whether the same request may succeed when it is sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable.unwrap_or_else(|| self.code.retryable())
    }
}

fn log(during: &str, error: &(dyn std::error::Error + 'static)) {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(error = chain, "{during}");
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() {
        "The body"
    } else {
        pointer
    }
}
