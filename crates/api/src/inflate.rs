//! Decompression that stops at a limit: what a few bytes unfold to is never trusted.

use std::io::{self, Read};

use crate::error::ApiError;

/// Bytes that are unfolded in one step.
const STEP: usize = 64 * 1024;
/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, what every decoder should support (RFC
/// 8878 section 3.1.1.1.2).
const MAX_ZSTD_WINDOW: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Encoding {
    /// By the name in `Content-Encoding` (RFC 9110 section 8.4.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Why a body was not decompressed.
#[derive(Debug)]
pub(crate) enum InflateError {
    /// It unfolds to more than is allowed.
    TooLarge,
    /// It is not what it says.
    Damaged(io::Error),
    /// There is no room for it now.
    Refused(ApiError),
}

/// Decompresses `bytes` to at most `max` bytes. `make_room` is asked before the result takes as many bytes in memory.
pub(crate) fn inflate(
    encoding: Encoding,
    bytes: &[u8],
    max: usize,
    make_room: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Vec<u8>, InflateError> {
    match encoding {
        Encoding::Identity => unfold(bytes, max, make_room),
        Encoding::Gzip => unfold(flate2::bufread::MultiGzDecoder::new(bytes), max, make_room),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(bytes).map_err(InflateError::Damaged)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW).map_err(InflateError::Damaged)?;
            unfold(decoder, max, make_room)
        }
    }
}

fn unfold(
    mut from: impl Read,
    max: usize,
    mut make_room: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Vec<u8>, InflateError> {
    let mut step = vec![0; STEP];
    let mut out = Vec::new();
    loop {
        let n_read = from.read(&mut step).map_err(InflateError::Damaged)?;
        let Some(read) = step.get(..n_read).filter(|read| !read.is_empty()) else { return Ok(out) };
        let length = out.len() + n_read;
        if length > max {
            return Err(InflateError::TooLarge);
        }
        if length > out.capacity() {
            // Doubles as a vector would, but never beyond the limit, and never before there is room for it.
            let capacity = (out.capacity() * 2).clamp(length, max.max(length));
            make_room(capacity).map_err(InflateError::Refused)?;
            out.reserve_exact(capacity - out.len());
        }
        out.extend_from_slice(read);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn check(encoding: Encoding, bytes: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
        inflate(encoding, bytes, max, |_| Ok(()))
    }

    #[test]
    fn a_bomb_costs_no_more_memory_than_the_limit() {
        const MAX: usize = 700_000;
        for (encoding, bomb) in [
            (Encoding::Gzip, gzip(&vec![0; 200 << 20])),
            (Encoding::Zstd, zstd::encode_all(&vec![0; 200 << 20][..], 3).unwrap()),
        ] {
            assert!(bomb.len() < MAX);
            let mut room = 0;
            let refused = inflate(encoding, &bomb, MAX, |bytes| {
                room = bytes;
                Ok(())
            });
            assert!(matches!(refused, Err(InflateError::TooLarge)), "{encoding:?}");
            assert!(room <= MAX, "{encoding:?} took {room} bytes");
        }
    }

    #[test]
    fn a_body_of_exactly_the_limit_passes() {
        let text = vec![b'x'; 100_000];
        for (encoding, bytes) in
            [(Encoding::Gzip, gzip(&text)), (Encoding::Zstd, zstd::encode_all(&text[..], 1).unwrap())]
        {
            assert_eq!(check(encoding, &bytes, 100_000).unwrap(), text);
            assert!(matches!(check(encoding, &bytes, 99_999), Err(InflateError::TooLarge)));
        }
    }

    #[test]
    fn several_members_are_one_body_and_a_torn_or_foreign_one_is_damaged() {
        let joined = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(check(Encoding::Gzip, &joined, 100).unwrap(), b"one two");
        let torn = gzip(b"one two three");
        for bytes in [&torn[..torn.len() - 1], b"plain text", &[gzip(b"x"), b"garbage".to_vec()].concat()] {
            assert!(matches!(check(Encoding::Gzip, bytes, 100), Err(InflateError::Damaged(_))));
        }
        let torn = zstd::encode_all(&b"one two three"[..], 1).unwrap();
        assert!(matches!(check(Encoding::Zstd, &torn[..torn.len() - 1], 100), Err(InflateError::Damaged(_))));
    }

    #[test]
    fn a_frame_that_asks_for_a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&[0; 1000]).unwrap();
        let frame = encoder.finish().unwrap();
        assert!(matches!(check(Encoding::Zstd, &frame, 1 << 20), Err(InflateError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for encoding in [Encoding::Gzip, Encoding::Zstd] {
                let _whatever = check(encoding, &bytes, 1000);
            }
        }
    }
}
