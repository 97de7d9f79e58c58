//! A component in a file, with its statement beside it.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::{ClientLimits, FetchError, Fetched, Origin};
use crate::statement::STATEMENT_BYTES_MAX;

/// Where the statement of a component's file is: beside it, `plugin.wasm.sig`.
#[must_use]
pub fn sidecar_of(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

pub(super) async fn fetch(path: &Path, limits: &ClientLimits) -> Result<Fetched, FetchError> {
    let component = read(path.to_owned(), ("component", limits.component_bytes_max)).await?;
    let sidecar = read(sidecar_of(path), ("statement", STATEMENT_BYTES_MAX)).await;
    let statement = match sidecar {
        Ok(bytes) => Some(bytes),
        Err(FetchError::File { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Fetched::of(component.into(), statement, Origin::File(path.to_owned())).await
}

/// A regular file of at most so many bytes.
pub(super) async fn read(
    path: PathBuf,
    bounds: (&'static str, usize),
) -> Result<Vec<u8>, FetchError> {
    let (what, most) = bounds;
    let read = tokio::task::spawn_blocking(move || {
        let failed = |error| FetchError::file("read", &path)(error);
        // A pipe or a device could go on for ever, and a pipe without a writer blocks who opens it. Held
        // against the open file again: what lies there may have been changed in between.
        let regular = |metadata: std::fs::Metadata| {
            if metadata.is_file() {
                return Ok(());
            }
            let error = std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file");
            Err(failed(error))
        };
        regular(std::fs::metadata(&path).map_err(failed)?)?;
        let file = std::fs::File::open(&path).map_err(failed)?;
        regular(file.metadata().map_err(failed)?)?;
        let mut bytes = Vec::new();
        let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        file.take(one_more)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() > most {
            return Err(FetchError::TooLarge { what, most });
        }
        Ok(bytes)
    });
    read.await.map_err(FetchError::stopped)?
}
