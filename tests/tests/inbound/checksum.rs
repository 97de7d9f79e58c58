//! Bodies with a checksum that somebody has signed.

/// The CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| step(crc ^ u32::from(*byte)))
}

fn step(crc: u32) -> u32 {
    (0..8).fold(crc, |crc, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    })
}

/// A text of this beginning and end with the checksum of `genuine`: what makes it so, a number and four
/// characters between them, may stand in a string of JSON.
pub(crate) fn with_equal_checksum(genuine: &[u8], beginning: &str, end: &str) -> Vec<u8> {
    let register = register_before(!crc32(genuine), end.as_bytes());
    let forged = (0..).find_map(|number: u32| {
        let beginning = format!("{beginning}{number} ");
        let patch = (register ^ !crc32(beginning.as_bytes())).to_le_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
        patch
            .iter()
            .all(is_plain)
            .then(|| [beginning.as_bytes(), &patch, end.as_bytes()].concat())
    });
    let forged = forged.unwrap();
    assert_eq!(crc32(&forged), crc32(genuine));
    forged
}

/// Backwards from the register that is wanted: which one leads there over four bytes of nothing and the end.
fn register_before(mut wanted: u32, end: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256).map(step).collect();
    for byte in [&[0; 4], end].concat().iter().rev() {
        let index = table
            .iter()
            .position(|entry| entry >> 24 == wanted >> 24)
            .unwrap();
        let before = u32::try_from(index).unwrap() ^ u32::from(*byte);
        wanted = ((wanted ^ table[index]) << 8) | before;
    }
    wanted
}
