//! Looking at stored events on a disk that is slow: others are not kept waiting, and nobody waits for ever.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, ManualClock, Random, Timestamp};
use event::StreamSet;
use http::{Method, StatusCode};
use journal::model::{ModelJournal, ModelOptions};
use journal::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, ReadRange, Settlement,
};
use serde_json::json;

use crate::app::{App, JSON, STREAMING, event, splunk};

/// A journal that takes three seconds for each read.
struct Slow(ModelJournal);

#[async_trait]
impl Journal for Slow {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.0.append(append).await
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        self.0.lease(consumer, streams, limits).await
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.0.extend(lease, ttl).await
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.0.settle(lease, settlement).await
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.0.read(range).await
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        self.0.consumers(command).await
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.0.trim(up_to).await
    }

    fn head(&self) -> Head {
        self.0.head()
    }
}

async fn slow() -> App {
    let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
    let as_clock: Arc<dyn Clock> = clock.clone();
    let journal = ModelJournal::new(as_clock, Arc::new(Random::from_seed(1)), ModelOptions::default());
    let app = App::with_journal(Arc::new(Slow(journal)), clock).await;
    for _ in 0..1000 {
        assert_eq!(app.post(&[JSON], event("")).await.status, StatusCode::OK);
    }
    app
}

#[tokio::test(start_paused = true)]
async fn a_look_ends_in_time_and_tells_how_far_it_came() {
    let app = slow().await;
    let begun = tokio::time::Instant::now();
    let run = app.call(Method::POST, &format!("{STREAMING}/dryRun"), splunk("slow")).await.json();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(run["ended"], "time");
    let n_looked_at = run["lookedAt"].as_u64().unwrap();
    assert!((1..1000).contains(&n_looked_at), "{run}");
}

#[tokio::test(start_paused = true)]
async fn those_who_look_at_once_are_few_and_the_others_are_told_when_to_come_back() {
    let app = slow().await;
    let look = format!("{STREAMING}/preview?events=1");
    let replies =
        futures::future::join_all((0..5).map(|_| app.call(Method::POST, &look, splunk("slow")))).await;
    let (seen, busy): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == StatusCode::OK);
    assert_eq!((seen.len(), busy.len()), (2, 3));
    for reply in busy {
        assert_eq!((&*reply.error_key(), reply.header("retry-after")), ("busy", "5"));
    }
    let later = app.call(Method::POST, &look, splunk("slow")).await;
    assert_eq!(later.json()["lookedAt"], json!(1), "{}", later.text);
}
