//! What the server does in corners that the seam cares about. Each probe states a fact and checks it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, Context, Message, stream};
use async_nats::{Client, HeaderMap};
use base::SystemClock;
use event::{Stream, StreamSet};
use futures::StreamExt;
use journal::conformance::{append, confirmed, entry, id, limits, name};
use journal::{Append, ConsumerCommand, Journal, LeaseError, ReadRange, Receipt, Settlement, StartAt};

use crate::jet::{JetJournal, Mapping};
use crate::server::{Failure, Server};

const ACCOUNT: Stream = Stream::AccountEvent;

/// Runs all of them; the number of those that found something else.
pub async fn run(server: &mut Server) -> Result<usize, Failure> {
    let client = async_nats::connect(server.url()).await?;
    let context = jetstream::new(client.clone());
    println!("\nWhat the server does");
    let mut n_surprises = 0;
    let mut tell = |fact: &str, found: Result<bool, Failure>| {
        let holds = matches!(found, Ok(true));
        let how =
            found.map_or_else(|error| error.to_string(), |holds| if holds { "yes" } else { "NO" }.to_owned());
        println!("  {fact:<96} {how}");
        n_surprises += usize::from(!holds);
    };
    tell(
        "an acknowledgement of an expired delivery is taken while the block is out again",
        stale(&context).await,
    );
    tell("an acknowledgement of a block that is done is answered as if it were new", twice(&context).await);
    tell("a purge below sequence 0 drops everything", purge(&context).await);
    tell("headers above 64 KiB are refused, a payload of 1,000,000 bytes is not", sizes(&context).await);
    tell(
        "a message that is deleted leaves a gap; readers, writers and consumers pass over it",
        gap(&context).await,
    );
    tell(
        "an atomic batch of 3 is stored wholly, and not at all when one id of it is taken",
        batch(&client, &context).await,
    );
    tell(
        "a fetch without waiting right after a publish was answered may find nothing (counted)",
        early(&context).await,
    );
    tell("a consumer can be set back and forward (2.14)", reset(&context).await);
    tell("two writers at once store each id once, in one order", writers(server).await);
    tell("the checkpoint of a consumer that another process has moved is refused", fence(server).await);
    tell(
        "what was out when the server was killed comes again after the waiting time, not before",
        out(server, &context).await,
    );
    tell("appends across a kill of the server: what was receipted is there, once", kill(server).await);
    Ok(n_surprises)
}

async fn fresh(context: &Context, name: &str, n: usize) -> Result<stream::Stream, Failure> {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        allow_direct: true,
        allow_atomic_publish: true,
        ..stream::Config::default()
    };
    let stream = context.create_stream(config).await?;
    for n in 1..=n {
        context.publish(format!("{name}.a"), n.to_string().into()).await?.await?;
    }
    Ok(stream)
}

async fn consumer(stream: &stream::Stream, ack_wait: Duration) -> Result<PullConsumer, Failure> {
    let durable_name = Some("c".to_owned());
    let config =
        pull::Config { durable_name, ack_policy: AckPolicy::Explicit, ack_wait, ..pull::Config::default() };
    Ok(stream.create_consumer(config).await?)
}

async fn fetch(consumer: &PullConsumer) -> Result<Vec<Message>, Failure> {
    let mut messages = consumer.fetch().max_messages(100).messages().await?;
    let mut all = Vec::new();
    while let Some(message) = messages.next().await {
        all.push(message?);
    }
    Ok(all)
}

async fn stale(context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "stale", 1).await?;
    let consumer = consumer(&stream, Duration::from_millis(300)).await?;
    let first = fetch(&consumer).await?.remove(0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = fetch(&consumer).await?.remove(0);
    first.double_ack().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(again.info()?.delivered == 2 && fetch(&consumer).await?.is_empty())
}

async fn early(context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "early", 0).await?;
    let consumer = consumer(&stream, Duration::from_secs(30)).await?;
    let mut n_empty = 0;
    for _ in 0..1_000 {
        context.publish("early.a", "".into()).await?.await?;
        n_empty += usize::from(fetch(&consumer).await?.is_empty());
    }
    println!("    ({n_empty} of 1000 found nothing)");
    Ok(true)
}

async fn twice(context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "twice", 1).await?;
    let message = fetch(&consumer(&stream, Duration::from_secs(30)).await?).await?.remove(0);
    message.double_ack().await?;
    Ok(message.double_ack().await.is_ok())
}

async fn purge(context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "purged", 3).await?;
    stream.purge().sequence(0).await?;
    let state = stream.get_info().await?.state;
    Ok(state.messages == 0 && state.first_sequence == 4)
}

async fn sizes(context: &Context) -> Result<bool, Failure> {
    let _stream = fresh(context, "sizes", 0).await?;
    let mut headers = HeaderMap::new();
    headers.insert("Many", "x".repeat(70_000));
    let many = context.publish_with_headers("sizes.a", headers, "".into()).await?.await;
    let large = context.publish("sizes.a", vec![b'x'; 1_000_000].into()).await?.await;
    Ok(many.is_err() && large.is_ok())
}

async fn gap(context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "gap", 3).await?;
    // With `no_erase` absent the server overwrites the message before it forgets it.
    stream.delete_message(2).await?;
    stream.delete_message(3).await?;
    let next = jetstream::message::PublishMessage::build().expected_last_sequence(3).payload("4".into());
    let ack = context.send_publish("gap.a", next).await?.await?;
    let seen = fetch(&consumer(&stream, Duration::from_secs(30)).await?).await?;
    let sequences: Vec<u64> =
        seen.iter().filter_map(|message| Some(message.info().ok()?.stream_sequence)).collect();
    Ok(ack.sequence == 4 && sequences == [1, 4] && stream.direct_get(2).await.is_err())
}

async fn send_batch(client: &Client, batch: &str, ids: &[&str]) -> Result<String, Failure> {
    let mut answer = String::new();
    for (at, id) in ids.iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", batch);
        headers.insert("Nats-Batch-Sequence", (at + 1).to_string());
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        if at + 1 == ids.len() {
            headers.insert("Nats-Batch-Commit", "1");
        }
        let subject = format!("batch.id.{id}");
        let reply =
            client.request_with_headers(subject, headers, bytes::Bytes::from((*id).to_owned())).await?;
        answer = String::from_utf8_lossy(&reply.payload).into_owned();
    }
    Ok(answer)
}

async fn batch(client: &Client, context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "batch", 0).await?;
    let whole = send_batch(client, "one", &["a", "b", "c"]).await?;
    let refused = send_batch(client, "two", &["d", "b", "e"]).await?;
    let n = stream.get_info().await?.state.messages;
    Ok(whole.contains("\"seq\":3") && refused.contains("error") && n == 3)
}

async fn reset(context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "reset", 5).await?;
    let consumer = consumer(&stream, Duration::from_secs(30)).await?;
    let first = fetch(&consumer).await?.len();
    stream.reset_consumer("c", Some(4)).await?;
    let forward = fetch(&consumer).await?.len();
    stream.reset_consumer("c", Some(2)).await?;
    Ok((first, forward, fetch(&consumer).await?.len()) == (5, 2, 4))
}

async fn journal(server: &Server, prefix: &str, mapping: Mapping) -> Result<Arc<JetJournal>, Failure> {
    let client = async_nats::connect(server.url()).await?;
    Ok(Arc::new(JetJournal::open(client, prefix, mapping, Arc::new(SystemClock)).await?))
}

async fn all_ids(journal: &JetJournal) -> Result<Vec<base::EventId>, Failure> {
    let range = ReadRange { streams: StreamSet::product(), from: 0, until: u64::MAX, max_bytes: usize::MAX };
    let blocks = journal.read(range).await?;
    Ok(blocks.iter().flat_map(|block| block.records().map(|(_, record)| record.event_id())).collect())
}

async fn writers(server: &Server) -> Result<bool, Failure> {
    let (a, b) = (
        journal(server, "writers", Mapping::Cursor).await?,
        journal(server, "writers", Mapping::Cursor).await?,
    );
    let mut tasks = Vec::new();
    for n in 0..20 {
        for journal in [&a, &b] {
            let journal = Arc::clone(journal);
            tasks.push(tokio::spawn(async move { journal.append(append(ACCOUNT, n * 3..n * 3 + 6)).await }));
        }
    }
    let mut places = BTreeSet::new();
    let mut n_stored = 0;
    for task in tasks {
        for receipt in task.await??.receipts {
            if let Receipt::Stored(offset) = receipt {
                n_stored += 1;
                places.insert(offset);
            }
        }
    }
    let fresh = journal(server, "writers", Mapping::Cursor).await?;
    let found = all_ids(&fresh).await?;
    let distinct: BTreeSet<_> = found.iter().copied().collect();
    Ok(n_stored == 63 && places.len() == 63 && found.len() == 63 && distinct.len() == 63)
}

async fn fence(server: &Server) -> Result<bool, Failure> {
    let a = journal(server, "fence", Mapping::Cursor).await?;
    let streams = StreamSet::product();
    let create = ConsumerCommand::Create { name: name("c"), streams, start: StartAt::Earliest, until: None };
    a.consumers(create).await?;
    a.append(append(ACCOUNT, [1])).await?;
    a.append(append(ACCOUNT, [2])).await?;
    let out = a.lease(&name("c"), streams, limits()).await?;
    let b = journal(server, "fence", Mapping::Cursor).await?;
    for lease in b.lease(&name("c"), streams, limits()).await? {
        b.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await?;
    }
    b.close().await;
    a.settle(out[0].id, Settlement::Done(confirmed(&out[0].block))).await?;
    a.close().await;
    let refused = a.settle(out[1].id, Settlement::Done(confirmed(&out[1].block))).await;
    let fresh = journal(server, "fence", Mapping::Cursor).await?;
    let state = fresh.consumers(ConsumerCommand::List).await?.remove(0).state;
    Ok(matches!(refused, Err(LeaseError::Stale)) && state.tally.confirmed == 2 && state.floor == 3)
}

async fn out(server: &mut Server, context: &Context) -> Result<bool, Failure> {
    let stream = fresh(context, "out", 2).await?;
    let consumer = consumer(&stream, Duration::from_secs(3)).await?;
    let held = fetch(&consumer).await?;
    // The server writes down what is out ten times a second; killed before, it would give it out again at once.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begin = Instant::now();
    server.kill_and_start_again()?;
    let mut waited = Vec::new();
    while waited.len() < 2 && begin.elapsed() < Duration::from_secs(20) {
        if let Ok(messages) = fetch(&consumer).await {
            for message in messages {
                waited.push((begin.elapsed(), message.info()?.delivered));
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("    (after the kill, number of the delivery: {waited:?})");
    let at_least =
        waited.iter().all(|(after, delivered)| *after >= Duration::from_millis(1_500) && *delivered >= 2);
    held[0].ack_with(AckKind::Ack).await?;
    Ok(waited.len() == 2 && at_least)
}

async fn kill(server: &mut Server) -> Result<bool, Failure> {
    let journal = journal(server, "kill", Mapping::Cursor).await?;
    let appending = {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            let (mut n_ok, mut n_failed) = (0, 0);
            let begin = Instant::now();
            let mut n = 0;
            while begin.elapsed() < Duration::from_secs(6) {
                let sent = Append { entries: vec![entry(ACCOUNT, n)], ..append(ACCOUNT, []) };
                match journal.append(sent).await {
                    Ok(_) => {
                        n_ok += 1;
                        n += 1;
                    }
                    Err(_) => n_failed += 1,
                }
            }
            (n, n_ok, n_failed)
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..2 {
        server.kill_and_start_again()?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let (n, n_ok, n_failed) = appending.await?;
    let found = all_ids(&journal).await?;
    let wanted: Vec<_> = (0..n).map(id).collect();
    println!("    ({n_ok} receipts, {n_failed} failed appends, {} stored)", found.len());
    Ok(n_ok > 0 && found[..wanted.len()] == wanted[..] && found.len() - wanted.len() <= 1)
}
