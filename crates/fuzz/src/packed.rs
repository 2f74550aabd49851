//! Packed bodies: what a few bytes unfold to is never trusted.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Most bytes of an unfolded body, and of what is packed here.
const MAX: usize = 100_000;

/// The first byte chooses: bytes as they came, or bytes that are packed first.
pub(crate) fn inflate(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let encoding = if kind & 1 == 0 { "gzip" } else { "zstd" };
    if kind & 2 == 0 {
        if let Some(unfolded) = bounded(encoding, bytes, MAX) {
            check_against_another_reader(encoding, bytes, &unfolded);
        }
        return;
    }
    // Packed by ourselves, in one member or two, it comes back; and not one byte over the limit does.
    let (first, second) = bytes.split_at(usize::from(kind >> 2) % (bytes.len() + 1));
    let packed = match encoding {
        "gzip" => [gzip(first), gzip(second)].concat(),
        _ => [zstd(first), zstd(second)].concat(),
    };
    assert_eq!(bounded(encoding, &packed, MAX).as_deref(), (bytes.len() <= MAX).then_some(bytes));
    if let Some(less) = bytes.len().checked_sub(1) {
        assert_eq!(bounded(encoding, &packed, less), None, "one byte too many");
    }
    let cut = packed.get(..packed.len() - 1).unwrap_or_default();
    if let Some(unfolded) = bounded(encoding, cut, MAX) {
        assert!(unfolded.len() < bytes.len() || second.is_empty(), "what is cut off is not whole");
    }
}

/// Unfolds, and sees that no more room is asked for than the limit.
fn bounded(encoding: &str, bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut room = 0;
    let unfolded = api::fuzz::inflate(encoding, bytes, max, |n| room = room.max(n))?;
    assert!(room <= max && unfolded.len() <= room, "{} bytes in room for {room}, of {max}", unfolded.len());
    Some(unfolded)
}

fn check_against_another_reader(encoding: &str, bytes: &[u8], unfolded: &[u8]) {
    let mut read = Vec::new();
    let done = match encoding {
        "gzip" => flate2::read::MultiGzDecoder::new(bytes).take(MAX as u64 + 1).read_to_end(&mut read),
        _ => return,
    };
    assert!(done.is_ok() && read == unfolded, "two readers read the same");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _written = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap_or_default()
}

/// Packed and unpacked texts.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = b"{\"type\":\"customerFlow\"}\n".repeat(20);
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    vec![
        with(0, &gzip(&text)),
        with(1, &zstd(&text)),
        with(0, &[gzip(&text), gzip(b"")].concat()),
        with(2, &text),
        with(0x43, &text),
        with(0, &gzip(&vec![0; 2 * MAX])),
        with(1, &zstd(&vec![0; 2 * MAX])),
    ]
}
