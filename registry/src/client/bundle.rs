//! Plugins in a folder, to be carried where there is no network.
//!
//! A bundle is an OCI image layout: `oras`, `skopeo` and others read and write it, so a bundle can
//! come from any registry and go to any. A copy of our index lies in it too, as
//! `onerouter-index.json`: with that, keys, yanks and advisories are known offline, and a bundle whose
//! index contradicts the known one is refused.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::layout::{INDEX_FILE, REF_NAME};
use super::{FetchError, Fetched};
use crate::digest::Digest;
use crate::index::Index;
use crate::package::{IMAGE_INDEX_TYPE, Image};
use crate::statement::STATEMENT_TYPE;

/// Writes plugins, with their statements, and the index into a new folder.
///
/// # Errors
/// The folder exists, or cannot be written; what was written of it is left there.
pub async fn write(
    folder: &Path,
    plugins: &[Fetched],
    index: Option<&Index>,
) -> Result<(), FetchError> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let mut listed = Vec::new();
    for plugin in plugins {
        let (image, _) = Image::of_component(&plugin.component)?;
        let mut descriptor = image.descriptor(None);
        let name = format!("{}:{}", plugin.manifest.id, plugin.manifest.version);
        descriptor.annotations = Some([(REF_NAME.to_owned(), name)].into());
        listed.push(descriptor);
        if let Some(sidecar) = &plugin.statement {
            let referrer = Image::of_statement(sidecar, &image.manifest);
            listed.push(referrer.descriptor(Some(STATEMENT_TYPE)));
            add(&mut files, referrer);
        }
        add(&mut files, image);
    }
    let layout = json!({"imageLayoutVersion": "1.0.0"});
    let manifests = json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX_TYPE, "manifests": listed});
    files.push(("oci-layout".into(), layout.to_string().into_bytes()));
    files.push(("index.json".into(), manifests.to_string().into_bytes()));
    if let Some(index) = index {
        files.push((INDEX_FILE.into(), index.to_json()));
    }
    let folder = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || put(&folder, files));
    written.await.map_err(FetchError::stopped)?
}

fn add(files: &mut Vec<(PathBuf, Vec<u8>)>, image: Image) {
    let blobs = image.blobs.into_iter().chain([image.manifest]);
    files.extend(blobs.map(|bytes| (blob_path(Digest::of(&bytes)), bytes)));
}

pub(super) fn blob_path(digest: Digest) -> PathBuf {
    ["blobs", "sha256", &digest.hex()].iter().collect()
}

fn put(folder: &Path, files: Vec<(PathBuf, Vec<u8>)>) -> Result<(), FetchError> {
    std::fs::create_dir(folder).map_err(FetchError::file("create", folder))?;
    let blobs = folder.join("blobs").join("sha256");
    std::fs::create_dir_all(&blobs).map_err(FetchError::file("create", &blobs))?;
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::write(&path, bytes).map_err(FetchError::file("write", &path))?;
    }
    Ok(())
}
