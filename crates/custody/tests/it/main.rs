//! Heads, verification, backup and restore on real files.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod backups;
mod rig;
mod signed;
