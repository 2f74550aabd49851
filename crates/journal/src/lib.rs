//! The journal: the durable, append-only store that intake and delivery meet in.
//!
//! [`Journal`] is the seam; [`local`] keeps it in files of one directory, [`model`] in memory. Both run the same
//! conformance suite. What a settled or unsettled block means is written on the trait.
//!
//! Invariants: knows records and streams, but no destination, no filter, no outcome of a single event. Records go in
//! and come out unchanged.

mod block;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod disk;
mod error;
pub mod local;
pub mod model;
mod prepared;
pub mod retention;
mod seam;
pub mod signing;

pub use block::Block;
pub use error::{AppendError, JournalError, LeaseError};
pub use seam::{
    Append, Appended, Consumer, ConsumerCommand, ConsumerName, ConsumerState, Entry, Head, Journal, Lease,
    LeaseId, LeaseLimits, MAX_BLOCK_BYTES, MAX_RECORD_BYTES, Offset, OnConflict, Producer, ReadRange,
    Receipt, RequestKey, Settlement, StartAt, Tally, max_record_bytes,
};
