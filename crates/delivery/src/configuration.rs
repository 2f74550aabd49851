//! One event streaming configuration, as the catalog keeps it.

use catalog::Sealed;
use destinations::Vendor;
use event::native::Selection;
use event::{Stream, StreamSet};
use serde::{Deserialize, Serialize};

/// What its owner set: where to, which streams, how much of each event. The credential is sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Its id, a UUID; also the name of its consumer (`cfg/{id}`).
    pub id: String,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it delivers. A disabled one keeps its place.
    pub enabled: bool,
    /// The vendor.
    #[serde(rename = "type")]
    pub vendor: Vendor,
    /// The vendor's settings, valid for [`destinations::Settings::parse`].
    pub settings: serde_json::Value,
    /// The credential, sealed for `eventStreaming/{id}`.
    pub credential: Sealed,
    /// Account events.
    pub account: AccountSwitch,
    /// Audit logs.
    pub audit: AuditSwitch,
    /// Event hook logs.
    pub hook: HookSwitch,
}

impl catalog::Document for Configuration {
    const KIND: &'static str = "eventStreaming";
}

/// What of account events is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountSwitch {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// With their detailed steps.
    pub include_actions: bool,
    /// With the event as its source sent it.
    pub include_raw: bool,
    /// Names of the native claims that are sent.
    pub claims: Vec<String>,
}

/// What of audit logs is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditSwitch {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// With request and response bodies. On unless said otherwise: the contract streams the entire entry.
    pub include_bodies: bool,
}

impl Default for AuditSwitch {
    fn default() -> Self {
        Self { enabled: false, include_bodies: true }
    }
}

/// What of event hook logs is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookSwitch {
    /// Whether they are sent at all.
    pub enabled: bool,
}

impl Configuration {
    /// The streams that are switched on.
    pub fn streams(&self) -> StreamSet {
        [
            (Stream::AccountEvent, self.account.enabled),
            (Stream::AuditLog, self.audit.enabled),
            (Stream::EventHookLog, self.hook.enabled),
        ]
        .into_iter()
        .filter_map(|(stream, on)| on.then_some(stream))
        .collect()
    }

    /// What of each event is sent.
    pub fn selection(&self) -> Selection {
        Selection {
            claims: self.account.claims.clone(),
            include_actions: self.account.include_actions,
            include_bodies: self.audit.include_bodies,
            include_raw: self.account.include_raw,
        }
    }
}
