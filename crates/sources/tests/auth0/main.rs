//! Auth0: the code table against the published list, real events, events of our own, secrets, arbitrary input.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test that calls them")]

mod codes;
mod masking;
#[cfg(feature = "material")]
mod material;
mod own_events;
mod page;
mod properties;
#[cfg(feature = "material")]
mod published;
#[cfg(feature = "material")]
mod real_events;
mod shared;
mod split;
