//! Delivery from the journal to destinations, in process: no socket, no disk, no wall clock.

#![cfg(test)]

mod leaving;
mod pipeline;
mod toggling;
mod world;
