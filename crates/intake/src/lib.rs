//! Intake: admits deliveries, normalises them, appends them to the journal and answers a receipt for every event.
//!
//! Invariants: no HTTP here, the API calls it in process; so do the simulator and poll loops. A receipt is given only
//! for what the journal says is durable. One bad event costs only itself.

mod delivery;
mod discovery;
mod parse;
mod quarantine;
mod receipt;
mod service;
mod source;

pub use delivery::working_bytes;
pub use discovery::{Discovered, DiscoveredClaims, Discovery, MAX_DISCOVERED};
pub use receipt::{Accepted, IntakeError, Receipts, Rejected};
pub use service::{Intake, Limits, Posted, ProducerIdentity, SourceReceipt};
pub use source::Source;
