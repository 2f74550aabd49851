//! Destinations: where event streaming configurations lead. One folder per vendor, each a configuration parsed once
//! into a valid value, a pure `encode` and a pure `classify`.
//!
//! Invariants: no vendor touches the network; the one [`Transport`] does. No vendor decides when to retry; it says what
//! an answer proves about each event. An answer that proves nothing is a retry, never a delivery.

mod address;
mod batching;
mod credential;
pub mod elasticsearch;
mod fields;
pub mod https;
mod network;
mod reason;
mod registry;
mod seam;
mod secrets;
mod session;
pub mod splunk;
mod streams;
pub mod transport;
mod way;

pub use address::is_refused;
pub use fields::Address;
pub use network::Route;
pub use registry::{Settings, SettingsError, Vendor};
pub use seam::{
    Ack, AckVerdict, Acknowledgement, Answer, BatchLimits, Destination, Frame, Grade, Lookup, Outcome,
    Request, Verdict,
};
pub use secrets::{SecretName, Secrets};
pub use session::Session;
pub use transport::{Transport, TransportError};
