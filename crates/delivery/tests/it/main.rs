//! Delivery from the journal to destinations, in process: no socket, no disk, no wall clock.

#![cfg(test)]

mod acknowledgement;
mod leaving;
mod parking;
mod pipeline;
mod redriving;
mod replaying;
mod toggling;
mod world;
