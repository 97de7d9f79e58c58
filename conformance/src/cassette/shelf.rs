//! Folders of cassettes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::Cassette;
use crate::operation::Operation;

/// A page of a long list is some 100 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files of one operation that are looked at.
const FILES_MAX: usize = 64;

/// Requests of one call. No manifest may ask for many more.
const EXCHANGES_MAX: usize = 64;

/// A folder of cassettes that cannot be used. Says which file.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// Not readable, or not writable.
    #[error("cannot use {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Too large, or too many.
    #[error("{path}: {what}")]
    Limit {
        /// The file or folder.
        path: PathBuf,
        /// Which limit.
        what: String,
    },
    /// Not of the format.
    #[error("{path} is no cassette: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A folder that is named for no operation.
    #[error("{path} is named for no operation; known ones are {known}")]
    Operation {
        /// The folder.
        path: PathBuf,
        /// All of them.
        known: String,
    },
}

/// The cassettes of a project.
#[derive(Debug, Default)]
pub struct Cassettes {
    by_operation: BTreeMap<Operation, BTreeMap<String, Cassette>>,
}

impl Cassettes {
    /// Reads a folder. One that is not there holds none.
    ///
    /// # Errors
    /// A file that is no cassette, or a folder that is named for no operation.
    pub fn read(folder: &Path) -> Result<Self, CassetteError> {
        let mut cassettes = Self::default();
        if !folder.exists() {
            return Ok(cassettes);
        }
        for path in entries(folder)? {
            if !path.is_dir() {
                continue;
            }
            let operation = name(&path).and_then(|name| Operation::from_name(&name));
            let operation = operation.ok_or_else(|| CassetteError::Operation {
                path: path.clone(),
                known: Operation::names(),
            })?;
            let files = entries(&path)?;
            let files = files
                .iter()
                .filter(|path| path.extension().is_some_and(|it| it == "json"));
            for file in files {
                let Some(scenario) = name(&file.with_extension("")) else {
                    continue;
                };
                let cassette = read_one(file)?;
                cassettes.insert(operation, scenario, cassette);
            }
        }
        Ok(cassettes)
    }

    pub(crate) fn insert(&mut self, operation: Operation, scenario: String, cassette: Cassette) {
        self.by_operation
            .entry(operation)
            .or_default()
            .insert(scenario, cassette);
    }

    pub(crate) fn get(&self, operation: Operation, scenario: &str) -> Option<&Cassette> {
        self.by_operation.get(&operation)?.get(scenario)
    }

    /// Those of an operation, by scenario.
    pub(crate) fn of(&self, operation: Operation) -> impl Iterator<Item = (&str, &Cassette)> {
        self.by_operation
            .get(&operation)
            .into_iter()
            .flatten()
            .map(|(scenario, cassette)| (scenario.as_str(), cassette))
    }

    /// Hosts that the recorded requests went to.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.by_operation
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(|cassette| &cassette.exchanges)
            .map(|exchange| exchange.request.host.as_str())
    }
}

impl Cassette {
    /// Writes it where [`Cassettes::read`] finds it. A reader sees the old file or the new one.
    pub(crate) fn write(
        &self,
        folder: &Path,
        operation: Operation,
        scenario: &str,
    ) -> Result<PathBuf, CassetteError> {
        let folder = folder.join(operation.name());
        let path = folder.join(format!("{scenario}.json"));
        let failed = |source| CassetteError::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        text.push('\n');
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        // It goes into a repository; there is nothing secret in it.
        #[cfg(unix)]
        file.as_file()
            .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(path)
    }
}

fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, CassetteError> {
    let failed = |source| CassetteError::File {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
        if paths.len() > FILES_MAX {
            return Err(CassetteError::Limit {
                path: folder.to_owned(),
                what: format!("more than {FILES_MAX} files"),
            });
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn read_one(path: &Path) -> Result<Cassette, CassetteError> {
    let failed = |source| CassetteError::File {
        path: path.to_owned(),
        source,
    };
    let limit = |what: String| CassetteError::Limit {
        path: path.to_owned(),
        what,
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .map_err(failed)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(limit(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let format = |reason: String| CassetteError::Format {
        path: path.to_owned(),
        reason,
    };
    let cassette: Cassette =
        serde_json::from_slice(&bytes).map_err(|error| format(error.to_string()))?;
    if cassette.cassette != 1 {
        return Err(format(format!(
            "version {} is not known",
            cassette.cassette
        )));
    }
    if cassette.exchanges.len() > EXCHANGES_MAX {
        return Err(limit(format!("more than {EXCHANGES_MAX} exchanges")));
    }
    for (index, exchange) in cassette.exchanges.iter().enumerate() {
        let answer = &exchange.answer;
        if !(200..=599).contains(&answer.status) {
            let status = answer.status;
            return Err(format(format!(
                "/exchanges/{index}: {status} is no final status"
            )));
        }
        if answer.json.is_some() && answer.text.is_some() {
            return Err(format(format!("/exchanges/{index}: two bodies")));
        }
    }
    Ok(cassette)
}

#[cfg(test)]
mod tests {
    use super::{CassetteError, Cassettes};
    use crate::cassette::Cassette;
    use crate::operation::Operation;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let cassette = Cassette {
            note: "one".to_owned(),
            ..Cassette::empty()
        };
        cassette
            .write(folder.path(), Operation::SmsSend, "success")
            .unwrap();
        let read = Cassettes::read(folder.path()).unwrap();
        assert_eq!(read.get(Operation::SmsSend, "success").unwrap().note, "one");
        assert!(read.get(Operation::SmsGet, "success").is_none());
        let none = Cassettes::read(&folder.path().join("absent")).unwrap();
        assert_eq!(none.of(Operation::SmsSend).count(), 0);
    }

    #[test]
    fn what_is_no_cassette_is_named() {
        for (folder_name, text) in [
            ("sms.send", "{"),
            ("sms.send", r#"{"cassette":2}"#),
            ("sms.send", r#"{"cassette":1,"colour":"red"}"#),
            (
                "sms.send",
                r#"{"cassette":1,"exchanges":[{"request":{"method":"GET","host":"a","path":"/"},"answer":{"status":99}}]}"#,
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join(folder_name)).unwrap();
            std::fs::write(folder.path().join(folder_name).join("success.json"), text).unwrap();
            let error = Cassettes::read(folder.path()).unwrap_err();
            assert!(matches!(error, CassetteError::Format { .. }), "{text}");
            assert!(error.to_string().contains("success.json"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sms.fly")).unwrap();
        let error = Cassettes::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("sms.send"), "{error}");
    }
}
