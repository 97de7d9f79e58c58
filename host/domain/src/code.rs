//! The stable error codes of the API, and what each means to a caller.

use std::fmt;

/// `code` of a problem document. The list only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// The body is no JSON object.
    InvalidJson,
    /// A header cannot be understood.
    InvalidHeader,
    /// No such key, a revoked or an expired one.
    InvalidApiKey,
    /// A webhook that its provider has not signed.
    InvalidSignature,
    /// The key may not do this.
    InsufficientScope,
    /// The key belongs to the other environment.
    EnvironmentMismatch,
    /// No such object, or another tenant's.
    NotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is too large.
    BodyTooLarge,
    /// The URL is too long.
    UriTooLong,
    /// The body's media type is not understood.
    UnsupportedMediaType,
    /// The headers are too large.
    HeadersTooLarge,
    /// The first request with this key still runs.
    IdempotencyInProgress,
    /// The object's state does not allow this.
    InvalidState,
    /// Something like this exists already.
    Conflict,
    /// Fields break rules.
    ValidationFailed,
    /// The key was used for another request.
    IdempotencyKeyReused,
    /// Nothing is connected that could do this.
    NoConnection,
    /// The provider refused.
    ProviderRejected,
    /// The provider refused the tenant's credentials.
    ProviderAuthFailed,
    /// The provider cannot do this.
    UnsupportedByProvider,
    /// The recipient is on the suppression list.
    Suppressed,
    /// Too many requests to us.
    RateLimited,
    /// Too many requests to the provider.
    ProviderRateLimited,
    /// Our fault.
    InternalError,
    /// The provider answered oddly; nothing was processed.
    ProviderError,
    /// The adapter failed; nothing was sent.
    PluginFault,
    /// We are full.
    Overloaded,
    /// The provider cannot be reached; nothing was sent.
    ProviderUnavailable,
    /// The provider may have acted.
    OutcomeUnknown,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 31] = [
        Self::InvalidJson,
        Self::InvalidHeader,
        Self::InvalidApiKey,
        Self::InvalidSignature,
        Self::InsufficientScope,
        Self::EnvironmentMismatch,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::HeadersTooLarge,
        Self::IdempotencyInProgress,
        Self::InvalidState,
        Self::Conflict,
        Self::ValidationFailed,
        Self::IdempotencyKeyReused,
        Self::NoConnection,
        Self::ProviderRejected,
        Self::ProviderAuthFailed,
        Self::UnsupportedByProvider,
        Self::Suppressed,
        Self::RateLimited,
        Self::ProviderRateLimited,
        Self::InternalError,
        Self::ProviderError,
        Self::PluginFault,
        Self::Overloaded,
        Self::ProviderUnavailable,
        Self::OutcomeUnknown,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidHeader => "invalid_header",
            Self::InvalidApiKey => "invalid_api_key",
            Self::InvalidSignature => "invalid_signature",
            Self::InsufficientScope => "insufficient_scope",
            Self::EnvironmentMismatch => "environment_mismatch",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::HeadersTooLarge => "headers_too_large",
            Self::IdempotencyInProgress => "idempotency_in_progress",
            Self::InvalidState => "invalid_state",
            Self::Conflict => "conflict",
            Self::ValidationFailed => "validation_failed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::NoConnection => "no_connection",
            Self::ProviderRejected => "provider_rejected",
            Self::ProviderAuthFailed => "provider_auth_failed",
            Self::UnsupportedByProvider => "unsupported_by_provider",
            Self::Suppressed => "suppressed",
            Self::RateLimited => "rate_limited",
            Self::ProviderRateLimited => "provider_rate_limited",
            Self::InternalError => "internal_error",
            Self::ProviderError => "provider_error",
            Self::PluginFault => "plugin_fault",
            Self::Overloaded => "overloaded",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidJson | Self::InvalidHeader => 400,
            Self::InvalidApiKey | Self::InvalidSignature => 401,
            Self::InsufficientScope | Self::EnvironmentMismatch => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::IdempotencyInProgress | Self::InvalidState | Self::Conflict => 409,
            Self::BodyTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::ValidationFailed
            | Self::IdempotencyKeyReused
            | Self::NoConnection
            | Self::ProviderRejected
            | Self::ProviderAuthFailed
            | Self::UnsupportedByProvider
            | Self::Suppressed => 422,
            Self::RateLimited | Self::ProviderRateLimited => 429,
            Self::HeadersTooLarge => 431,
            Self::InternalError => 500,
            Self::ProviderError | Self::PluginFault => 502,
            Self::Overloaded | Self::ProviderUnavailable => 503,
            Self::OutcomeUnknown => 504,
        }
    }

    /// A short title, the same for every problem with this code.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidJson => "The body is not valid JSON",
            Self::InvalidHeader => "A header is not valid",
            Self::InvalidApiKey => "The API key is not valid",
            Self::InvalidSignature => "The signature is not valid",
            Self::InsufficientScope => "The API key may not do this",
            Self::EnvironmentMismatch => "The API key belongs to the other environment",
            Self::NotFound => "There is no such object",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::RequestTimeout => "The request did not arrive in time",
            Self::BodyTooLarge => "The body is too large",
            Self::UriTooLong => "The URL is too long",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::HeadersTooLarge => "The headers are too large",
            Self::IdempotencyInProgress => "A request with this key is still running",
            Self::InvalidState => "The object's state does not allow this",
            Self::Conflict => "This exists already",
            Self::ValidationFailed => "The request is not valid",
            Self::IdempotencyKeyReused => "The key was used for another request",
            Self::NoConnection => "No provider is connected for this",
            Self::ProviderRejected => "The provider refused the request",
            Self::ProviderAuthFailed => "The provider refused the credentials",
            Self::UnsupportedByProvider => "The provider cannot do this",
            Self::Suppressed => "The recipient is suppressed",
            Self::RateLimited => "Too many requests",
            Self::ProviderRateLimited => "The provider asks to slow down",
            Self::InternalError => "Something went wrong on our side",
            Self::ProviderError => "The provider failed",
            Self::PluginFault => "The provider's adapter failed",
            Self::Overloaded => "The gateway is full",
            Self::ProviderUnavailable => "The provider cannot be reached",
            Self::OutcomeUnknown => "The outcome is not known yet",
        }
    }

    /// Whether the same request, unchanged, may succeed when it is sent again.
    ///
    /// `outcome_unknown` counts with the same idempotency key only: its repetition never acts
    /// twice and answers with the settled object in the end.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::RequestTimeout
            | Self::IdempotencyInProgress
            | Self::RateLimited
            | Self::ProviderRateLimited
            | Self::InternalError
            | Self::ProviderError
            | Self::PluginFault
            | Self::Overloaded
            | Self::ProviderUnavailable
            | Self::OutcomeUnknown => true,
            Self::InvalidJson
            | Self::InvalidHeader
            | Self::InvalidApiKey
            | Self::InvalidSignature
            | Self::InsufficientScope
            | Self::EnvironmentMismatch
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::BodyTooLarge
            | Self::UriTooLong
            | Self::UnsupportedMediaType
            | Self::HeadersTooLarge
            | Self::InvalidState
            | Self::Conflict
            | Self::ValidationFailed
            | Self::IdempotencyKeyReused
            | Self::NoConnection
            | Self::ProviderRejected
            | Self::ProviderAuthFailed
            | Self::UnsupportedByProvider
            | Self::Suppressed => false,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
