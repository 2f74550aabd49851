//! Filters: which events of the streams that are switched on a destination is given. What an owner sets is a [`Filter`];
//! prepared for many events it is a [`Sieve`], a pure function of a record.

mod criterion;
mod preset;
mod sieve;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::criterion::Criterion;
pub use self::preset::{LeftOut, Preset};
pub use self::sieve::{Rule, Sieve};

/// Most values of one list: what a person still reads.
pub const MAX_VALUES: usize = 200;
/// Longest value of a list, in characters: the contract's longest name.
pub const MAX_VALUE_CHARS: usize = 256;

/// Values by what they are compared with. A list that is empty says nothing, and is not kept.
pub type Lists = BTreeMap<Criterion, Vec<String>>;

/// What an owner set. An event is left out when a preset leaves it out, when a list of `exclude` names it, or when a list
/// of `include` that concerns its stream does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// Rules of ours, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub presets: Vec<Preset>,
    /// Every list that concerns an event's stream must name it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub include: Lists,
    /// No list may name it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exclude: Lists,
}

impl Filter {
    /// Whether it lets every event pass.
    pub fn is_empty(&self) -> bool {
        self.presets.is_empty() && self.include.is_empty() && self.exclude.is_empty()
    }
}

#[cfg(test)]
mod tests;
