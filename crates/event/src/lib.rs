//! The event model: what idstream takes in, keeps and streams.
//!
//! A raw JSON event is parsed once into [`model`] values, its free-form parts become canonical, masked [`fragment`]s,
//! and the whole is laid out as a [`Record`]: a table of byte ranges that documents are later spliced from.
//!
//! Invariants: words and values only. No I/O, no async, no HTTP, no destination's format.

pub mod claims;
pub mod filter;
pub mod fragment;
mod header;
pub mod model;
pub mod native;
pub mod own;
pub mod pieces;
pub mod quarantine;
pub mod record;
pub mod sample;
pub mod schema;
pub mod stream;

pub use record::{Record, RecordBuilder, RecordError, Section};
pub use stream::{Stream, StreamSet};
