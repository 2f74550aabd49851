//! The bulk API of Elasticsearch and OpenSearch: its bodies and its answers.

use std::borrow::Cow;
use std::fmt::Write as _;

use base::EventId;
use serde::Deserialize;

use crate::check::{self, Json};
use crate::reading::{Reading, lines};

/// Why a whole request is refused: type and reason.
pub(crate) type Refusal = (&'static str, String);

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow, alias = "index")]
    create: Target<'a>,
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow, rename = "_index")]
    index: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_id")]
    id: Option<Cow<'a, str>>,
}

/// One item of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Stored.
    Created,
    /// There already.
    Conflict,
    /// Stored in a failure store, under an id of its own.
    Diverted,
    /// Refused, with this status and type.
    Failed(u16, &'a str),
}

/// Reads the events of a body; the ids are those of the actions. The second value names, for each event, the type of
/// the failure of its document.
pub(crate) fn read(
    body: &[u8],
    url_names_index: bool,
    checks: bool,
) -> Result<(Reading<'_>, Vec<Option<&'static str>>), Refusal> {
    const ARGUMENT: &str = "illegal_argument_exception";
    if body.is_empty() {
        return Err(("parse_exception", "request body is required".to_owned()));
    }
    if !body.ends_with(b"\n") {
        return Err((ARGUMENT, "The bulk request must be terminated by a newline [\\n]".to_owned()));
    }
    let mut reading = Reading::default();
    let mut failures = Vec::new();
    let mut lines = lines(body);
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let action: Action<'_> = serde_json::from_slice(line)
            .map_err(|_| (ARGUMENT, "Malformed action/metadata line".to_owned()))?;
        if action.create.index.is_none() && !url_names_index {
            let reason = "Validation Failed: 1: index is missing;".to_owned();
            return Err(("action_request_validation_exception", reason));
        }
        let document = lines.next().ok_or((ARGUMENT, "the last action has no document".to_owned()))?;
        let id = action.create.id.as_deref().and_then(|id| EventId::parse(id).ok());
        let problem = if checks { strict(document, id, &mut reading) } else { lax(document) };
        failures.push(problem);
        reading.add(id, document);
    }
    Ok((reading, failures))
}

/// Looks at the ends of a document only.
fn lax(document: &[u8]) -> Option<&'static str> {
    let whole = document.starts_with(b"{") && document.ends_with(b"}");
    (!whole).then_some("mapper_parsing_exception")
}

fn strict(document: &[u8], id: Option<EventId>, reading: &mut Reading<'_>) -> Option<&'static str> {
    let at = reading.pieces.len();
    let json = match Json::parse(document) {
        Ok(json @ Json::Object(_)) => json,
        Ok(_) => return Some("mapper_parsing_exception"),
        Err(problem) => {
            reading.problems.push(format!("event {at}: {problem}"));
            return Some("mapper_parsing_exception");
        }
    };
    let (own, mut problems) = check::document(&json);
    if own != id {
        problems.push("_id is not the eventID".to_owned());
    }
    if !json.text("@timestamp").is_some_and(check::is_time) {
        problems.push("@timestamp is not a UTC time in milliseconds".to_owned());
    }
    reading.problems.extend(problems.into_iter().map(|problem| format!("event {at}: {problem}")));
    None
}

/// The answer of a request: an entry for each item, with ids unless a `filter_path` leaves them out.
pub(crate) fn answer(items: &[Item<'_>], reading: &Reading<'_>, filter: Option<&str>) -> String {
    let has_errors = items.iter().any(|item| !matches!(item, Item::Created | Item::Diverted));
    let with_ids = filter.is_none_or(|filter| filter.contains("_id"));
    let mut body = String::with_capacity(40 + items.len() * if with_ids { 80 } else { 28 });
    let _infallible = write!(body, "{{\"took\":1,\"errors\":{has_errors},\"items\":[");
    for (at, item) in items.iter().enumerate() {
        body.push_str(if at > 0 { ",{\"create\":{" } else { "{\"create\":{" });
        let id = reading.pieces.get(at).and_then(|piece| piece.id);
        if let Some(id) = id.filter(|_| with_ids && *item != Item::Diverted) {
            let _infallible = write!(body, "\"_id\":\"{id}\",");
        }
        let _infallible = match *item {
            Item::Created => write!(body, "\"status\":201}}}}"),
            Item::Diverted => write!(body, "\"status\":201,\"failure_store\":\"used\"}}}}"),
            Item::Conflict => write!(
                body,
                "\"status\":409,\"error\":{{\"type\":\"version_conflict_engine_exception\",\"reason\":\"version \
                 conflict, document already exists (current version [1])\"}}}}}}"
            ),
            Item::Failed(status, kind) => write!(
                body,
                "\"status\":{status},\"error\":{{\"type\":\"{kind}\",\"reason\":\"refused by the stand-in\"}}}}}}"
            ),
        };
    }
    body.push_str("]}");
    body
}

/// The answer of a request that is refused as a whole.
pub(crate) fn refusal((kind, reason): &Refusal, status: u16) -> String {
    serde_json::json!({"error": {"type": kind, "reason": reason}, "status": status}).to_string()
}

/// The `filter_path` of a query.
pub(crate) fn filter(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("filter_path="))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTION: &str = r#"{"create":{"_index":"i","_id":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51"}}"#;

    #[test]
    fn whole_requests_are_refused_as_a_cluster_does() {
        let refused = |body: &str| read(body.as_bytes(), false, false).map(|_| ()).unwrap_err().0;
        assert_eq!(refused(""), "parse_exception");
        assert_eq!(refused(&format!("{ACTION}\n{{}}")), "illegal_argument_exception");
        assert_eq!(refused(&format!("{ACTION}\n")), "illegal_argument_exception");
        assert_eq!(refused("nonsense\n{}\n"), "illegal_argument_exception");
        assert_eq!(refused("{\"create\":{}}\n{}\n"), "action_request_validation_exception");
        assert!(read(b"{\"create\":{}}\n{}\n", true, false).is_ok());
    }

    #[test]
    fn a_document_that_is_cut_fails_alone() {
        let body = format!("{ACTION}\n{{\"a\":1\n{ACTION}\n{{\"a\":1}}\n");
        for checks in [false, true] {
            let (reading, failures) = read(body.as_bytes(), false, checks).unwrap();
            assert_eq!(reading.pieces.len(), 2);
            assert_eq!(failures, [Some("mapper_parsing_exception"), None]);
        }
    }

    #[test]
    fn ids_are_answered_unless_the_filter_leaves_them_out() {
        let body = format!("{ACTION}\n{{}}\n");
        let (reading, _) = read(body.as_bytes(), false, false).unwrap();
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        assert_eq!(
            answer(&[Item::Created], &reading, None),
            format!(
                "{{\"took\":1,\"errors\":false,\"items\":[{{\"create\":{{\"_id\":\"{id}\",\"status\":201}}}}]}}"
            )
        );
        let filtered = answer(&[Item::Failed(429, "busy")], &reading, Some("items.*.status"));
        assert!(!filtered.contains(id) && filtered.contains("\"errors\":true"), "{filtered}");
        assert_eq!(filter(Some("a=1&filter_path=took,items")), Some("took,items"));
    }
}
