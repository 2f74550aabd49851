//! What was hit, how often: a simulation that never meets a fault proves nothing about it.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

/// Everything that must be hit within a thousand seeds.
pub const MUST: &[&str] = &[
    "answer broken off",
    "answer lost",
    "append: answer lost",
    "append: busy or unavailable",
    "bulk: block of the cluster",
    "bulk: index missing",
    "bulk: one item too many",
    "bulk: some items busy",
    "clock set back",
    "clock set forward",
    "configuration created",
    "configuration deleted",
    "configuration edited",
    "configuration paused",
    "crash at a call",
    "crash in mid-write",
    "crash in time",
    "crash with power",
    "crash without power loss",
    "disk full",
    "diverted",
    "end in order",
    "erased",
    "failed sync",
    "failed write",
    "given up after a pause",
    "hec: busy codes",
    "hec: indexer restarted",
    "hec: near its limits",
    "hec: never stored",
    "hec: token refused",
    "hec: wrong index",
    "page of a proxy",
    "parked",
    "poisoned",
    "quarantined",
    "receipt: conflict",
    "receipt: duplicate",
    "receipt: invalid event",
    "receipt: key reused",
    "receipt: of another's id",
    "refused: connection",
    "request cut: too large",
    "request hung",
    "request lost",
    "resumed with the backlog",
    "trimmed",
    "trimmed before delivery",
    "whole request refused",
];

impl Counts {
    /// Counts one.
    pub fn add(&mut self, name: &'static str) {
        self.add_many(name, 1);
    }

    /// Counts some.
    pub fn add_many(&mut self, name: &'static str, n: u64) {
        *self.0.entry(name).or_default() += n;
    }

    /// How often.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (name, n) in &other.0 {
            self.add_many(name, *n);
        }
    }

    /// How often anything of these kinds happened.
    pub fn of_kinds(&self, is_of_kind: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|(name, _)| is_of_kind(name)).map(|(_, n)| n).sum()
    }

    /// What of [`MUST`] never happened.
    pub fn missing(&self, is_asked: impl Fn(&str) -> bool) -> Vec<&'static str> {
        MUST.iter().copied().filter(|name| is_asked(name) && self.get(name) == 0).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, n) in &self.0 {
            writeln!(f, "{n:>12}  {name}")?;
        }
        Ok(())
    }
}
