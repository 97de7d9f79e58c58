//! What a client of HTTP/1 has sent, as far as it takes to name what was wrong with it: the library
//! says 431 of everything that is too large, and nothing of what comes too late. Requests may come
//! before the last one was answered, so heads and bodies are told apart here. Nothing but the words
//! of a refusal depends on it.

use super::{HEAD_BYTES_MAX, HEADERS_MAX};

/// How much of a line tells what it is.
const LINE_START_BYTES: usize = 64;
/// A line that is shorter is not what is too long.
const LINE_BYTES_LONG: usize = 8 << 10;
/// How every HTTP/2 connection begins, and no request of HTTP/1 does.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

#[derive(Debug, Default)]
pub(super) struct Heard {
    place: Place,
    line: Line,
    head: Head,
    /// What was wrong with the first head that was too large.
    refused: Option<u16>,
    is_http_2: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body whose length was declared.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk and of the end of its line.
    Chunk(u64),
    Trailers,
}

/// The line that is not at its end yet.
#[derive(Debug, Default)]
struct Line {
    start: Vec<u8>,
    bytes: usize,
}

/// The head that is not at its end yet.
#[derive(Debug, Default)]
struct Head {
    lines: usize,
    bytes: usize,
    is_url_long: bool,
    is_chunked: bool,
    length: u64,
}

impl Heard {
    /// Takes what came.
    pub(super) fn note(&mut self, mut bytes: &[u8]) {
        while !self.is_http_2 && !bytes.is_empty() {
            bytes = match self.place {
                Place::Body(left) => {
                    let (left, rest) = skip(left, bytes);
                    self.place = if left == 0 {
                        Place::Head
                    } else {
                        Place::Body(left)
                    };
                    rest
                }
                Place::Chunk(left) => {
                    let (left, rest) = skip(left, bytes);
                    self.place = if left == 0 {
                        Place::ChunkSize
                    } else {
                        Place::Chunk(left)
                    };
                    rest
                }
                Place::Head | Place::ChunkSize | Place::Trailers => self.note_line(bytes),
            };
        }
    }

    /// A head has begun, and has not ended.
    pub(super) fn is_mid_head(&self) -> bool {
        matches!(self.place, Place::Head) && self.head.bytes > 0 && !self.is_http_2
    }

    /// What the library finds too large: it says 431 of everything.
    pub(super) fn too_large(&self) -> u16 {
        // Else a Content-Length at the end of what it can count to.
        self.refused.or(self.head.too_large()).unwrap_or(413)
    }

    fn note_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end.saturating_add(1));
        let (piece, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        self.line.note(piece);
        let is_head = matches!(self.place, Place::Head);
        if is_head {
            self.head.bytes = self.head.bytes.saturating_add(piece.len());
            self.head.is_url_long |=
                self.line.bytes > LINE_BYTES_LONG && self.line.is_request_line();
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.place = self.after(&line);
        }
        rest
    }

    fn after(&mut self, line: &Line) -> Place {
        match self.place {
            Place::Head if !line.is_blank() => {
                self.is_http_2 |= self.head.lines == 0 && line.start.starts_with(HTTP_2);
                self.head.note(line);
                Place::Head
            }
            // The library skips these.
            Place::Head if self.head.lines == 0 => Place::Head,
            Place::Head => {
                let head = std::mem::take(&mut self.head);
                self.refused = self.refused.or(head.too_large());
                match head {
                    Head {
                        is_chunked: true, ..
                    } => Place::ChunkSize,
                    Head { length: 0, .. } => Place::Head,
                    Head { length, .. } => Place::Body(length),
                }
            }
            Place::ChunkSize => match line.chunk_size() {
                0 => Place::Trailers,
                size => Place::Chunk(size.saturating_add(2)),
            },
            Place::Trailers if line.is_blank() => Place::Head,
            Place::Trailers => Place::Trailers,
            other @ (Place::Body(_) | Place::Chunk(_)) => other,
        }
    }
}

impl Head {
    fn note(&mut self, line: &Line) {
        self.lines = self.lines.saturating_add(1);
        let text = String::from_utf8_lossy(&line.start).to_ascii_lowercase();
        match text.split_once(':') {
            Some(("content-length", value)) => self.length = value.trim().parse().unwrap_or(0),
            Some(("transfer-encoding", value)) => self.is_chunked |= value.contains("chunked"),
            Some(_) | None => {}
        }
    }

    fn too_large(&self) -> Option<u16> {
        // The request's own line is one of them.
        let is_too_large =
            self.lines > HEADERS_MAX.saturating_add(1) || self.bytes >= HEAD_BYTES_MAX;
        is_too_large.then_some(if self.is_url_long { 414 } else { 431 })
    }
}

impl Line {
    fn note(&mut self, piece: &[u8]) {
        let room = LINE_START_BYTES.saturating_sub(self.start.len());
        let start = piece.get(..room.min(piece.len())).unwrap_or_default();
        self.start.extend_from_slice(start);
        self.bytes = self.bytes.saturating_add(piece.len());
    }

    fn is_blank(&self) -> bool {
        matches!(self.start.as_slice(), b"\n" | b"\r\n")
    }

    /// A header's line has a colon first.
    fn is_request_line(&self) -> bool {
        let mut bytes = self.start.iter();
        bytes.find(|byte| matches!(byte, b' ' | b':')) == Some(&b' ')
    }

    fn chunk_size(&self) -> u64 {
        let digits = self.start.iter().map(|byte| char::from(*byte).to_digit(16));
        digits.map_while(|digit| digit).fold(0, |size: u64, digit| {
            size.saturating_mul(16).saturating_add(u64::from(digit))
        })
    }
}

/// What is left of `count` after `bytes`, and of `bytes` after `count`.
fn skip(count: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let length = usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()));
    let skipped = u64::try_from(length).unwrap_or(u64::MAX);
    let rest = bytes.get(length..).unwrap_or_default();
    (count.saturating_sub(skipped), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is cut.
    fn heard(text: &str) -> Heard {
        let mut last = None;
        for size in [1, 7, text.len().max(1)] {
            let mut heard = Heard::default();
            for piece in text.as_bytes().chunks(size) {
                heard.note(piece);
            }
            let found = (heard.is_mid_head(), heard.too_large());
            let before = last.replace((found, heard));
            assert!(
                before.is_none_or(|(before, _)| before == found),
                "in pieces of {size}"
            );
        }
        last.unwrap().1
    }

    #[test]
    fn a_head_that_has_not_ended_is_told_from_a_body() {
        for (text, is_mid_head) in [
            ("", false),
            ("G", true),
            ("GET / HTTP/1.1\r\n", true),
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\n\n", false),
            ("GET / HTTP/1.1\r\n\r\nGET", true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nG", false),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nG\n\nG", true),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n\r\n\r\n0\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n0\r\nA: b\r\n\r\nG",
                true,
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nanything", false),
        ] {
            assert_eq!(heard(text).is_mid_head(), is_mid_head, "{text:?}");
        }
    }

    #[test]
    fn the_first_head_that_is_too_large_is_named_wherever_it_stands() {
        let whole = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let header = format!("GET / HTTP/1.1\r\nA: {}", "x y".repeat(30_000));
        let line = format!("GET /{}", "x".repeat(80_000));
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(101));
        let enough = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
        for (text, status) in [
            (header.clone(), 431),
            (whole.repeat(2) + &header, 431),
            (whole.repeat(3_000) + &line, 414),
            (line + "\r\n\r\n" + &many, 414),
            (many + "\r\n" + whole, 431),
            (enough, 413),
        ] {
            assert_eq!(heard(&text).too_large(), status, "{:.100}", text);
        }
    }
}
