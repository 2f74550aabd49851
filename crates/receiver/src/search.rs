//! The search for documents by `_id`, as a cluster answers it.

use base::EventId;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Search {
    query: Query,
    #[serde(default = "default_size")]
    size: usize,
}

#[derive(Deserialize)]
struct Query {
    ids: Ids,
}

#[derive(Deserialize)]
struct Ids {
    values: Vec<String>,
}

/// Hits that are answered when nothing is said.
const fn default_size() -> usize {
    10
}

/// The answer to a search in `index`; `None` for another search than one by ids.
pub(crate) fn answer(body: &[u8], index: &str, holds: impl Fn(&EventId) -> bool) -> Option<String> {
    let search: Search = serde_json::from_slice(body).ok()?;
    let is_held = |id: &&String| EventId::parse(id).is_ok_and(|id| holds(&id));
    let hits: Vec<_> = search
        .query
        .ids
        .values
        .iter()
        .filter(is_held)
        .map(|id| json!({"_index": index, "_id": id, "_score": 1.0}))
        .collect();
    let answer = json!({
        "took": 1,
        "timed_out": false,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": hits.len(), "relation": "eq"},
            "hits": hits.get(..search.size).unwrap_or(&hits),
        },
    });
    Some(answer.to_string())
}

#[cfg(test)]
mod tests {
    use base::Timestamp;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_held_is_found_by_its_id() {
        let [held, other] = ["a", "b"].map(|part| EventId::derive(Timestamp::default(), &[part]));
        let body =
            json!({"size": 10, "query": {"ids": {"values": [held.to_string(), other.to_string(), "x"]}}});
        let answer = answer(body.to_string().as_bytes(), "i", |id| *id == held).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["hits"]["total"]["value"], 1);
        assert_eq!(answer["hits"]["hits"][0]["_id"], held.to_string());
        assert_eq!(super::answer(b"{\"query\":{\"match_all\":{}}}", "i", |_| true), None);
    }
}
