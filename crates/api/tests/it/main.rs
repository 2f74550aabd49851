//! The whole API, called in process: no socket, no disk, no wall clock.

#![cfg(test)]

mod alarms;
mod app;
mod audit;
mod backlog;
mod canary;
mod changes;
mod claims;
mod clients;
mod discovered_claims;
mod erasures;
mod event_streaming;
mod events;
mod failures;
mod faring;
mod filters;
mod gate;
mod hooks;
mod limits;
mod links;
mod metrics;
mod network;
mod oauth;
mod problems;
mod quarantine;
mod reconcile;
mod resume;
mod runs;
mod schemas;
mod selected_claims;
mod sign_in;
mod slow;
mod sources;
mod start;
mod trial;
