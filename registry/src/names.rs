//! Which names may be claimed: none that people could take for another.

use onerouter_manifest::PluginId;

/// Names that nobody may have: ours, and words that would mean something else in a command or path.
const RESERVED: [&str; 22] = [
    "admin",
    "api",
    "blobs",
    "bundle",
    "core",
    "default",
    "host",
    "index",
    "latest",
    "manifests",
    "marketplace",
    "official",
    "onerouter",
    "plugin",
    "plugins",
    "registry",
    "sandbox",
    "search",
    "security",
    "support",
    "tags",
    "v2",
];

/// Names that begin so speak for us.
const RESERVED_PREFIX: &str = "onerouter-";

/// Shorter names are one keystroke from each other by nature.
const DISTANCE_FROM_CHARACTERS: usize = 5;

/// A name that somebody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken<'a> {
    /// The name.
    pub name: &'a str,
    /// Whether many use it, so that a slip of the hand is worth waiting for.
    pub popular: bool,
}

/// Why a name cannot be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// It can be no repository.
    #[error(
        "\"{0}\" cannot be published: a name is a lower-case letter, then up to 39 letters and digits, with single or double hyphens between them"
    )]
    Shape(String),
    /// It is kept back.
    #[error("the name {0} is reserved; choose another one")]
    Reserved(String),
    /// It looks like somebody else's.
    #[error(
        "the name {name} reads like {other}, which belongs to another publisher; choose one that cannot be mistaken for it"
    )]
    Confusable {
        /// What was asked for.
        name: String,
        /// What it looks like.
        other: String,
    },
    /// It is one slip away from somebody else's.
    #[error(
        "the name {name} is one keystroke from {other}, which many use and which belongs to another publisher; choose one that cannot be mistyped for it"
    )]
    NearPopular {
        /// What was asked for.
        name: String,
        /// What it is near to.
        other: String,
    },
}

/// Whether a plugin's name can be a repository of an OCI registry: those do not end in a hyphen.
///
/// # Errors
/// It cannot.
pub fn parse(text: &str) -> Result<PluginId, NameRefused> {
    PluginId::try_from(text.to_owned())
        .ok()
        .filter(|_| !text.ends_with('-'))
        .ok_or_else(|| NameRefused::Shape(text.to_owned()))
}

/// Whether a new name may be claimed, given those of other publishers and the operator's own list
/// of reserved ones.
///
/// # Errors
/// It may not.
pub fn judge<'a>(
    name: &PluginId,
    reserved: &[String],
    others: impl IntoIterator<Item = Taken<'a>>,
) -> Result<(), NameRefused> {
    let text = name.as_str();
    let own_skeleton = skeleton(text);
    let kept_back = RESERVED
        .into_iter()
        .chain(reserved.iter().map(String::as_str))
        .any(|word| skeleton(word) == own_skeleton);
    if kept_back || own_skeleton.starts_with(&skeleton(RESERVED_PREFIX)) {
        return Err(NameRefused::Reserved(text.to_owned()));
    }
    for other in others {
        if skeleton(other.name) == own_skeleton {
            return Err(NameRefused::Confusable {
                name: text.to_owned(),
                other: other.name.to_owned(),
            });
        }
        let long = text.len().min(other.name.len()) >= DISTANCE_FROM_CHARACTERS;
        // With exchanged neighbours counted as one slip, which they are.
        if other.popular && long && strsim::osa_distance(text, other.name) <= 1 {
            return Err(NameRefused::NearPopular {
                name: text.to_owned(),
                other: other.name.to_owned(),
            });
        }
    }
    Ok(())
}

/// The name without what the eye does not tell apart.
#[must_use]
pub fn skeleton(name: &str) -> String {
    name.chars()
        .filter_map(|character| match character {
            '-' | '_' => None,
            '0' => Some('o'),
            // All of them one stroke in many typefaces.
            '1' | 'i' | 'j' => Some('l'),
            '2' => Some('z'),
            '3' => Some('e'),
            '4' => Some('a'),
            '5' => Some('s'),
            '6' | '9' | 'q' => Some('g'),
            '7' => Some('t'),
            '8' => Some('b'),
            other => Some(other),
        })
        .collect::<String>()
        .replace("rn", "m")
        .replace("vv", "w")
        .replace("cl", "d")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> Option<NameRefused> {
        let others = [
            Taken {
                name: "twilio",
                popular: true,
            },
            Taken {
                name: "acme-texts",
                popular: false,
            },
            Taken {
                name: "modern-mail",
                popular: false,
            },
        ];
        judge(&parse(name).unwrap(), &["house".to_owned()], others).err()
    }

    #[test]
    fn names_that_read_alike_are_refused() {
        for (name, other) in [
            ("twi1io", "twilio"),
            ("twil-io", "twilio"),
            ("twlllo", "twilio"),
            ("acmetexts", "acme-texts"),
            ("acme-text5", "acme-texts"),
            ("modem-mail", "modern-mail"),
        ] {
            assert_eq!(
                refused(name),
                Some(NameRefused::Confusable {
                    name: name.to_owned(),
                    other: other.to_owned()
                }),
            );
        }
    }

    #[test]
    fn names_one_slip_from_a_popular_one_are_refused() {
        for name in ["twillio", "twiloi", "twili", "twilip"] {
            assert_eq!(
                refused(name),
                Some(NameRefused::NearPopular {
                    name: name.to_owned(),
                    other: "twilio".to_owned()
                }),
            );
        }
        assert_eq!(
            refused("acme-textz"),
            None,
            "nobody waits at the side of an unknown one"
        );
    }

    #[test]
    fn reserved_names_are_refused_in_every_disguise() {
        for name in [
            "onerouter",
            "one-router",
            "0nerouter",
            "registry",
            "onerouter-sms",
            "h0use",
        ] {
            if let Ok(parsed) = parse(name) {
                let judged = judge(&parsed, &["house".to_owned()], []);
                assert_eq!(judged, Err(NameRefused::Reserved(name.to_owned())));
            }
        }
    }

    #[test]
    fn what_is_like_nothing_else_may_be_claimed() {
        assert_eq!(refused("postmark"), None);
        assert!(parse("acme-").is_err());
        assert!(parse("../etc").is_err());
        assert!(parse("Acme").is_err());
    }
}
