//! The explorer on a journal in memory and a simulated disk.

#![cfg(test)]

mod follows;
mod heals;
mod model;
mod world;
