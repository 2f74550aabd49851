//! Asking a cluster which events it holds: a search by `_id` over all indices of one target, and what its answer proves.
//!
//! An incomplete answer (a shard that failed, a time that ran out, more hits than were answered) proves nothing. A target
//! that does not exist holds nothing. What a failure store holds has ids of its own and is not found.

use std::borrow::Cow;
use std::collections::HashMap;

use base::EventId;
use serde::Deserialize;

use super::failure::Failure;
use crate::reason::Hush;
use crate::seam::{Answer, Lookup};

/// Most ids of one question. Each may be found several times, and a search answers 10,000 hits at most
/// (`index.max_result_window`).
pub(super) const MAX_IDS: usize = 1000;
/// Most hits that are asked for.
const MAX_HITS: usize = 10_000;

/// The query of a search: all hits counted, all shards heard, and nothing of the documents in the answer.
pub(super) const QUERY: &str = "allow_partial_search_results=false&filter_path=timed_out,_shards.failed,hits.total.value,\
                                hits.hits._id,hits.hits._index,error.type,error.reason";

/// The body of the search.
pub(super) fn body(ids: &[EventId]) -> Vec<u8> {
    let values: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let query = serde_json::json!({
        "size": MAX_HITS,
        "_source": false,
        "track_total_hits": true,
        "query": {"ids": {"values": values}},
    });
    query.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Found<'a> {
    timed_out: bool,
    #[serde(borrow)]
    hits: Hits<'a>,
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Hits<'a> {
    total: Total,
    /// Left out by the filter when there is none.
    #[serde(borrow, default)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "_index")]
    index: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Failure<'a>,
}

pub(super) fn classify(ids: &[EventId], answer: &Answer, hush: &Hush) -> Lookup {
    if answer.status == 200 {
        return match serde_json::from_slice::<Found<'_>>(&answer.body) {
            Ok(found) => held(ids, &found),
            Err(_) => Lookup::Unanswered { reason: hush.unknown(answer.status, &answer.body) },
        };
    }
    let refusal: Option<Refusal<'_>> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, refusal) {
        (404, Some(refusal)) if refusal.error.kind == "index_not_found_exception" => {
            Lookup::Held(vec![Vec::new(); ids.len()])
        }
        (400..=499, Some(refusal)) if answer.status != 429 => {
            Lookup::Refused { reason: refusal.error.words(hush) }
        }
        (401 | 403, None) => Lookup::Refused { reason: hush.unknown(answer.status, &answer.body) },
        (_, Some(refusal)) => Lookup::Unanswered { reason: refusal.error.words(hush) },
        (status, None) => Lookup::Unanswered { reason: hush.unknown(status, &answer.body) },
    }
}

fn held(ids: &[EventId], found: &Found<'_>) -> Lookup {
    if found.timed_out || found.shards.failed > 0 {
        let reason = format!(
            "the search is not complete: timed out: {}, shards that failed: {}",
            found.timed_out, found.shards.failed
        );
        return Lookup::Unanswered { reason };
    }
    if found.hits.total.value != found.hits.hits.len() as u64 {
        let (total, n_answered) = (found.hits.total.value, found.hits.hits.len());
        let reason = format!("{n_answered} of {total} hits were answered");
        return Lookup::Unanswered { reason };
    }
    let mut copies: HashMap<EventId, Vec<String>> = HashMap::new();
    for hit in &found.hits.hits {
        if let Ok(id) = EventId::parse(&hit.id) {
            copies.entry(id).or_default().push(hit.index.clone().into_owned());
        }
    }
    Lookup::Held(ids.iter().map(|id| copies.get(id).cloned().unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use base::Timestamp;
    use http::HeaderMap;

    use super::*;

    fn ids(n: usize) -> Vec<EventId> {
        (0..n).map(|at| EventId::derive(Timestamp::default(), &[&at.to_string()])).collect()
    }

    fn asked(status: u16, ids: &[EventId], body: &str) -> Lookup {
        let body = body.to_owned().into_bytes().into();
        classify(
            ids,
            &Answer { status, retry_after: None, headers: HeaderMap::new(), body },
            &Hush::default(),
        )
    }

    #[test]
    fn an_id_that_is_asked_for_twice_is_answered_twice() {
        let id = ids(1)[0];
        let body = format!(
            r#"{{"timed_out":false,"_shards":{{"failed":0}},"hits":{{"total":{{"value":1}},"hits":[
                {{"_id":"{id}","_index":"a"}}]}}}}"#
        );
        assert_eq!(asked(200, &[id, id], &body), Lookup::Held(vec![vec!["a".to_owned()]; 2]));
    }

    #[test]
    fn each_event_is_told_with_the_indices_that_hold_it() {
        let ids = ids(3);
        let body = format!(
            r#"{{"timed_out":false,"_shards":{{"failed":0}},"hits":{{"total":{{"value":3}},"hits":[
                {{"_id":"{0}","_index":"a"}},{{"_id":"{1}","_index":"a"}},{{"_id":"{0}","_index":"b"}}]}}}}"#,
            ids[0], ids[2]
        );
        let held = vec![vec!["a".to_owned(), "b".to_owned()], vec![], vec!["a".to_owned()]];
        assert_eq!(asked(200, &ids, &body), Lookup::Held(held));
        let none = r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"total":{"value":0}}}"#;
        assert_eq!(asked(200, &ids, none), Lookup::Held(vec![vec![]; 3]), "a list without hits is left out");
    }

    #[test]
    fn an_incomplete_answer_says_that_nothing_is_missing() {
        for body in [
            r#"{"timed_out":true,"_shards":{"failed":0},"hits":{"total":{"value":0}}}"#,
            r#"{"timed_out":false,"_shards":{"failed":1},"hits":{"total":{"value":0}}}"#,
            r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"total":{"value":7}}}"#,
            r#"{"timed_out":false,"hits":{"total":{"value":0}}}"#,
            "<html>welcome</html>",
            "{}",
        ] {
            assert!(matches!(asked(200, &ids(1), body), Lookup::Unanswered { .. }), "{body}");
        }
    }

    #[test]
    fn a_target_that_is_not_there_holds_nothing_and_a_refusal_is_told() {
        let refused = |kind: &str| format!(r#"{{"error":{{"type":"{kind}","reason":"why"}}}}"#);
        assert_eq!(asked(404, &ids(1), &refused("index_not_found_exception")), Lookup::Held(vec![vec![]]));
        for (status, body) in [
            (403, refused("security_exception")),
            (401, String::new()),
            (404, refused("resource_not_found_exception")),
            (400, refused("illegal_argument_exception")),
        ] {
            assert!(matches!(asked(status, &ids(1), &body), Lookup::Refused { .. }), "{status}");
        }
        for (status, body) in [
            (404, "no such page".to_owned()),
            (429, refused("circuit_breaking_exception")),
            (503, refused("search_phase_execution_exception")),
            (502, String::new()),
        ] {
            assert!(matches!(asked(status, &ids(1), &body), Lookup::Unanswered { .. }), "{status}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_about_as_many_events_as_were_asked_for(
            status in 100_u16..600, n in 0_usize..5, body in ".{0,200}"
        ) {
            if let Lookup::Held(held) = asked(status, &ids(n), &body) {
                proptest::prop_assert_eq!(held.len(), n);
            }
        }
    }
}
