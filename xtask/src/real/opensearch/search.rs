//! What a cluster holds, asked a page at a time.

use ::http::Method;
use serde_json::{Value, json};

use super::{JSON, Node};
use crate::Failure;
use crate::process::text_field;
use crate::real::ground::id_of;
use crate::real::same::{Found, exactly};

/// Documents of an answer, which is read up to 8 MiB.
const PAGE: usize = 1_500;

impl Node {
    /// All that these indices hold. `sort` is the field that has the event's id as a keyword.
    pub(super) fn found(&self, target: &str, sort: &str) -> Result<Found<Value>, Failure> {
        self.web.text(Method::POST, &format!("/{target}/_refresh"), JSON, "")?;
        let mut found = Found::default();
        let mut after = None;
        loop {
            let mut search =
                json!({"size": PAGE, "query": {"match_all": {}}, "sort": [{sort: "asc"}, {"_index": "asc"}]});
            if let (Some(after), Some(search)) = (after.take(), search.as_object_mut()) {
                search.insert("search_after".to_owned(), after);
            }
            let answer = self.web.json(Method::POST, &format!("/{target}/_search"), Some(&search))?;
            if answer.pointer("/_shards/failed") != Some(&json!(0)) {
                return Err(format!("a shard failed: {answer}").into());
            }
            let hits = answer.pointer("/hits/hits").and_then(Value::as_array).cloned().unwrap_or_default();
            let n = hits.len();
            for hit in hits {
                after = hit.get("sort").cloned();
                found.total += 1;
                found.events.insert(id_of(hit.get("_source").unwrap_or(&Value::Null))?, hit);
            }
            if n < PAGE {
                return Ok(found);
            }
        }
    }

    /// The backing indices of the data streams, of all of them.
    pub(super) fn backing_indices(&self) -> Result<Vec<String>, Failure> {
        let answer = self.web.json(Method::GET, "/_data_stream/logs-idstream.*", None)?;
        let streams = answer.get("data_streams").and_then(Value::as_array).cloned().unwrap_or_default();
        let indices = streams.iter().filter_map(|stream| stream.get("indices")?.as_array()).flatten();
        indices.map(|index| text_field(index, "index_name")).collect()
    }
}

/// A hit is the document: under its own id, byte for byte in fields, with the stream's time as `@timestamp`.
pub(super) fn stored(expected: &Value, hit: &Value) -> Result<(), String> {
    let mut source = hit.get("_source").cloned().unwrap_or_default();
    if hit.get("_id") != source.get("eventID") {
        return Err(format!("its _id is {:?}", hit.get("_id")));
    }
    let timestamp = source.as_object_mut().and_then(|source| source.remove("@timestamp"));
    let time = ["endTimestamp", "date", "timestamp"].iter().find_map(|name| source.get(*name));
    if timestamp.as_ref() != time {
        return Err(format!("its @timestamp is {timestamp:?}, its time {time:?}"));
    }
    exactly(expected, &source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_the_document_under_its_own_id() {
        let expected = json!({"eventID": "a", "date": "2026-01-31T12:00:00.000Z", "n": 1});
        let mut hit = json!({"_id": "a", "_source": expected});
        hit["_source"]["@timestamp"] = expected["date"].clone();
        assert_eq!(stored(&expected, &hit), Ok(()));
        for (place, value) in
            [("/_id", json!("b")), ("/_source/n", json!(2)), ("/_source/@timestamp", json!("x"))]
        {
            let mut bad = hit.clone();
            *bad.pointer_mut(place).unwrap() = value;
            assert!(stored(&expected, &bad).is_err(), "{place}");
        }
    }
}
