//! What every layer may use: time, randomness, ids, secrets, sizes, back-off and masking rules.
//!
//! Invariants: no I/O, no async, no HTTP, no JSON. Time and randomness are values that a caller passes in, so that
//! any run can be replayed.

pub mod backoff;
pub mod clock;
pub mod id;
pub mod mask;
pub mod random;
pub mod secret;
pub mod size;
mod subnet;
pub mod time;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock};
pub use id::EventId;
pub use random::Random;
pub use secret::Secret;
pub use size::ByteSize;
pub use subnet::{Subnet, SubnetError};
pub use time::Timestamp;
