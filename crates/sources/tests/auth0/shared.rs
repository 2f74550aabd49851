//! What the tests share: an event as the document that a destination receives.

use base::Timestamp;
use base::mask::MaskRule;
use event::native::{Instance, NativeProfile, Selection};
use event::{Record, Stream};
use serde_json::Value;
use sources::auth0::{claims, normalise};
use sources::{ItemRule, Normalised};

pub(crate) const TENANT: &str = "acme.eu.auth0.com";

/// The rule of an installation that adds nothing to it.
pub(crate) fn rule() -> ItemRule {
    ItemRule::of(&MaskRule::default())
}

/// Normalises an item that must be understood.
pub(crate) fn understood(item: &str) -> Normalised {
    normalise(item, TENANT, &rule()).unwrap_or_else(|error| panic!("{error}: {item}"))
}

/// The record of an event.
pub(crate) fn record(event: &Normalised) -> Vec<u8> {
    let received_at = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
    event.draft.record(event.id, received_at, "src_1", None).unwrap()
}

/// The native claims that are kept with an event, sent or not.
pub(crate) fn claims_of(event: &Normalised) -> Value {
    let bytes = record(event);
    let members: Vec<String> =
        Record::parse(&bytes).unwrap().claims().map(|(_, member)| member.to_owned()).collect();
    serde_json::from_str(&format!("{{{}}}", members.join(","))).unwrap()
}

/// The document of an event with all that a destination can select.
pub(crate) fn document(event: &Normalised) -> Value {
    let bytes = record(event);
    let instance = Instance {
        name: "acme".to_owned(),
        domain: "id.acme.example".to_owned(),
        environment: "test".to_owned(),
        public_url: None,
    };
    let selection = Selection {
        claims: claims::IN_ACCOUNT.map(|(name, _)| name.to_owned()).to_vec(),
        include_actions: true,
        include_bodies: true,
        include_raw: true,
        include_audit_raw: true,
        include_hook_raw: true,
    };
    let mut json = b"{".to_vec();
    NativeProfile::new(&instance, selection).append_members(
        &Record::parse(&bytes).unwrap(),
        None,
        false,
        &mut json,
    );
    json.push(b'}');
    serde_json::from_slice(&json).unwrap()
}

/// The stream of an item.
pub(crate) fn stream(item: &str) -> Stream {
    understood(item).draft.stream()
}
