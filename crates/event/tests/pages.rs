//! The pages of `docs/` that describe events say what the code does.

#![cfg(test)]

use std::path::Path;

use base::mask::{
    ABOUT_WORDS, CHANGE_WORDS, LINK_WORDS, MaskRule, SECRET_ENDINGS, SECRET_PAIRS, SECRET_PIECES,
    SECRET_WORDS, TICKET_WORDS,
};
use base::{EventId, Timestamp};
use event::Record;
use event::fragment::{HOLDING, LISTS_OF_NAMES, NAMING};
use event::model::{Draft, incoming};
use event::native::{Instance, NativeProfile, Selection};
use serde_json::Value;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code blocks of a page whose info string is `kind`.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let open = format!("```{kind}\n");
    let blocks = page.split(&open).skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.map(ToOwned::to_owned).collect()
}

fn parsed(json: &str) -> Draft {
    incoming::parse(json, &MaskRule::default()).unwrap_or_else(|error| panic!("{error} in {json}"))
}

fn document(draft: &Draft, id: &str) -> Value {
    let received_at = Timestamp::parse("2026-01-31T12:00:00.250Z").unwrap();
    let bytes = draft.record(EventId::parse(id).unwrap(), received_at, "my-platform", None).unwrap();
    let instance = Instance {
        name: "idstream".to_owned(),
        domain: "id.example.com".to_owned(),
        environment: "production".to_owned(),
        public_url: Some("https://idstream.example.com".to_owned()),
    };
    let claims = vec!["city".to_owned(), "email".to_owned()];
    let selection = Selection { claims, include_actions: true, ..Selection::default() };
    let mut out = b"{".to_vec();
    NativeProfile::new(&instance, selection).append_members(
        &Record::parse(&bytes).unwrap(),
        Some((4711, 0)),
        false,
        &mut out,
    );
    out.push(b'}');
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn every_posted_example_is_an_event() {
    let page = page("EVENTS.md");
    let streams: Vec<&str> =
        blocks(&page, "json post").iter().map(|json| parsed(json).stream().name()).collect();
    assert_eq!(streams, ["accountEvent", "accountEvent", "auditLog", "eventHookLog"]);
}

#[test]
fn the_streamed_example_is_what_is_written_for_the_posted_one() {
    let page = page("EVENTS.md");
    let [shown] = blocks(&page, "json document").try_into().unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let written = document(&parsed(&blocks(&page, "json post")[0]), shown["eventID"].as_str().unwrap());
    assert_eq!(written, shown);
}

#[test]
fn every_json_block_is_read_by_a_test() {
    let page = page("EVENTS.md");
    let n_read: usize =
        ["json post", "json document", "json receipt"].iter().map(|kind| blocks(&page, kind).len()).sum();
    assert_eq!(page.matches("```json").count(), n_read);
    for receipt in blocks(&page, "json receipt") {
        serde_json::from_str::<Value>(&receipt).unwrap();
    }
}

#[test]
fn the_masking_page_lists_every_word_of_the_rule() {
    let page = page("MASKING.md");
    let lists = blocks(&page, "text");
    let listed = |at: usize| -> Vec<&str> { lists[at].split_whitespace().collect() };
    assert_eq!(listed(0), SECRET_WORDS);
    let pairs: Vec<(&str, &str)> = lists[1].lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(pairs, SECRET_PAIRS);
    let others: [&[&str]; 9] = [
        &SECRET_PIECES,
        &SECRET_ENDINGS,
        &ABOUT_WORDS,
        &CHANGE_WORDS,
        &LINK_WORDS,
        &TICKET_WORDS,
        &NAMING,
        &HOLDING,
        &LISTS_OF_NAMES,
    ];
    for (at, words) in others.iter().enumerate() {
        assert_eq!(listed(at + 2), *words);
    }
    assert_eq!(lists.len(), 11);
}

#[test]
fn the_examples_of_the_masking_page_are_masked_as_shown() {
    let page = page("MASKING.md");
    let [before] = blocks(&page, "json before").try_into().unwrap();
    let [after] = blocks(&page, "json after").try_into().unwrap();
    let masked: Value =
        serde_json::from_str(&event::fragment::canonical(&before, &MaskRule::default()).unwrap()).unwrap();
    assert_eq!(masked, serde_json::from_str::<Value>(&after).unwrap());
}
