//! The whole API, called in process: no socket, no disk, no wall clock.

#![cfg(test)]

mod app;
mod audit;
mod canary;
mod clients;
mod event_streaming;
mod events;
mod failures;
mod filters;
mod network;
mod oauth;
mod problems;
mod slow;
mod sources;
mod trial;
