//! Components whose manifest was exchanged, honestly or not.

use bytes::Bytes;
use onerouter_manifest::{Manifest, unpack};
use wasmparser::{Parser, Payload};

/// The same component with a manifest that was changed in this way.
pub(crate) fn repacked(packed: &[u8], change: impl FnOnce(&mut Manifest)) -> Bytes {
    let mut manifest = unpack(packed).unwrap().manifest;
    change(&mut manifest);
    onerouter_manifest::pack(&without_manifest(packed), manifest)
        .unwrap()
        .into()
}

/// The manifest is the last section: everything before it.
pub(crate) fn without_manifest(packed: &[u8]) -> Vec<u8> {
    let others = Parser::new(0).parse_all(packed).filter_map(|payload| {
        let payload = payload.unwrap();
        let is_manifest = matches!(
            &payload,
            Payload::CustomSection(section) if section.name() == onerouter_manifest::SECTION
        );
        payload
            .as_section()
            .filter(|_| !is_manifest)
            .map(|(_, range)| range.end)
    });
    packed.get(..others.max().unwrap()).unwrap().to_vec()
}

/// The manifest's JSON, as it stands in the component.
pub(crate) fn manifest_json(packed: &[u8]) -> serde_json::Value {
    serde_json::to_value(unpack(packed).unwrap().manifest).unwrap()
}

/// A component with whatever in the place of its manifest: nothing here looks at it.
pub(crate) fn with_section(component: &[u8], content: &[u8]) -> Bytes {
    let name = onerouter_manifest::SECTION;
    let named = [&length(name.len()), name.as_bytes(), content].concat();
    [component, &section(0, &named)].concat().into()
}

/// A section of a component.
pub(crate) fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], length(content.len()).as_slice(), content].concat()
}

/// LEB128.
fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        if length == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
