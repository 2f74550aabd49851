//! The format, byte by byte; the tables are in `docs/JOURNAL-FORMAT.md`.
//!
//! Pure functions between bytes and values. Foreign bytes give errors, never panics, and every size is checked before
//! anything is allocated for it.

pub(super) mod anchor;
pub(super) mod block;
pub(super) mod checkpoint;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub(super) mod names;
pub(super) mod segment;
pub(super) mod wire;

/// The format version of everything but signed anchors and markers of lost blocks, which are version 2.
pub(super) const VERSION: u16 = 1;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    /// A newer version wrote them, or this version with an encoding or a lane that it does not know.
    #[error("format version {0} or its encoding is newer than this idstream reads")]
    Version(u16),
    /// They are something else, or damaged.
    #[error("{0}")]
    Malformed(&'static str),
}
