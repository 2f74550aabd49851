//! Every real event of the test data is understood, as another product's mapping of the same events says.

use std::collections::BTreeMap;

use event::Stream;
use serde_json::Value;
use sources::Normalised;
use testkit::schema::Validator;

use super::material::{data_file, event_files};
use super::shared::{document, understood};

/// The items of a folder of real events, as text.
fn items(folder: &str) -> Vec<String> {
    let files = event_files(folder);
    let texts =
        files.iter().filter(|file| !file.ends_with("event-stream.ndjson")).map(|file| data_file(file));
    texts.flat_map(|text| text.lines().map(item).collect::<Vec<_>>()).collect()
}

/// A detection rule's test wraps the item in `log`.
fn item(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value.get("log").map_or_else(|| line.to_owned(), ToString::to_string)
}

fn all() -> Vec<(Value, Normalised)> {
    ["elastic-auth0", "panther-auth0", "auth0-docs"]
        .into_iter()
        .flat_map(items)
        .map(|item| (serde_json::from_str(&item).unwrap(), understood(&item)))
        .collect()
}

fn log(item: &Value) -> &Value {
    item.get("data").unwrap_or(item)
}

#[test]
fn all_are_understood_and_filed_by_their_code() {
    let all = all();
    assert_eq!(all.len(), 119);
    for (item, event) in all {
        let code = log(&item)["type"].as_str().unwrap();
        let expected =
            if matches!(code, "sapi" | "mgmt_api_read") { Stream::AuditLog } else { Stream::AccountEvent };
        assert_eq!(event.draft.stream(), expected, "{code}");
        assert_eq!(document(&event)["sourceEventType"], code);
    }
}

#[test]
fn their_documents_are_as_the_published_schemas_say() {
    let validator = |schema: event::schema::Schema| Validator::new(schema.text).closed();
    let (account, audit) = (validator(event::schema::ACCOUNT_EVENT), validator(event::schema::AUDIT_LOG));
    for (item, event) in all() {
        let validator = if event.draft.stream() == Stream::AuditLog { &audit } else { &account };
        assert_eq!(validator.faults(&document(&event)), [""; 0], "{item}");
    }
}

/// Where real events hold what is masked, by log type code, and how often. A path that comes, or goes, fails the test:
/// it is a fact that would be lost, or a secret that would be kept.
const MASKED: [(&str, usize); 11] = [
    ("fcoa.details.qs._csrf", 1),
    ("ferrt.details.request.auth.credentials", 1),
    ("fs.details.body.password", 1),
    ("gd_enrollment_complete.details.request.auth.credentials", 2),
    ("gd_send_pn.details.request.auth.credentials", 1),
    ("mgmt_api_read.details.request.auth.credentials", 1),
    ("sapi.details.request.auth.credentials", 60),
    ("sapi.details.response.body.client_secret", 1),
    ("signup_pwd_leak.details.request.auth.credentials", 4),
    ("ss.details.body.password", 3),
    ("sv.details.body.ticket", 1),
];

#[test]
fn the_raw_event_is_whole_but_for_what_is_listed() {
    let mut masked = BTreeMap::new();
    for (item, event) in all() {
        let code = log(&item)["type"].as_str().unwrap();
        let raw = document(&event)["raw"].clone();
        assert_eq!(item.as_object().unwrap().len(), raw.as_object().unwrap().len());
        differences(log(&item), log(&raw), code.to_owned(), &mut masked);
    }
    let masked: Vec<(&str, usize)> = masked.iter().map(|(path, count)| (path.as_str(), *count)).collect();
    assert_eq!(masked, MASKED);
}

/// Counts the paths at which a kept value is not what was sent.
fn differences(sent: &Value, kept: &Value, path: String, found: &mut BTreeMap<String, usize>) {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => {
            assert_eq!(sent.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>(), "{path}");
            sent.iter()
                .for_each(|(key, value)| differences(value, &kept[key], format!("{path}.{key}"), found));
        }
        (Value::Array(sent), Value::Array(kept)) => {
            assert_eq!(sent.len(), kept.len(), "{path}");
            let pairs = sent.iter().zip(kept);
            pairs.for_each(|(sent, kept)| differences(sent, kept, format!("{path}[]"), found));
        }
        _ if sent == kept => {}
        _ => *found.entry(path).or_default() += 1,
    }
}

#[test]
fn different_logs_have_different_ids_and_the_same_log_the_same() {
    let mut ids = BTreeMap::new();
    for (item, event) in all() {
        let log_id = log(&item)["log_id"].to_string();
        let date = log(&item)["date"].to_string();
        let content = if log_id == "null" { item.to_string() } else { String::new() };
        let key = (log_id, date, content);
        assert_eq!(*ids.entry(key.clone()).or_insert(event.id), event.id, "{key:?}");
    }
    let distinct: std::collections::BTreeSet<_> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn user_address_and_outcome_agree_with_another_products_mapping() {
    let mut outcomes_that_differ = Vec::new();
    let mut compared = 0;
    for file in event_files("elastic-auth0") {
        let expected = data_file(&file.replace(".ndjson", ".expected.ndjson"));
        for (line, expected) in data_file(&file).lines().zip(expected.lines()) {
            let expected: Value = serde_json::from_str(expected).unwrap();
            let item: Value = serde_json::from_str(line).unwrap();
            let ours = document(&understood(line));
            let actor = &ours["actor"];
            assert_eq!(actor["accountId"], expected["user"]["id"], "{line}");
            assert_eq!(actor["ip"], expected["source"]["ip"], "{line}");
            assert_eq!(*time_of(&ours), expected["@timestamp"], "{line}");
            if ours["outcome"] != expected["event"]["outcome"] {
                outcomes_that_differ.push(log(&item)["type"].as_str().unwrap().to_owned());
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 74);
    // A successful registration is a success here; the other mapping leaves its outcome open.
    assert_eq!(outcomes_that_differ, ["ss", "ss", "ss"]);
}

fn time_of(document: &Value) -> &Value {
    document.get("endTimestamp").unwrap_or_else(|| &document["date"])
}

#[test]
fn no_secret_of_a_real_event_is_left_in_any_section() {
    for (_, event) in all() {
        let text = document(&event).to_string();
        // What Auth0 itself blots out under secret names: it must be our mask by now.
        for blot in [r#""client_secret":"REDACTED"#, r#"client_secret\":\"REDACTED"#, r#""password":"***"#] {
            assert!(!text.contains(blot), "{text}");
        }
    }
}
