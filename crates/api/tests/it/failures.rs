//! What callers are told when the journal fails: enough to act on, nothing about the inside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{ManualClock, Timestamp};
use event::StreamSet;
use http::{Method, StatusCode};
use insta::assert_snapshot;
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use serde_json::json;

use crate::app::{App, JSON, STREAMING, event, splunk};

/// How a [`Broken`] journal refuses to append.
type Refusal = fn() -> AppendError;

/// A journal that does nothing it is asked to.
struct Broken(Refusal);

const INSIDE: &str = "segment 7 of /var/lib/idstream";

fn damaged() -> JournalError {
    JournalError::Damaged(INSIDE.to_owned())
}

#[async_trait]
impl Journal for Broken {
    async fn append(&self, _append: Append) -> Result<Appended, AppendError> {
        Err(self.0())
    }

    async fn lease(
        &self,
        _consumer: &ConsumerName,
        _streams: StreamSet,
        _limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        Err(damaged().into())
    }

    async fn extend(&self, _lease: LeaseId, _ttl: Duration) -> Result<(), LeaseError> {
        Err(damaged().into())
    }

    async fn settle(&self, _lease: LeaseId, _settlement: Settlement) -> Result<(), LeaseError> {
        Err(damaged().into())
    }

    async fn read(&self, _range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        Err(damaged())
    }

    async fn consumers(&self, _command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        Err(damaged())
    }

    async fn trim(&self, _up_to: u64) -> Result<(), JournalError> {
        Err(damaged())
    }

    fn head(&self) -> Head {
        Head { poisoned: true, ..Head::default() }
    }
}

pub(crate) async fn broken(refusal: Refusal) -> App {
    let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
    App::with_journal(Arc::new(Broken(refusal)), clock).await
}

#[tokio::test]
async fn events_that_cannot_be_stored_are_to_be_sent_again() {
    let busy = broken(|| AppendError::Busy).await.post(&[JSON], event("")).await;
    assert_snapshot!("busy", busy.shown());
    let refusals: [Refusal; 3] = [
        || AppendError::Full,
        || AppendError::Journal(JournalError::Poisoned),
        || AppendError::Journal(damaged()),
    ];
    for refusal in refusals {
        let reply = broken(refusal).await.post(&[JSON], event("")).await;
        assert_eq!(
            (reply.status, reply.error_key()),
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable".to_owned())
        );
        assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert!(!reply.text.contains(INSIDE), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_failure_of_our_own_says_nothing_about_the_inside() {
    let app = broken(|| AppendError::Busy).await;
    let reply = app.call(Method::POST, STREAMING, splunk("one")).await;
    assert_snapshot!("internal", reply.shown());
    assert_eq!(app.get(STREAMING).await.json()["page"]["totalElements"], json!(0), "nothing was created");
}

#[tokio::test]
async fn a_poisoned_journal_is_not_ready_but_the_process_lives() {
    let app = broken(|| AppendError::Busy).await;
    let ready = app.send(Method::GET, "/ready", &[], "").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.send(Method::GET, "/health", &[], "").await.status, StatusCode::OK);
}
