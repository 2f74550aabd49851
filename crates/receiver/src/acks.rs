//! Indexer acknowledgement as it was measured on Splunk: ids count from 0 in each channel; a stored one is told once and
//! forgotten; an unknown one, also of another channel, is not told from one that is not stored yet.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use http::request::Parts;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

/// What a channel's name must look like.
const GUID: usize = 36;

#[derive(Deserialize)]
struct Question {
    acks: Vec<u64>,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    /// When the events of a request are stored.
    stored_at: BTreeMap<u64, Instant>,
}

/// The channels of a collector whose token has acknowledgement, or not.
#[derive(Debug)]
pub(crate) struct Acks {
    delay: Option<Duration>,
    channels: Mutex<HashMap<String, Channel>>,
}

impl Acks {
    /// With acknowledgement when there is a delay from taking to storing.
    pub(crate) fn new(delay: Option<Duration>) -> Self {
        Self { delay, channels: Mutex::default() }
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

    /// Takes the events of a request; the id under which they are acknowledged.
    pub(crate) fn take(&self, channel: Option<String>) -> Option<u64> {
        let (delay, channel) = self.delay.zip(channel)?;
        let mut channels = self.channels.lock();
        let channel = channels.entry(channel).or_default();
        let ack = channel.next;
        channel.next += 1;
        channel.stored_at.insert(ack, Instant::now() + delay);
        Some(ack)
    }

    /// The answer about acknowledgements, or the collector's code: 14 without, 10 and 11 as above, 6 for another body.
    pub(crate) fn tell(&self, parts: &Parts, body: &[u8]) -> Result<String, u32> {
        let channel = self.channel(parts)?.ok_or(14_u32)?;
        let question: Question = serde_json::from_slice(body).map_err(|_| 6_u32)?;
        let now = Instant::now();
        let mut channels = self.channels.lock();
        let mut channel = channels.get_mut(&channel);
        let mut is_stored = |ack: &u64| {
            let Some(channel) = channel.as_mut() else { return false };
            let is_due = channel.stored_at.get(ack).is_some_and(|at| *at <= now);
            is_due && channel.stored_at.remove(ack).is_some()
        };
        let told: BTreeMap<u64, bool> = question.acks.iter().map(|ack| (*ack, is_stored(ack))).collect();
        Ok(serde_json::json!({ "acks": told }).to_string())
    }

    /// As after a restart.
    pub(crate) fn forget(&self) {
        self.channels.lock().clear();
    }
}

/// The channel that a request names, in its header or its query.
fn named(parts: &Parts) -> Option<String> {
    let header = parts.headers.get("x-splunk-request-channel").and_then(|value| value.to_str().ok());
    let mut query = parts.uri.query().unwrap_or_default().split('&');
    let asked = query.find_map(|pair| pair.strip_prefix("channel="));
    header.or(asked).map(ToOwned::to_owned)
}
