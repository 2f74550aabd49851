//! The published JSON Schemas (draft 2020-12): of the streamed documents in the native profile, and of what is posted.
//!
//! Written by hand: they say what readers may rely on, which is less than what the types happen to do. Tests hold them
//! against the types, the samples, the demo's traffic and real events. A new field goes into the schema of its major
//! version; anything else needs a new folder beside `v1`.

/// A schema and where it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Its path below `/schemas/`, such as `v1/account-event.json`.
    pub path: &'static str,
    /// What it describes, as its own `title` says.
    pub title: &'static str,
    /// The schema itself, JSON.
    pub text: &'static str,
}

/// Of account events as they are streamed.
pub const ACCOUNT_EVENT: Schema = Schema {
    path: "v1/account-event.json",
    title: "An account event as a destination receives it, native profile",
    text: include_str!("../schemas/v1/account-event.json"),
};
/// Of audit logs as they are streamed.
pub const AUDIT_LOG: Schema = Schema {
    path: "v1/audit-log.json",
    title: "An audit log as a destination receives it, native profile",
    text: include_str!("../schemas/v1/audit-log.json"),
};
/// Of event hook logs as they are streamed.
pub const EVENT_HOOK_LOG: Schema = Schema {
    path: "v1/event-hook-log.json",
    title: "An event hook log as a destination receives it, native profile",
    text: include_str!("../schemas/v1/event-hook-log.json"),
};
/// Of one event as producers post it.
pub const INTAKE_EVENT: Schema = Schema {
    path: "v1/intake-event.json",
    title: "An event as producers post it; a body holds one, an array of them, or one a line",
    text: include_str!("../schemas/v1/intake-event.json"),
};

/// Every published schema.
pub const ALL: [Schema; 4] = [ACCOUNT_EVENT, AUDIT_LOG, EVENT_HOOK_LOG, INTAKE_EVENT];
