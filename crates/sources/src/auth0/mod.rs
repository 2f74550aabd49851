//! Auth0 log streams: the custom webhook's deliveries, split into items and understood one by one.
//!
//! The format is Auth0's: an item is `{"log_id": …, "data": {…}}`, or the bare `data` object as in its documentation and
//! its Management API. What is made of it is written in `docs/sources/auth0.md`.

mod account;
mod actions;
mod audit;
pub mod claims;
pub mod codes;
mod fields;
mod item;
pub mod masking;
mod normalise;
mod place;
mod split;
mod times;

pub use normalise::normalise;
pub use split::{Item, MAX_ITEMS, SplitError, split};
