//! The destinations as `delivery` uses them: built from a configuration, asked for bytes and for verdicts.

#![cfg(test)]

mod bulk_answers;
mod hec_answers;
mod https_answers;
mod laws;
mod material;
mod packing;
mod proxies;
mod tls;
mod wire;
mod wires;
