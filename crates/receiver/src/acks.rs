//! Indexer acknowledgement as it was measured on Splunk: ids count from 0 in each channel; a stored one is told once and
//! forgotten; an unknown one, also of another channel, is not told from one that is not stored yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use base::EventId;
use http::request::Parts;
use parking_lot::Mutex;
use serde::Deserialize;

/// What a channel's name must look like.
const GUID: usize = 36;

#[derive(Deserialize)]
struct Question {
    acks: Vec<u64>,
}

/// The events of one request.
#[derive(Debug)]
struct Taken {
    ids: Vec<EventId>,
    /// When they are stored, as time since the start; `None`: never.
    at: Option<Duration>,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    taken: BTreeMap<u64, Taken>,
    /// Stored, and not told yet.
    stored: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Indexer {
    channels: HashMap<String, Channel>,
    stored: BTreeMap<EventId, u64>,
}

impl Indexer {
    fn store(&mut self, ids: impl IntoIterator<Item = EventId>) {
        for id in ids {
            *self.stored.entry(id).or_default() += 1;
        }
    }

    /// Stores what is due.
    fn store_due(&mut self, now: Duration) {
        let mut due = Vec::new();
        for channel in self.channels.values_mut() {
            let is_due = |_: &u64, taken: &mut Taken| taken.at.is_some_and(|at| at <= now);
            for (ack, taken) in channel.taken.extract_if(.., is_due) {
                channel.stored.insert(ack);
                due.extend(taken.ids);
            }
        }
        self.store(due);
    }
}

/// The channels of a collector whose token has acknowledgement, or not.
#[derive(Debug)]
pub(crate) struct Acks {
    delay: Option<Duration>,
    indexer: Mutex<Indexer>,
}

impl Acks {
    /// With acknowledgement when there is a delay from taking to storing.
    pub(crate) fn new(delay: Option<Duration>) -> Self {
        Self { delay, indexer: Mutex::default() }
    }

    /// The channel of a request for events, where the token needs one; the collector's code when it is missing (10) or no
    /// GUID (11).
    pub(crate) fn channel(&self, parts: &Parts) -> Result<Option<String>, u32> {
        if self.delay.is_none() {
            return Ok(None);
        }
        let named = named(parts).ok_or(10_u32)?;
        if named.len() == GUID && named.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            Ok(Some(named))
        } else {
            Err(11)
        }
    }

    /// Takes the events of a request; the id under which they are acknowledged. Unless they are kept they are never stored.
    pub(crate) fn take(
        &self,
        channel: Option<String>,
        ids: Vec<EventId>,
        is_kept: bool,
        now: Duration,
    ) -> Option<u64> {
        let mut indexer = self.indexer.lock();
        let Some((delay, channel)) = self.delay.zip(channel) else {
            indexer.store(ids);
            return None;
        };
        let channel = indexer.channels.entry(channel).or_default();
        let ack = channel.next;
        channel.next += 1;
        channel.taken.insert(ack, Taken { ids, at: is_kept.then(|| now + delay) });
        Some(ack)
    }

    /// How often an event was stored by now.
    pub(crate) fn n_stored(&self, id: EventId, now: Duration) -> u64 {
        let mut indexer = self.indexer.lock();
        indexer.store_due(now);
        indexer.stored.get(&id).copied().unwrap_or_default()
    }

    /// The answer about acknowledgements, or the collector's code: 14 without, 10 and 11 as above, 6 for another body.
    pub(crate) fn tell(&self, parts: &Parts, body: &[u8], now: Duration) -> Result<String, u32> {
        let channel = self.channel(parts)?.ok_or(14_u32)?;
        let question: Question = serde_json::from_slice(body).map_err(|_| 6_u32)?;
        let mut indexer = self.indexer.lock();
        indexer.store_due(now);
        let mut channel = indexer.channels.get_mut(&channel);
        let mut is_stored = |ack: &u64| channel.as_mut().is_some_and(|channel| channel.stored.remove(ack));
        let told: BTreeMap<u64, bool> = question.acks.iter().map(|ack| (*ack, is_stored(ack))).collect();
        Ok(serde_json::json!({ "acks": told }).to_string())
    }

    /// As after a restart: what is not stored by now is lost, and so are the channels.
    pub(crate) fn forget(&self, now: Duration) {
        let mut indexer = self.indexer.lock();
        indexer.store_due(now);
        indexer.channels.clear();
    }
}

/// The channel that a request names, in its header or its query.
fn named(parts: &Parts) -> Option<String> {
    let header = parts.headers.get("x-splunk-request-channel").and_then(|value| value.to_str().ok());
    let mut query = parts.uri.query().unwrap_or_default().split('&');
    let asked = query.find_map(|pair| pair.strip_prefix("channel="));
    header.or(asked).map(ToOwned::to_owned)
}
