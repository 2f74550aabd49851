//! The one place that names every platform.

use base::EventId;
use base::mask::MaskRule;
use event::model::{Draft, DraftError};
use serde::{Deserialize, Serialize};

use crate::auth0;
pub use crate::auth0::SplitError;

/// A platform that idstream understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Auth0 log streams.
    Auth0,
}

/// Which tenant of a platform the events come from. Event ids are derived from it, never from our own source's id, so
/// that a re-created source keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// What it is.
    pub kind: SourceKind,
    /// The tenant, as the platform names it (Auth0: its domain).
    pub tenant: String,
}

/// One item, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised {
    /// The event.
    pub draft: Draft,
    /// Derived from the platform and the vendor's id, or from the content when the item has no id.
    pub id: EventId,
}

/// An item that is no event of the platform. It goes to intake quarantine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unparseable {
    /// Why, for the operator.
    pub reason: String,
}

impl Platform {
    /// Cuts a webhook's body into the texts of its items.
    pub fn split<'a>(&self, body: &'a str) -> Result<Vec<&'a str>, SplitError> {
        match self.kind {
            SourceKind::Auth0 => Ok(auth0::split(body)?.into_iter().map(|item| item.text).collect()),
        }
    }

    /// Understands one item of a delivery: the text of one JSON value.
    pub fn normalise(&self, item: &str, rule: &MaskRule) -> Result<Normalised, Unparseable> {
        match self.kind {
            SourceKind::Auth0 => auth0::normalise(item, &self.tenant, rule),
        }
    }
}

impl From<DraftError> for Unparseable {
    fn from(error: DraftError) -> Self {
        Self { reason: error.to_string() }
    }
}
