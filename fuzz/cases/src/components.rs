//! Manifests and components: what a stranger may put into the plugins folder.

use onerouter_manifest::{Manifest, Surface, pack, unpack};

/// The text of a manifest, as JSON and as TOML.
pub(crate) fn manifest(input: &[u8]) {
    if let Ok(manifest) = Manifest::from_json(input) {
        survives(&manifest);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(manifest) = Manifest::from_toml(text)
    {
        survives(&manifest);
    }
}

/// Written and read again, an accepted manifest is the same; and what it declares can be used.
fn survives(manifest: &Manifest) {
    let written = serde_json::to_vec(manifest).unwrap_or_default();
    match Manifest::from_json(&written) {
        Ok(again) => assert_eq!(*manifest, again),
        Err(error) => panic!("accepted once, then refused: {error}"),
    }
    for credential in &manifest.credentials {
        let _ = credential.accepts("anything");
        assert!(manifest.credential(&credential.name).is_some());
    }
    for setting in &manifest.settings {
        let _ = setting.accepts("anything");
    }
    assert!(!manifest.id.as_str().is_empty());
}

/// A component file, with a manifest or without one.
pub(crate) fn component(input: &[u8]) {
    if let Ok(unpacked) = unpack(input) {
        survives(&unpacked.manifest);
        assert!(!unpacked.capabilities.is_empty());
    }
    let Ok(surface) = Surface::read(input) else {
        return;
    };
    let _ = surface.capabilities();
    let Some(manifest) = plain_manifest() else {
        panic!("the plain manifest is refused");
    };
    if let Ok(packed) = pack(input, manifest) {
        match unpack(&packed) {
            Ok(unpacked) => assert_eq!(unpacked.manifest.exports, surface.exports),
            Err(error) => panic!("packed, but not to be unpacked: {error}"),
        }
    }
}

fn plain_manifest() -> Option<Manifest> {
    let text = "manifest = 1\nid = \"acme\"\nversion = \"1.0.0\"\npublisher = \"acme\"\n\
                name = \"Acme\"\nlicense = \"MIT\"\n";
    Manifest::from_toml(text).ok()
}
