//! Documents that are read back: a filter from a request, a signed head, an erasure from the catalog.

use base::Timestamp;
use custody::erasure::Erasure;
use custody::heads::HeadText;
use event::filter::{Filter, MAX_VALUES, Sieve};
use journal::signing::SigningKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Words of the documents.
pub(crate) const WORDS: &[&str] = &[
    "{\"filter\":{",
    "\"presets\":[\"",
    "\"include\":{\"",
    "\"exclude\":{\"",
    "types\":[\"",
    "labels\":[\"",
    "sources\":[\"",
    "applications\":[\"",
    "identityStores\":[\"",
    "entityTypes\":[\"",
    "sourceEventTypes\":[\"",
    "\"signedAt\":\"2026-01-31T12:00:00.000Z\"",
    "\"sequence\":",
    "\"blockHash\":\"",
    "\"signature\":\"",
    "\"offsets\":[[",
    "\"copiesFrom\":",
    "null",
];

/// The first byte chooses the kind.
pub(crate) fn documents(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => filter(text),
        1 => head(text),
        _ => comes_back::<Erasure>(text),
    }
}

/// What is taken as a filter is shown as it was taken, and bounded.
fn filter(text: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(text) else { return };
    let Some(filter) = api::fuzz::filter(&body) else { return };
    for list in filter.include.values().chain(filter.exclude.values()) {
        assert!((1..=MAX_VALUES).contains(&list.len()));
    }
    assert_eq!(Sieve::of(&filter).is_none(), filter.is_empty());
    let shown = serde_json::to_value(&filter).unwrap_or_default();
    assert_eq!(api::fuzz::filter(&json!({"filter": shown})).as_ref(), Some(&filter), "shown as it is kept");
    assert_eq!(serde_json::from_value::<Filter>(shown).ok(), Some(filter));
}

/// A head that is read says what its text says; one that is genuine was signed over every word of it.
fn head(text: &[u8]) {
    let Ok(text) = serde_json::from_slice::<HeadText>(text) else { return };
    let Some(head) = text.parse() else { return };
    let again = HeadText::from(&head);
    assert_eq!(again.parse(), Some(head));
    if head.is_genuine() {
        let other = journal::signing::SignedHead { sequence: head.sequence.wrapping_add(1), ..head };
        assert!(!other.is_genuine(), "a signature that fits two heads");
    }
}

/// What is read and written again is the same.
fn comes_back<T: Serialize + DeserializeOwned>(text: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(text) else { return };
    let Ok(written) = serde_json::to_value(&value) else { return };
    let again = serde_json::from_value::<T>(written.clone());
    let again = again.ok().and_then(|again| serde_json::to_value(again).ok());
    assert_eq!(again, Some(written));
}

/// One of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let with = |kind: u8, document: &Value| [&[kind], document.to_string().as_bytes()].concat();
    let key = SigningKey::from_seed(&[7; 32]);
    let head = key.map(|key| HeadText::from(&key.sign_head(9, [1; 32], Timestamp::default())));
    let lists = json!({"types": ["customerFlow"], "labels": ["success:login"], "sources": ["main"], "applications": ["a"]});
    let erasure = json!({"id": "e", "requestedAt": Timestamp::default(), "kind": "event", "digest": "d", "isDryRun": false,
        "progress": "erasing", "nEvents": 2, "received": [{"consumer": "c", "done": 1, "pending": 1}],
        "copiesFrom": 3, "offsets": [[1, 2]]});
    vec![
        with(0, &json!({"filter": {"presets": [], "include": lists, "exclude": {"entityTypes": ["x"]}}})),
        with(0, &json!({"filter": {"include": {"types": ["customerFlow", "customerFlow"]}}})),
        with(1, &serde_json::to_value(head).unwrap_or_default()),
        with(2, &erasure),
    ]
}
