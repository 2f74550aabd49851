//! The HTTP API: event streaming configurations, native claims, API clients, sources, and the way in for events.
//!
//! [`router()`] holds every route, with the scope that it needs, on one screen. A call is admitted before its body is
//! read. Every error leaves as the contract's problem envelope, see [`ErrorKey`].
//!
//! Invariants: no credential is ever answered, except a new token, once. A 5xx answer says nothing about the inside;
//! its cause goes to the diagnostics. No request holds more memory than its limits allow, compressed or not.

mod access;
pub mod alarming;
pub mod audit;
mod body;
mod call;
mod clients;
mod console;
mod erasures;
mod error;
mod event_streaming;
mod fields;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod health;
mod inflate;
mod intake_calls;
mod limits;
mod metrics;
mod names;
pub mod native_claims;
mod oauth;
mod page;
mod query;
mod router;
mod routes;
mod schemas;
pub mod sign_in;
mod source_calls;
mod state;
mod stored;
mod strict;
pub mod uses;
mod webhook;

pub use access::{ApiClient, Scope, bootstrap_client};
pub use erasures::carry_out_erasures;
pub use error::ErrorKey;
pub use limits::RateLimits;
pub use router::{listed, router};
pub use routes::{Access, Listed};
pub use state::{ApiParts, ApiState, BodyLimits};
