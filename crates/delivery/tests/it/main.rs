//! Delivery from the journal to destinations, in process: no socket, no disk, no wall clock.

#![cfg(test)]

mod acknowledgement;
mod budgets;
mod damage;
mod falling;
mod isolation;
mod keeping;
mod leaving;
mod parking;
mod pipeline;
mod quarantine;
mod reconciling;
mod redriving;
mod replaying;
mod sick;
mod starting;
mod toggling;
mod troubled;
mod world;
