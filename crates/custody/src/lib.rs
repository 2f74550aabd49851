//! What shows that nothing was lost or changed without being told: signed heads, the check at the start, verification,
//! backup and restore, erasure.
//!
//! Invariants: knows the journal and the catalog, and neither intake nor destinations. What is to be told to others is a
//! note in the catalog; whoever posts notes makes audit logs of them.

pub mod backup;
pub mod erasure;
pub mod heads;
pub mod key;
mod told;
pub mod verify;

pub use told::{repaired, tell};

/// Who posts idstream's own audit logs.
pub use event::own::OURSELVES;
