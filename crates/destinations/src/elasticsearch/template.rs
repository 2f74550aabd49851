//! Index templates for the documents of the native profile: data streams `logs-idstream.*-*` in which no event can cause
//! a type conflict.
//!
//! Free maps (`nativeClaims`, `location.properties`) are one flat field each, so that a claim may be a text in one event
//! and a list in the next. What is only looked at (`actions`, `raw`, values before and after a change) is kept in the
//! source and not indexed. Unknown fields are kept and not indexed either: a newer idstream never breaks an older index.
//! Texts longer than [`IGNORE_ABOVE`] are kept and not indexed, because Lucene refuses terms above 32,766 bytes, and
//! the cluster would refuse the whole document. OpenSearch's flat map knows no such bound: there a claim of more than 32 KB
//! costs its event, which is quarantined.

use serde_json::{Map, Value, json};

use super::settings::unfit;

/// Longest text that is indexed as a keyword, in characters.
pub const IGNORE_ABOVE: u32 = 1024;
/// The data streams that the templates are for.
pub const PATTERN: &str = "logs-idstream.*-*";
/// Above the templates that Elasticsearch brings for `logs-*-*` (100).
const PRIORITY: u32 = 500;
/// The name of each template and of the lifecycle.
const NAME: &str = "idstream";

/// Whose template it is. They differ in the word for a flat map and in their lifecycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Elasticsearch 8.7 and later.
    Elasticsearch,
    /// OpenSearch 2.7 and later.
    OpenSearch,
}

/// One call that installs a part.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The path below the cluster's address; the method is `PUT`.
    pub path: String,
    /// The body.
    pub body: Value,
    /// What it is for.
    pub purpose: &'static str,
}

/// What the index template is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The data streams that events go to when a configuration names no index.
    Streams,
    /// The one data stream, of this name, that a configuration names as its index.
    Named(String),
}

impl Target {
    /// The data stream with this name. Fails with what is wrong with it.
    pub fn named(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() || name.starts_with('<') {
            return Err("must be the name of one data stream, without date math");
        }
        unfit(name).map_or_else(|| Ok(Self::Named(name.to_owned())), Err)
    }

    fn pattern(&self) -> &str {
        match self {
            Self::Streams => PATTERN,
            Self::Named(name) => name,
        }
    }

    /// The name of its index template.
    fn template(&self) -> String {
        match self {
            Self::Streams => NAME.to_owned(),
            Self::Named(name) => format!("{NAME}-{name}"),
        }
    }
}

/// The calls in their order: lifecycle, mappings, settings, index template.
pub fn steps(flavour: Flavour, target: &Target) -> Vec<Step> {
    let step = |path: String, body: Value, purpose| Step { path, body, purpose };
    let composed_of = json!([format!("{NAME}-mappings"), format!("{NAME}-settings")]);
    vec![
        lifecycle(flavour, target),
        step(
            format!("_component_template/{NAME}-mappings"),
            json!({"template": {"mappings": mappings(flavour)}}),
            "the fields of account events, audit logs and event hook logs",
        ),
        step(
            format!("_component_template/{NAME}-settings"),
            json!({"template": {"settings": settings(flavour)}}),
            "compression, and the lifecycle",
        ),
        step(
            format!("_index_template/{}", target.template()),
            json!({
                "index_patterns": [target.pattern()],
                "data_stream": {},
                "composed_of": composed_of,
                "priority": PRIORITY,
                "_meta": {"description": "written by idstream"},
            }),
            match target {
                Target::Streams => "data streams for each stream of idstream",
                Target::Named(_) => "one data stream for all streams of idstream",
            },
        ),
    ]
}

/// An example to be changed by whoever knows how long the data must stay: 30 days for account events would be the
/// contract's, 365 days serve audit logs too.
fn lifecycle(flavour: Flavour, target: &Target) -> Step {
    let purpose = "an example: a new index every 30 days or 50 GB, gone after 365 days";
    match flavour {
        Flavour::Elasticsearch => Step {
            path: format!("_ilm/policy/{NAME}"),
            body: json!({"policy": {"phases": {
                "hot": {"actions": {"rollover": {"max_age": "30d", "max_primary_shard_size": "50gb"}}},
                "delete": {"min_age": "365d", "actions": {"delete": {}}},
            }}}),
            purpose,
        },
        Flavour::OpenSearch => Step {
            path: format!("_plugins/_ism/policies/{}", target.template()),
            body: json!({"policy": {
                "description": "idstream",
                "default_state": "hot",
                "ism_template": [{"index_patterns": [target.pattern()], "priority": PRIORITY}],
                "states": [
                    {
                        "name": "hot",
                        "actions": [{"rollover": {"min_index_age": "30d", "min_primary_shard_size": "50gb"}}],
                        "transitions": [{"state_name": "gone", "conditions": {"min_index_age": "365d"}}],
                    },
                    {"name": "gone", "actions": [{"delete": {}}], "transitions": []},
                ],
            }}),
            purpose,
        },
    }
}

fn settings(flavour: Flavour) -> Value {
    let mut index = Map::new();
    index.insert("codec".to_owned(), "best_compression".into());
    // A value that does not fit its field is kept in the source; the document is not refused for it.
    index.insert("mapping.ignore_malformed".to_owned(), true.into());
    if flavour == Flavour::Elasticsearch {
        index.insert("lifecycle.name".to_owned(), NAME.into());
    }
    json!({ "index": index })
}

fn mappings(flavour: Flavour) -> Value {
    let text = || json!({"type": "text", "norms": false});
    let flag = || json!({"type": "boolean"});
    let number = || json!({"type": "long"});
    let named = || object(&[("id", keyword()), ("name", keyword())]);
    let actor = || actor(flavour);
    let fields = [
        ("@timestamp", date()),
        ("eventID", keyword()),
        ("stream", keyword()),
        ("schemaVersion", keyword()),
        ("eventLink", json!({"type": "keyword", "index": false, "doc_values": false})),
        ("instance", object(&[("name", keyword()), ("domain", keyword()), ("environment", keyword())])),
        ("sourceId", keyword()),
        ("sourceEventId", keyword()),
        ("sourceEventType", keyword()),
        ("journalOffset", keyword()),
        ("receivedAt", date()),
        ("test", flag()),
        ("replay", flag()),
        ("outcome", keyword()),
        // account events
        ("type", keyword()),
        ("labels", keyword()),
        ("startTimestamp", date()),
        ("endTimestamp", date()),
        ("durationMs", number()),
        ("loginSessionId", keyword()),
        ("variantId", keyword()),
        ("actor", actor()),
        ("actorApplication", named()),
        ("actorClient", named()),
        ("subject", subject()),
        ("nativeClaims", flat(flavour)),
        ("actions", kept()),
        ("raw", kept()),
        // audit logs
        ("date", date()),
        ("action", keyword()),
        ("entityType", keyword()),
        ("name", keyword()),
        ("url", keyword()),
        ("method", keyword()),
        ("version", number()),
        ("request", text()),
        ("response", text()),
        ("changes", object(&[("path", keyword()), ("before", kept()), ("after", kept())])),
        // event hook logs
        ("timestamp", date()),
        ("hook", object(&[("id", keyword()), ("name", keyword()), ("type", keyword())])),
        ("application", named()),
        ("client", named()),
        ("identityStore", keyword()),
        ("accountId", keyword()),
        ("accountEventId", keyword()),
        ("logSummary", object(&[("info", number()), ("error", number()), ("exception", flag())])),
        ("logs", object(&[("level", keyword()), ("message", text()), ("timestamp", date())])),
    ];
    json!({"dynamic": false, "date_detection": false, "properties": members(&fields)})
}

fn actor(flavour: Flavour) -> Value {
    let named = || object(&[("id", keyword()), ("name", keyword())]);
    object(&[
        ("accountId", keyword()),
        ("userName", keyword()),
        ("store", keyword()),
        ("ip", json!({"type": "ip"})),
        ("userAgent", keyword()),
        (
            "location",
            object(&[
                ("type", keyword()),
                // GeoJSON (RFC 7946 section 3.1.2): longitude first.
                ("geometry", json!({"type": "geo_point"})),
                ("properties", flat(flavour)),
            ]),
        ),
        ("bulkJobId", keyword()),
        ("inboundConnectionId", keyword()),
        ("outboundProvisionTargetId", keyword()),
        ("ruleId", keyword()),
        ("token", token()),
        ("resolvedApplication", named()),
        ("resolvedClient", named()),
    ])
}

fn subject() -> Value {
    let named = || object(&[("id", keyword()), ("name", keyword())]);
    object(&[
        ("accountId", keyword()),
        ("userName", keyword()),
        ("store", keyword()),
        ("requestedSubject", keyword()),
        ("invitationId", keyword()),
        ("token", token()),
        ("resolvedApplication", named()),
        ("resolvedClient", named()),
    ])
}

fn token() -> Value {
    object(&[("iss", keyword()), ("sub", keyword())])
}

fn keyword() -> Value {
    json!({"type": "keyword", "ignore_above": IGNORE_ABOVE})
}

fn date() -> Value {
    json!({"type": "date"})
}

/// Kept in the source, not indexed; holds anything.
fn kept() -> Value {
    json!({"type": "object", "enabled": false})
}

/// A map whose values may be of any type.
fn flat(flavour: Flavour) -> Value {
    match flavour {
        // Events are at most 64 levels deep.
        Flavour::Elasticsearch => {
            json!({"type": "flattened", "ignore_above": IGNORE_ABOVE, "depth_limit": 64})
        }
        Flavour::OpenSearch => json!({"type": "flat_object"}),
    }
}

fn object(fields: &[(&str, Value)]) -> Value {
    json!({"properties": members(fields)})
}

fn members(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, mapping)| ((*name).to_owned(), mapping.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_free_text_is_bounded_and_every_step_has_a_place() {
        for flavour in [Flavour::Elasticsearch, Flavour::OpenSearch] {
            for Step { path, body, .. } in steps(flavour, &Target::Streams) {
                let text = body.to_string();
                let n_keywords = text.matches("\"type\":\"keyword\"").count();
                let n_bounded = text.matches("\"ignore_above\":1024,\"type\":\"keyword\"").count();
                let n_unindexed = text.matches("\"index\":false,\"type\":\"keyword\"").count();
                assert_eq!(n_keywords, n_bounded + n_unindexed, "{path}");
                assert!(path.contains("idstream"), "{path}");
            }
        }
    }

    #[test]
    fn a_data_stream_of_ones_own_name_has_a_template_beside_the_other_and_the_same_mappings() {
        let target = Target::named("identity-events").unwrap();
        for flavour in [Flavour::Elasticsearch, Flavour::OpenSearch] {
            let (own, usual) = (steps(flavour, &target), steps(flavour, &Target::Streams));
            assert_eq!(own[1..3], usual[1..3]);
            assert_eq!(own[3].path, "_index_template/idstream-identity-events");
            assert_eq!(own[3].body["index_patterns"], json!(["identity-events"]));
            assert_eq!(own[3].body["composed_of"], usual[3].body["composed_of"]);
        }
        for wrong in ["", "a*", "<a-{now/d}>", "Upper", "a,b", "a/b"] {
            assert!(Target::named(wrong).is_err(), "{wrong}");
        }
    }
}
