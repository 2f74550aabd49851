//! File names. Numbers are 16 hex digits, so that names sort like numbers.

pub(in crate::local) const CONSUMERS: &str = "consumers";
pub(in crate::local) const ANCHOR: &str = "anchor";
/// Ends the name of a file that is not finished; such files are removed at the start.
pub(in crate::local) const UNFINISHED: &str = ".tmp";
const SEGMENT: &str = ".segment";
const IDS: &str = ".ids";
const FILTERS: &str = ".filters";

pub(in crate::local) fn segment(id: u64) -> String {
    format!("{id:016x}{SEGMENT}")
}

pub(in crate::local) fn ids(segment: u64) -> String {
    format!("{segment:016x}{IDS}")
}

/// The filters of the ids of `n` segments from `first` on.
pub(in crate::local) fn filters(first: u64, n: usize) -> String {
    format!("{first:016x}.{n}{FILTERS}")
}

/// First segment and number of segments of a file of filters.
pub(in crate::local) fn filters_of(name: &str) -> Option<(u64, usize)> {
    let (first, n) = name.strip_suffix(FILTERS)?.split_once('.')?;
    Some((number(first)?, n.parse().ok()?))
}

pub(in crate::local) fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// A segment that is being rewritten, in its new generation.
pub(in crate::local) fn rewritten(segment: u64, generation: u32) -> String {
    format!("{segment:016x}{SEGMENT}.{generation:08x}{UNFINISHED}")
}

/// Where the bytes that were cut off a segment are kept; `at` is the position of the cut.
pub(in crate::local) fn cut(segment: u64, at: u64, made: i64) -> String {
    format!("{}/{segment:016x}-{at:08x}-{made}", crate::disk::LOST_AND_FOUND)
}

pub(in crate::local) fn segment_id(name: &str) -> Option<u64> {
    number(name.strip_suffix(SEGMENT)?)
}

pub(in crate::local) fn ids_of(name: &str) -> Option<u64> {
    number(name.strip_suffix(IDS)?)
}

fn number(digits: &str) -> Option<u64> {
    if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None }
}
