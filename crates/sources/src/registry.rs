//! The one place that names every platform.

use base::EventId;
use base::mask::MaskRule;
use event::fragment::Masked;
use event::model::{Draft, DraftError};
use serde::{Deserialize, Serialize};

use crate::auth0;
use crate::auth0::masking;
pub use crate::auth0::masking::ItemRule;
pub use crate::auth0::{Item, SplitError};

/// A platform that idstream understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Auth0 log streams.
    Auth0,
}

impl SourceKind {
    /// Its name in settings, addresses and the identity of producers. Never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth0 => "auth0",
        }
    }
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
    /// Names the tenant among all platforms' tenants: who its events belong to. Domains have no case.
    pub fn identity(&self) -> String {
        format!("platform:{}:{}", self.kind.name(), self.tenant.to_ascii_lowercase())
    }

    /// Cuts a webhook's body into its items.
    pub fn split<'a>(&self, body: &'a [u8]) -> Result<Vec<Item<'a>>, SplitError> {
        match self.kind {
            SourceKind::Auth0 => auth0::split(body),
        }
    }

    /// What is masked in the platform's items: the installation's rule, and what the platform is known for.
    pub fn rule(&self, installation: &MaskRule) -> ItemRule {
        match self.kind {
            SourceKind::Auth0 => ItemRule::of(installation),
        }
    }

    /// Understands one item of a delivery: the text of one JSON value.
    pub fn normalise(&self, item: &str, rule: &ItemRule) -> Result<Normalised, Unparseable> {
        match self.kind {
            SourceKind::Auth0 => auth0::normalise(item, &self.tenant, rule),
        }
    }

    /// An item that is no event, masked by the same rule, well-formed or not.
    pub fn mask_refused(&self, item: &str, rule: &ItemRule) -> Masked {
        match self.kind {
            SourceKind::Auth0 => masking::refused(item, rule),
        }
    }
}

impl From<DraftError> for Unparseable {
    fn from(error: DraftError) -> Self {
        Self { reason: error.to_string() }
    }
}
