//! How a registry wants to be logged in to.

use http::{HeaderMap, header};
use http_auth::ChallengeParser;
use url::Url;

use super::FetchError;
use super::http::nonsense;

/// Of a `WWW-Authenticate` header.
const CHALLENGE_BYTES_MAX: usize = 4 << 10;

/// What a 401 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// A token, to be got elsewhere.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge of an answer that can be met.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|value| value.len() <= CHALLENGE_BYTES_MAX)
            .flat_map(|value| ChallengeParser::new(value).map_while(Result::ok))
            .find_map(|challenge| {
                let parameter = |name: &str| {
                    challenge
                        .params
                        .iter()
                        .find(|(key, _)| key.eq_ignore_ascii_case(name))
                        .map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    return Some(Self::Basic);
                }
                if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return None;
                }
                Some(Self::Bearer {
                    realm: parameter("realm")?,
                    service: parameter("service"),
                    scope: parameter("scope"),
                })
            })
    }

    /// Where the token is to be had.
    pub(super) fn token_url(&self, registry: &Url) -> Result<Url, FetchError> {
        let Self::Bearer {
            realm,
            service,
            scope,
        } = self
        else {
            return Err(nonsense(registry, "it wants no token"));
        };
        let mut url = Url::parse(realm).map_err(|error| nonsense(registry, error))?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            if let Some(scope) = scope {
                query.append_pair("scope", scope);
            }
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(value: &str) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        headers.insert(header::WWW_AUTHENTICATE, value.parse().unwrap());
        Challenge::of(&headers)
    }

    #[test]
    fn challenges_are_read_and_unknown_ones_passed_over() {
        let bearer =
            r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull""#;
        let found = challenge(bearer).unwrap();
        let registry = Url::parse("https://r.example/").unwrap();
        assert_eq!(
            found.token_url(&registry).unwrap().as_str(),
            "https://auth.example/token?service=r&scope=repository%3Aa%3Apull"
        );
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(challenge("Negotiate abc"), None);
        assert_eq!(challenge("Bearer service=\"x\""), None);
    }
}
