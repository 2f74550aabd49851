//! A simulated Splunk indexer behind a collector whose token has indexer acknowledgement, as it was measured: ids count
//! from 0 in each channel, `true` is told once and forgotten, an unknown id is `false`, and what is taken is stored only
//! some time later. A restart loses what was not stored, and the channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct IndexerOptions {
    /// Whether the token has acknowledgement. Without it, what is taken is stored at once.
    pub acknowledges: bool,
    /// From taking to storing.
    pub delay: Duration,
    /// How many of a hundred requests are never stored, nor acknowledged.
    pub forgotten: u64,
    /// Of a hundred answers about acknowledgements, how many get lost after they were made.
    pub lost_answers: u64,
    /// In how many of a hundred requests the indexer restarts first.
    pub restarts: u64,
    /// Indexers behind a balancer that sends every request to the next one; 1: no balancer.
    pub n_indexers: usize,
}

impl Default for IndexerOptions {
    fn default() -> Self {
        Self {
            acknowledges: true,
            delay: Duration::from_millis(1100),
            forgotten: 0,
            lost_answers: 0,
            restarts: 0,
            n_indexers: 1,
        }
    }
}

/// The events of one request.
#[derive(Debug)]
struct Taken {
    ids: Vec<String>,
    /// When they are stored; `None`: never.
    at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    taken: BTreeMap<u64, Taken>,
    stored: BTreeSet<u64>,
}

/// One indexer.
#[derive(Debug, Default)]
pub(super) struct Indexer {
    channels: HashMap<String, Channel>,
}

impl Indexer {
    /// Takes events; the id under which they are acknowledged.
    pub(super) fn take(&mut self, channel: &str, ids: Vec<String>, at: Option<Instant>) -> u64 {
        let channel = self.channels.entry(channel.to_owned()).or_default();
        let ack = channel.next;
        channel.next += 1;
        channel.taken.insert(ack, Taken { ids, at });
        ack
    }

    /// Which of these are acknowledged. Those are forgotten.
    pub(super) fn ask(&mut self, channel: &str, acks: &[u64]) -> BTreeMap<u64, bool> {
        let mut channel = self.channels.get_mut(channel);
        let mut told = |ack: &u64| channel.as_mut().is_some_and(|channel| channel.stored.remove(ack));
        acks.iter().map(|ack| (*ack, told(ack))).collect()
    }

    /// Stores what is due; its eventIDs.
    pub(super) fn store(&mut self, now: Instant) -> Vec<String> {
        let mut stored = Vec::new();
        for channel in self.channels.values_mut() {
            let due = |taken: &Taken| taken.at.is_some_and(|at| at <= now);
            let acks: Vec<u64> =
                channel.taken.iter().filter(|(_, taken)| due(taken)).map(|(ack, _)| *ack).collect();
            for ack in acks {
                stored.extend(channel.taken.remove(&ack).into_iter().flat_map(|taken| taken.ids));
                channel.stored.insert(ack);
            }
        }
        stored
    }

    /// Loses what is not stored, and every channel.
    pub(super) fn restart(&mut self) {
        self.channels.clear();
    }
}
