//! Delivery from the journal to destinations, in process: no socket, no disk, no wall clock.

#![cfg(test)]

mod acknowledgement;
mod keeping;
mod leaving;
mod parking;
mod pipeline;
mod toggling;
mod world;
