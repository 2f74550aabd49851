//! The stand-in as a sender meets it: real destinations, real requests over loopback.

#![cfg(test)]

mod acks;
mod counts;
mod faults;
mod sender;
mod table;
