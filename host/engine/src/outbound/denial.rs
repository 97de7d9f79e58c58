//! Why the host refuses to send a request.

macro_rules! denials {
    ($($(#[$docs:meta])* $name:ident => $code:literal, $sentence:literal;)*) => {
        /// A rule that a request breaks. Nothing was sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Denial {
            $(#[doc = $sentence] #[error($sentence)] $name,)*
        }

        impl Denial {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Stable name in snake case.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

denials! {
    UrlLength => "url_length", "the URL is longer than 8,192 bytes";
    UrlCharacters => "url_characters", "the URL holds a space, a control character, a backslash or a character outside ASCII";
    UrlScheme => "url_scheme", "the URL does not start with https://";
    UrlUserInfo => "url_user_info", "the URL holds a user name or an @ before its path";
    UrlFragment => "url_fragment", "the URL holds a fragment";
    UrlSyntax => "url_syntax", "the URL cannot be parsed";
    UrlNotNormal => "url_not_normal", "the URL is not in its normal form: lower-case host, a path, no default port, nothing left to encode";
    HostAddress => "host_address", "the URL's host is an address, not a name";
    HostTrailingDot => "host_trailing_dot", "the URL's host ends with a dot";
    HostCharacters => "host_characters", "the URL's host holds something else than lower-case letters, digits, hyphens and dots";
    PathEmptySegment => "path_empty_segment", "the path holds two slashes in a row";
    PathDotSegment => "path_dot_segment", "the path holds a dot segment";
    PathEncoding => "path_encoding", "the path holds a percent-encoding that is malformed, needless, or hides a slash, dot, percent sign, control or non-ASCII character";
    RuleHost => "rule_host", "no outbound rule names this host";
    RulePort => "rule_port", "no outbound rule for this host names this port";
    RulePath => "rule_path", "no outbound rule for this host covers this path";
    RuleMethod => "rule_method", "no outbound rule for this path allows this method";
    RuleEnvironment => "rule_environment", "the outbound rule for this request is for connections of another environment";
    TokenEndpoint => "token_endpoint", "the path is that of a token endpoint, where the host alone goes";
    AuthUnknown => "auth_unknown", "the manifest declares no such auth";
    AuthNotHere => "auth_not_here", "no outbound rule for this request allows this auth";
    CredentialMissing => "credential_missing", "the connection lacks a credential that this auth needs";
    CredentialUnfit => "credential_unfit", "a credential holds characters that this auth cannot carry";
    QueryOverride => "query_override", "the query overrides the method";
    QueryReserved => "query_reserved", "the query holds the parameter that the auth sets";
    HeaderCount => "header_count", "there are more than 32 headers";
    HeaderSize => "header_size", "the headers are larger than 16 KiB together";
    HeaderName => "header_name", "a header's name is not a token";
    HeaderValue => "header_value", "a header's value holds something else than visible ASCII, spaces and tabs";
    HeaderReserved => "header_reserved", "a header is reserved to the host";
    HeaderOverride => "header_override", "a header overrides the method, the host or the path";
    HeaderKey => "header_key", "a request that changes something lacks the idempotency key in the header that the manifest names for this operation";
    HeaderContentType => "header_content_type", "a content type may be named for a body of bytes only, and once";
    HeaderSetByAuth => "header_set_by_auth", "a header is set by the auth";
    BodySize => "body_size", "the body is larger than 32 MiB";
    BodyNotAllowed => "body_not_allowed", "a GET or HEAD request has a body";
    BodyOverride => "body_override", "the form overrides the method";
    BodyForm => "body_form", "a form must be sent as pairs, not as bytes";
    BodyReserved => "body_reserved", "the form holds the field that the auth sets";
    BodyNoForm => "body_no_form", "the auth sets a form field, but the body is no form";
    WantCount => "want_count", "more than 16 headers of the answer are wanted";
    WantName => "want_name", "the name of a wanted header is not a token";
}

impl Denial {
    /// What the adapter reads.
    pub(crate) fn text(self) -> String {
        format!("{}: {self}", self.code())
    }
}
