//! Every kind of bulk answer. The bodies marked "as OpenSearch 2.19 answers" were taken from one.

use destinations::{Outcome, Vendor};
use serde_json::{Value, json};

use crate::material::{TOKEN, answer, ids, letters, plain};

fn item(status: u16, kind: &str, reason: &str) -> Value {
    json!({"create": {"status": status, "error": {"type": kind, "reason": reason}}})
}

fn judged(items: &[Value]) -> String {
    let body = json!({"took": 1, "errors": true, "items": items}).to_string();
    letters(&*plain(Vendor::Elasticsearch), items.len(), &answer(200, body))
}

#[test]
fn what_an_item_proves() {
    for (status, kind, reason, expected) in [
        (409, "version_conflict_engine_exception", "[1]: version conflict, document already exists", "C"),
        (409, "something_else_exception", "", "R"),
        (429, "es_rejected_execution_exception", "rejected execution", "R!"),
        (429, "rejected_execution_exception", "rejected execution of coordinating operation", "R!"),
        (429, "circuit_breaking_exception", "[parent] Data too large", "R!"),
        (429, "cluster_block_exception", "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage …];", "H!"),
        (403, "cluster_block_exception", "index [a] blocked by: [FORBIDDEN/8/index write (api)];", "H"),
        (403, "security_exception", "action [indices:data/write/bulk] is unauthorized", "H"),
        (401, "security_exception", "missing authentication credentials", "H"),
        (404, "index_not_found_exception", "no such index [newone]", "H"),
        (503, "unavailable_shards_exception", "primary shard is not active", "R"),
        (503, "process_cluster_event_timeout_exception", "failed to process", "R"),
        (503, "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no master];", "R"),
        (500, "exception", "", "R"),
        (400, "document_parsing_exception", "[1:6] failed to parse field [x]", "Q"),
        (400, "mapper_parsing_exception", "failed to parse", "Q"),
        (400, "illegal_argument_exception", "mapper [x] cannot be changed from type [long] to [text]", "Q"),
        // Settings of the index, but only this document is beyond them.
        (400, "illegal_argument_exception", "Limit of mapping depth [20] has been exceeded", "Q"),
        (400, "mapper_parsing_exception", "The number of nested documents has exceeded the limit", "Q"),
        (413, "too_large", "the line is too long", "Q"),
        (400, "strict_dynamic_mapping_exception", "mapping set to strict", "Q"),
        (400, "invalid_index_name_exception", "Invalid index name [UPPER], must be lowercase", "H"),
        (400, "index_closed_exception", "closed", "H"),
        (418, "teapot", "", "R"),
    ] {
        assert_eq!(judged(&[item(status, kind, reason)]), expected, "{status} {kind} {reason}");
    }
}

#[test]
fn what_every_document_would_meet_is_held_and_costs_no_event() {
    for reason in [
        "Limit of total fields [1000] has been exceeded",
        "Limit of total fields [1000] in index [a] has been exceeded",
        "Limit of nested fields [50] has been exceeded",
        "Number of documents in the index can't exceed [2147483519]",
        "pipeline with id [geo] does not exist",
        "no write index is defined for alias [a]",
        "alias [a] has more than one index associated with it [[b, c]], can't execute a single index op",
        "only write ops with an op_type of create are allowed in data streams",
        "Rejecting mapping update to [a] as the final mapping would have more than 1 type: [_doc, doc]",
        "unknown setting [index.x] please check that any required plugins are installed",
    ] {
        assert_eq!(judged(&[item(400, "illegal_argument_exception", reason)]), "H", "{reason}");
    }
    let shards = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has \
                  [1000]/[1000] maximum normal shards open;";
    let added = "[1:6347] failed to parse: Limit of total fields [1000] has been exceeded while adding new fields [1]";
    let template = "Failed to parse mapping: analyzer [a] has not been configured in mappings";
    for (kind, reason) in [
        ("validation_exception", shards),
        ("document_parsing_exception", added),
        ("mapper_parsing_exception", template),
    ] {
        assert_eq!(judged(&[item(400, kind, reason)]), "H", "{reason}");
    }
}

#[test]
fn elasticsearch_7_says_in_the_cause_what_is_full() {
    let refused = |cause: &str| {
        let cause = json!({"type": "illegal_argument_exception", "reason": cause});
        let error =
            json!({"type": "mapper_parsing_exception", "reason": "failed to parse", "caused_by": cause});
        json!({"create": {"status": 400, "error": error}})
    };
    let full = "Limit of total fields [1000] has been exceeded while adding new fields [1]";
    let answer =
        answer(200, json!({"items": [refused(full), refused("For input string: \"x\"")]}).to_string());
    let verdict = plain(Vendor::Elasticsearch).classify(&ids(2), &answer);
    let hold = Outcome::Hold { reason: format!("mapper_parsing_exception: failed to parse: {full}") };
    let quarantine = Outcome::Quarantine { reason: "mapper_parsing_exception: failed to parse".to_owned() };
    assert_eq!(verdict.outcomes, [hold, quarantine]);
}

#[test]
fn values_of_a_document_do_not_pass_for_the_setup() {
    for reason in [
        "failed to parse field [x] of type [long]. Preview of field's value: 'no write index'",
        "[1:6] failed to parse field [no write index] of type [long]",
        "For input string: \"pipeline with id\"",
    ] {
        assert_eq!(judged(&[item(400, "mapper_parsing_exception", reason)]), "Q", "{reason}");
    }
}

#[test]
fn stored_items_are_told_from_diverted_ones() {
    assert_eq!(judged(&[json!({"create": {"status": 201}}), json!({"create": {"status": 200}})]), "CC");
    assert_eq!(judged(&[json!({"create": {"status": 201, "failure_store": "used"}})]), "V");
    assert_eq!(judged(&[json!({"create": {"status": 201, "failure_store": "not_enabled"}})]), "C");
    let refused = json!({"create": {"status": 400, "failure_store": "not_enabled",
        "error": {"type": "document_parsing_exception", "reason": "x"}}});
    assert_eq!(judged(&[refused]), "Q");
    assert_eq!(judged(&[json!({"create": {"status": 400}})]), "R");
    assert_eq!(judged(&[json!({"create": {"status": 413}}), json!({"create": {"status": 201}})]), "QC");
}

#[test]
fn each_item_is_judged_on_its_own() {
    // As OpenSearch 2.19 answers, without the ids.
    let body = r#"{"took":526,"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, document already exists (current version [1])"}}},{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [x] of type [long] in document with id '2'. Preview of field's value: 'not a number'"}}}]}"#;
    let destination = plain(Vendor::Elasticsearch);
    assert_eq!(letters(&*destination, 3, &answer(200, body)), "CCQ");
    let verdict = destination.classify(&ids(3), &answer(200, body));
    let reason =
        "mapper_parsing_exception: failed to parse field [x] of type [long] in document with id '2'.";
    assert_eq!(verdict.outcomes[2], Outcome::Quarantine { reason: reason.to_owned() });
}

#[test]
fn an_answer_about_other_events_proves_nothing() {
    let ids = ids(2);
    let created = |id: &str| json!({"create": {"_id": id, "status": 201}});
    let (first, second) = (ids[0].to_string(), ids[1].to_string());
    assert_eq!(judged(&[created(&first), created(&second)]), "CC");
    assert_eq!(judged(&[created(&second), created(&first)]), "RR");
    assert_eq!(judged(&[created(&first), created("another")]), "RR");
    // An event with that id is there, but it is not ours.
    let known = |id: &str| {
        let error = json!({"type": "version_conflict_engine_exception", "reason": "document already exists"});
        json!({"create": {"_id": id, "status": 409, "error": error}})
    };
    assert_eq!(judged(&[created(&first), known(&second)]), "CC");
    assert_eq!(judged(&[created(&first), known("another")]), "RR");
    assert_eq!(judged(&[known(&second), known(&first)]), "RR");
    // A document in a failure store has an id of its own.
    let diverted = json!({"create": {"_id": "iRDDtpYBsuCXUHDPOaJT", "status": 201, "failure_store": "used"}});
    assert_eq!(judged(&[created(&first), diverted]), "CV");
}

#[test]
fn an_item_that_cannot_be_read_says_nothing_about_the_others() {
    let created = json!({"create": {"status": 201}});
    for odd in [
        json!({"create": {"status": 400, "error": {"type": null, "reason": "x"}}}),
        json!({"create": {"status": 400, "error": "text"}}),
        json!({"create": {"status": 70_000}}),
        json!({"create": {}}),
        json!({"index": {"status": 201}}),
        json!({}),
        json!(7),
    ] {
        assert_eq!(judged(&[created.clone(), odd.clone(), created.clone()]), "CRC", "{odd}");
    }
}

#[test]
fn what_a_failure_store_did_not_take_is_judged_by_its_error() {
    for (failure_store, status, kind, expected) in [
        ("not_enabled", 400, "document_parsing_exception", "Q"),
        ("failed", 400, "document_parsing_exception", "Q"),
        ("failed", 429, "es_rejected_execution_exception", "R!"),
        ("failed", 503, "unavailable_shards_exception", "R"),
        ("used", 400, "document_parsing_exception", "Q"),
    ] {
        let refused = json!({"create": {"status": status, "failure_store": failure_store,
            "error": {"type": kind, "reason": "x"}}});
        assert_eq!(judged(&[refused]), expected, "{failure_store} {status}");
    }
}

#[test]
fn an_answer_about_another_number_of_items_proves_nothing() {
    let body = json!({"errors": false, "items": [{"create": {"status": 201}}, {"create": {"status": 201}}]});
    let destination = plain(Vendor::Elasticsearch);
    for n_events in [1, 3, 0] {
        let got = letters(&*destination, n_events, &answer(200, body.to_string()));
        assert_eq!(got, "R".repeat(n_events));
    }
}

#[test]
fn requests_that_are_refused_as_a_whole() {
    let refusal = |kind: &str, reason: &str| {
        json!({"error": {"type": kind, "reason": reason}, "status": 0}).to_string()
    };
    for (status, body, one, several) in [
        (400, refusal("x_content_parse_exception", "unexpected token"), "S", "SS"),
        (400, refusal("illegal_argument_exception", "Malformed content"), "S", "SS"),
        // As OpenSearch 2.19 answers.
        (
            400,
            refusal("illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [x]"),
            "H",
            "HH",
        ),
        (
            400,
            refusal("action_request_validation_exception", "Validation Failed: 1: index is missing;"),
            "H",
            "HH",
        ),
        (405, r#"{"error":"Incorrect HTTP method for uri [/_bulkk]","status":405}"#.to_owned(), "H", "HH"),
        (413, String::new(), "S", "SS"),
        (401, refusal("security_exception", "unable to authenticate"), "H", "HH"),
        (403, "<html>Forbidden</html>".to_owned(), "H", "HH"),
        (404, refusal("index_not_found_exception", "no such index"), "H", "HH"),
        (404, "<html>Not Found</html>".to_owned(), "R", "RR"),
        (400, "<html>Bad Request</html>".to_owned(), "R", "RR"),
        (408, String::new(), "R", "RR"),
        (429, refusal("circuit_breaking_exception", "Data too large"), "R", "RR"),
        (500, refusal("exception", ""), "R", "RR"),
        (503, refusal("cluster_block_exception", "state not recovered"), "R", "RR"),
        (200, "<html>Welcome</html>".to_owned(), "R", "RR"),
        (200, "{}".to_owned(), "R", "RR"),
        (
            200,
            r#"{"took":1,"errors":false,"items":[{"create":{"status":201}},{"create":{"st"#.to_owned(),
            "R",
            "RR",
        ),
        (403, refusal("cluster_block_exception", "blocked by: [FORBIDDEN/12/index read-only …];"), "H", "HH"),
        (400, r#"{"error":"words only","status":400}"#.to_owned(), "R", "RR"),
        (302, String::new(), "R", "RR"),
    ] {
        for (n_events, expected) in [(1, one), (2, several)] {
            let got = letters(&*plain(Vendor::Elasticsearch), n_events, &answer(status, body.clone()));
            assert_eq!(got, expected, "{status} {body}");
        }
    }
}

#[test]
fn reasons_do_not_tell_the_credential() {
    let body =
        json!({"error": {"type": "security_exception", "reason": format!("bad key {TOKEN}")}}).to_string();
    let verdict = plain(Vendor::Elasticsearch).classify(&ids(1), &answer(401, body));
    let reason = "security_exception: bad key [masked]".to_owned();
    assert_eq!(verdict.outcomes, [Outcome::Hold { reason }]);
}
