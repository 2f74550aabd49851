//! A configured source: a platform that posts its own events to a webhook.

use serde::{Deserialize, Serialize};
use sources::Platform;

/// One source, as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its id, in its webhook's address and in every document (`sourceId`).
    pub id: String,
    /// Its name, unique.
    pub name: String,
    /// Whether deliveries are taken.
    pub enabled: bool,
    /// Which tenant of which platform.
    pub platform: Platform,
    /// SHA-256, in hex, of each live `Authorization` value: one, or two while it is being changed.
    pub authorization: Vec<String>,
    /// After how many minutes without a delivery it counts as silent: 5 to 43200. `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_after_minutes: Option<u32>,
}

impl catalog::Document for Source {
    const KIND: &'static str = "source";
}

impl Source {
    /// Who its events belong to in dedupe: the tenant, not this source, so that a re-created source keeps its window.
    pub fn producer_id(&self) -> String {
        self.platform.identity()
    }
}

/// The number that stands for a producer in the journal.
pub(crate) fn producer_number(identity: &str) -> journal::Producer {
    journal::Producer::of(identity)
}

/// The first 8 bytes of a digest.
pub(crate) fn first_eight(digest: &[u8; 32]) -> [u8; 8] {
    std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default())
}
