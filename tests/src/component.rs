//! Components taken apart and put together, with a manifest or without one.

const MANIFEST: &[u8] = b"onerouter:manifest";

/// The component as the compiler wrote it: without a manifest.
pub fn without_manifest(component: &[u8]) -> Vec<u8> {
    let (preamble, mut rest) = component.split_at(8);
    let mut bare = preamble.to_vec();
    while let Some((id, tail)) = rest.split_first() {
        let (length, digits) = leb128(tail);
        let whole = 1 + digits + length;
        let content = &tail[digits..digits + length];
        let is_manifest = *id == 0 && content.get(1..=MANIFEST.len()) == Some(MANIFEST);
        if !is_manifest {
            bare.extend_from_slice(&rest[..whole]);
        }
        rest = &rest[whole..];
    }
    bare
}

/// The component with these bytes as its manifest, whether they make sense or not.
pub fn with_manifest(component: &[u8], manifest: &[u8]) -> Vec<u8> {
    let name_length = u8::try_from(MANIFEST.len()).unwrap();
    let content = [&[name_length], MANIFEST, manifest].concat();
    let mut section = vec![0];
    let mut length = content.len();
    while length >= 0x80 {
        section.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    section.push(u8::try_from(length).unwrap());
    [without_manifest(component), section, content].concat()
}

/// A number, and how many bytes it takes.
fn leb128(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return (value, place + 1);
        }
    }
    panic!("a number without an end");
}
