//! `oci://host[:port]/repository[:tag|@digest]`

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::digest::Digest;

/// An image in some OCI registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciReference {
    host: String,
    repository: String,
    reference: Reference,
}

/// What an image is known by in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    Tag(String),
    Digest {
        digest: Digest,
        /// As it stands in a path.
        text: String,
    },
}

/// A text that is no such reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not oci://host[:port]/repository:tag or …@sha256:digest: {reason}")]
pub struct InvalidReference {
    given: String,
    reason: &'static str,
}

const REPOSITORY_CHARACTERS_MAX: usize = 255;

impl OciReference {
    /// `host` or `host:port`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository: components with slashes between them.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// A tag or a digest.
    #[must_use]
    pub fn reference(&self) -> &str {
        match &self.reference {
            Reference::Tag(tag) => tag,
            Reference::Digest { text, .. } => text,
        }
    }

    /// The digest, where the image is named by it.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        match self.reference {
            Reference::Tag(_) => None,
            Reference::Digest { digest, .. } => Some(digest),
        }
    }
}

impl FromStr for OciReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| InvalidReference {
            given: text.to_owned(),
            reason,
        };
        let rest = text
            .strip_prefix("oci://")
            .ok_or_else(|| wrong("it must begin with oci://"))?;
        let (host, path) = rest
            .split_once('/')
            .ok_or_else(|| wrong("there is no repository"))?;
        if !is_host(host) {
            return Err(wrong("the host is none"));
        }
        let (repository, reference) = match path.split_once('@') {
            Some((repository, digest)) => {
                let digest: Digest = digest
                    .parse()
                    .map_err(|_invalid| wrong("the digest is no SHA-256"))?;
                // `repository:tag@digest`: the digest counts.
                let repository = repository.split(':').next().unwrap_or(repository);
                let text = digest.to_string();
                (repository, Reference::Digest { digest, text })
            }
            None => {
                let (repository, tag) = path
                    .split_once(':')
                    .ok_or_else(|| wrong("there is no tag; which version is meant must be said"))?;
                if !is_tag(tag) {
                    return Err(wrong("the tag has characters that none may have"));
                }
                (repository, Reference::Tag(tag.to_owned()))
            }
        };
        if !is_repository(repository) {
            return Err(wrong("the repository has characters that none may have"));
        }
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            reference,
        })
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host, repository, ..
        } = self;
        match &self.reference {
            Reference::Tag(tag) => write!(f, "oci://{host}/{repository}:{tag}"),
            Reference::Digest { digest, .. } => write!(f, "oci://{host}/{repository}@{digest}"),
        }
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    // Written as the URL will have it: `0x7f.1` would be another host than it seems.
    let name_fits = Url::parse(&format!("https://{text}/"))
        .is_ok_and(|url| url.host_str() == Some(name) && url.username().is_empty());
    port_fits && name_fits
}

fn is_repository(text: &str) -> bool {
    let component = |component: &str| {
        let ends =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        ends(component.chars().next())
            && ends(component.chars().next_back())
            && component
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
            && !component.contains("..")
    };
    text.len() <= REPOSITORY_CHARACTERS_MAX && text.split('/').all(component)
}

fn is_tag(text: &str) -> bool {
    let mut characters = text.chars();
    let begins = |c: char| c.is_ascii_alphanumeric() || c == '_';
    characters.next().is_some_and(begins)
        && characters.all(|c| begins(c) || c == '.' || c == '-')
        && text.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = Digest::of(b"x");
        for (text, host, repository, reference) in [
            (
                "oci://ghcr.io/acme/texts:1.0.0".to_owned(),
                "ghcr.io",
                "acme/texts",
                "1.0.0".to_owned(),
            ),
            (
                "oci://127.0.0.1:5000/texts:latest".to_owned(),
                "127.0.0.1:5000",
                "texts",
                "latest".to_owned(),
            ),
            (
                "oci://[::1]:5000/texts:latest".to_owned(),
                "[::1]:5000",
                "texts",
                "latest".to_owned(),
            ),
            (
                format!("oci://h/texts@{digest}"),
                "h",
                "texts",
                digest.to_string(),
            ),
        ] {
            let parsed: OciReference = text.parse().unwrap();
            assert_eq!((parsed.host(), parsed.repository()), (host, repository));
            assert_eq!(parsed.reference(), reference);
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "ghcr.io/acme:1",
            "oci://ghcr.io",
            "oci://ghcr.io/acme",
            "oci:///acme:1",
            "oci://user@ghcr.io/acme:1",
            "oci://ghcr.io/../acme:1",
            "oci://ghcr.io/a//b:1",
            "oci://ghcr.io/acme:1/../2",
            "oci://ghcr.io/acme:1?x=y",
            "oci://ghcr.io/acme@sha512:00",
            "oci://ghcr.io:0/acme:1",
            "oci://ghcr.io#x/acme:1",
            "oci://ghcr.io/Acme:1",
            "oci://0/acme:1",
            "oci://127.1/acme:1",
            "oci://0x7f000001/acme:1",
            "oci://ghcr.io%2eevil.example/acme:1",
            "oci://GHCR.io/acme:1",
            "oci://ghcr.io/acme:1:/../../other?x=y",
            "oci://ghcr.io/acme:1:2",
            "oci://ghcr.io/acme:sha256:00",
        ] {
            assert!(text.parse::<OciReference>().is_err(), "{text}");
        }
    }
}
