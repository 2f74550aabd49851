//! Events as typed values: what a producer says is what the document says, or the event is refused with the reason.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test that calls them")]

mod documents;
mod masking;
mod parts;
mod properties;
mod reading;
mod shared;
