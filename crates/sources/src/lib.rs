//! Sources: where events come from when a platform sends them in its own words. One folder per platform, each a pure,
//! total `normalise`: raw item → event. Webhook routes are the API's, poll loops intake's.
//!
//! Invariants: no I/O, no clock. An unknown type passes through with the vendor's own code; only what is no event at all
//! is [`Unparseable`]. The raw item is kept, masked, in the event.

pub mod auth0;
mod registry;

pub use registry::{Item, ItemRule, Normalised, Platform, SourceKind, SplitError, Unparseable};
