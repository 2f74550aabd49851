//! Every answer of the collector's catalogue, and what servers and balancers around it say.

use destinations::{Ack, AckVerdict, Answer, Outcome, Vendor};
use serde_json::json;

use crate::material::{TOKEN, answer, destination, ids, letters, plain};

fn check(answer: &Answer, n_events: usize, expected: &str) {
    let got = letters(&*plain(Vendor::Splunk), n_events, answer);
    assert_eq!(got, expected, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
}

/// An answer that is declared as the collector declares its own.
fn declared(status: u16, body: String) -> Answer {
    let mut said = answer(status, body);
    said.headers.insert("content-type", "application/json; charset=UTF-8".parse().unwrap());
    said
}

#[test]
fn the_catalogue_of_codes() {
    for (code, status, text, expected) in [
        (0, 200, "Success", "AAA"),
        (1, 403, "Token disabled", "HHH"),
        (2, 401, "Token is required", "HHH"),
        (3, 401, "Invalid authorization", "HHH"),
        (4, 403, "Invalid token", "HHH"),
        (5, 400, "No data", "SSS"),
        (6, 400, "Invalid data format", "SSS"),
        (7, 400, "Incorrect index", "HHH"),
        (8, 500, "Internal server error", "RRR"),
        (9, 503, "Server is busy", "RRR"),
        (10, 400, "Data channel is missing", "HHH"),
        (11, 400, "Invalid data channel", "HHH"),
        (12, 400, "Event field is required", "SSS"),
        (13, 400, "Event field cannot be blank", "SSS"),
        (14, 400, "ACK is disabled", "HHH"),
        (15, 400, "Error in handling indexed fields", "SSS"),
        (16, 400, "Query string authorization is not enabled", "HHH"),
        (17, 200, "HEC is healthy", "RRR"),
        (18, 503, "HEC is unhealthy, queues are full", "RRR"),
        (19, 503, "HEC is unhealthy, ack service unavailable", "RRR"),
        (20, 503, "HEC is unhealthy, both", "RRR"),
        (21, 400, "Invalid token", "HHH"),
        (22, 400, "Token disabled", "HHH"),
        (23, 503, "Server is shutting down", "RRR"),
        (24, 200, "HEC queue is approaching its capacity limit", "AAA!"),
        (25, 200, "HEC ACK is approaching its capacity limit", "AAA!"),
        (26, 429, "HEC queue is at capacity and cannot process any more requests", "RRR"),
        (27, 429, "HEC ACK channel is at capacity and cannot process any more requests", "RRR"),
        (28, 400, "Data channel is missing. If you have multiple indexers, …", "HHH"),
        (99, 400, "Something new", "RRR"),
        (99, 200, "Something new", "RRR"),
    ] {
        check(&answer(status, json!({"text": text, "code": code}).to_string()), 3, expected);
    }
}

#[test]
fn a_numbered_event_is_bad_and_what_stands_before_it_was_taken() {
    for code in [6, 12, 13, 15] {
        for (number, expected) in [(1, "AQRR"), (2, "AAQR"), (3, "AAAQ"), (4, "RRRR"), (99, "RRRR")] {
            let body = json!({"text": "bad", "code": code, "invalid-event-number": number});
            check(&declared(400, body.to_string()), 4, expected);
        }
    }
}

#[test]
fn a_body_over_the_limit_is_told_from_a_bad_first_event_by_halving() {
    let body = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": 0}).to_string();
    check(&answer(400, body.clone()), 2, "SS");
    check(&answer(400, body), 1, "S");
    for code in [12, 13, 15] {
        let body = json!({"text": "bad", "code": code, "invalid-event-number": 0});
        check(&declared(400, body.to_string()), 2, "QR");
    }
}

#[test]
fn a_wrong_index_holds_and_its_number_is_of_the_object_after_it() {
    for (number, expected) in [(0, "HHH"), (1, "HHH"), (2, "AHH"), (3, "AAH"), (4, "HHH"), (99, "HHH")] {
        let body = json!({"text": "Incorrect index", "code": 7, "invalid-event-number": number});
        check(&declared(400, body.to_string()), 3, expected);
    }
}

#[test]
fn an_imitation_of_the_collector_is_not_believed_to_have_taken_a_part() {
    let body = json!({"text": "bad", "code": 15, "invalid-event-number": 2}).to_string();
    check(&answer(400, body.clone()), 4, "RRQR");
    for (kind, expected) in [
        ("application/json; charset=UTF-8", "AAQR"),
        ("application/json", "AAQR"),
        ("text/plain; charset=utf-8", "RRQR"),
    ] {
        let mut said = answer(400, body.clone());
        said.headers.insert("content-type", kind.parse().unwrap());
        check(&said, 4, expected);
    }
}

#[test]
fn answers_that_are_not_the_collectors_prove_nothing() {
    for (status, body, expected) in [
        (200, "", "RR"),
        (200, "<html>ok</html>", "RR"),
        (200, "[]", "RR"),
        (200, r#"{"code":"0"}"#, "RR"),
        (200, r#"{"text":"Success","code":0,"#, "RR"),
        (204, "", "RR"),
        (201, r#"{"text":"Success","code":0}"#, "RR"),
        // It contradicts itself.
        (200, r#"{"text":"Success","code":0,"invalid-event-number":1}"#, "RR"),
        // The collector's words, but not its form.
        (200, r#"{"text":"Success","code":-1}"#, "RR"),
        (400, r#"{"text":"bad","code":6,"invalid-event-number":-1}"#, "RR"),
        (400, r#"{"text":"bad","code":6,"invalid-event-number":"1"}"#, "RR"),
        (302, "", "RR"),
        (400, "<html>Bad Request</html>", "RR"),
        (401, "missing authorization header", "HH"),
        (403, "<html>Forbidden</html>", "HH"),
        (404, "<html>Not Found</html>", "RR"),
        (404, r#"{"text":"The requested URL was not found on this server.","code":404}"#, "RR"),
        (405, r#"{"text":"The method is not allowed","code":405}"#, "RR"),
        (408, "", "RR"),
        (413, "<html>Request Entity Too Large</html>", "SS"),
        (415, "<html>Unsupported</html>", "RR"),
        (429, "", "RR"),
        (500, r#"{"text":"bad","code":6,"invalid-event-number":1}"#, "RR"),
        (502, "<html>Bad Gateway</html>", "RR"),
        (503, r#"{"text":"Success","code":0}"#, "RR"),
        (504, "", "RR"),
    ] {
        check(&answer(status, body), 2, expected);
    }
}

#[test]
fn reasons_are_the_collectors_words_without_the_token() {
    let reason = |said: &Answer| match plain(Vendor::Splunk).classify(&ids(1), said).outcomes.remove(0) {
        Outcome::Hold { reason } | Outcome::Retry { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&answer(403, r#"{"text":"Invalid token","code":4}"#)), "HEC code 4: Invalid token");
    let echo = answer(401, format!("scheme or token does not match: Splunk {TOKEN}"));
    assert_eq!(reason(&echo), "HTTP 401: scheme or token does not match: Splunk [masked]");
    assert_eq!(reason(&answer(503, "")), "HTTP 503");
}

/// The outcomes, then the id under which the events that were taken will be acknowledged.
fn with_ack(acknowledgement: &str, n_events: usize, said: &Answer) -> (String, Ack) {
    let configuration = json!({"url": "https://s:8088", "acknowledgement": acknowledgement});
    let splunk = destination(Vendor::Splunk, &configuration);
    (letters(&*splunk, n_events, said), splunk.classify(&ids(n_events), said).ack)
}

#[test]
fn what_is_taken_is_acknowledged_under_the_id_that_the_answer_gives() {
    let whole = answer(200, r#"{"text":"Success","code":0,"ackId":7}"#);
    let part = declared(
        400,
        r#"{"text":"Invalid data format","code":6,"invalid-event-number":1,"ackId":0}"#.to_owned(),
    );
    for wanted in ["auto", "required"] {
        assert_eq!(with_ack(wanted, 2, &whole), ("AA".to_owned(), Ack::Given(7)), "{wanted}");
        assert_eq!(with_ack(wanted, 3, &part), ("AQR".to_owned(), Ack::Given(0)), "{wanted}");
    }
    assert_eq!(with_ack("off", 2, &whole), ("AA".to_owned(), Ack::None));
}

#[test]
fn an_answer_without_an_acknowledgement_id_delivers_nothing_where_one_is_required() {
    for no_id in [
        r#"{"text":"Success","code":0}"#,
        r#"{"text":"Success","code":0,"ackId":null}"#,
        r#"{"text":"Success","code":24,"ackId":"x"}"#,
        r#"{"text":"Success","code":0,"ackId":-1}"#,
    ] {
        let said = answer(200, no_id);
        assert_eq!(with_ack("auto", 2, &said).0.trim_end_matches('!'), "AA", "{no_id}");
        assert_eq!(with_ack("required", 2, &said).0.trim_end_matches('!'), "HH", "{no_id}");
    }
    let part = declared(400, r#"{"text":"bad","code":6,"invalid-event-number":1}"#.to_owned());
    assert_eq!(with_ack("required", 3, &part), ("RQR".to_owned(), Ack::None));
}

#[test]
fn an_answer_that_is_not_the_collectors_may_hide_an_id() {
    for (status, body, expected) in [
        (502, "<html>Bad Gateway</html>", Ack::Lost),
        (200, r#"{"text":"Success","code":0,"ackId":7,"#, Ack::Lost),
        (500, r#"{"text":"Internal server error","code":8}"#, Ack::Lost),
        (503, r#"{"text":"Server is busy","code":9}"#, Ack::None),
        (400, r#"{"text":"No data","code":5}"#, Ack::None),
    ] {
        assert_eq!(with_ack("auto", 1, &answer(status, body)).1, expected, "{status} {body}");
    }
}

#[test]
fn a_full_acknowledgement_channel_is_left() {
    let said = |code: u32| answer(429, json!({"text": "at capacity", "code": code}).to_string());
    assert!(plain(Vendor::Splunk).classify(&ids(1), &said(27)).exhausted);
    assert!(!plain(Vendor::Splunk).classify(&ids(1), &said(26)).exhausted);
}

#[test]
fn only_true_acknowledges() {
    let acks = |status: u16, body: &str| {
        plain(Vendor::Splunk).classify_acks(&[0, 1, 2], &answer(status, body.to_owned()))
    };
    for (body, known) in [
        (r#"{"acks":{"0":true,"1":false,"2":true}}"#, vec![0, 2]),
        (r#"{"acks":{"0":false,"1":false,"2":false}}"#, vec![]),
        (r#"{"acks":{"9":true}}"#, vec![]),
        (r#"{"acks":{}}"#, vec![]),
    ] {
        assert_eq!(acks(200, body), AckVerdict::Acknowledged(known), "{body}");
    }
    for (status, body, expected) in [
        (200, r#"{"acks":{"0":1}}"#, 'L'),
        (200, "<html>ok</html>", 'L'),
        (200, r#"{"acks":{"0":true,"#, 'L'),
        (200, r#"{"text":"Success","code":0}"#, 'L'),
        (400, r#"{"text":"ACK is disabled","code":14}"#, 'O'),
        (400, r#"{"text":"Data channel is missing","code":10}"#, 'H'),
        (400, r#"{"text":"Invalid data channel","code":11}"#, 'H'),
        (401, r#"{"text":"Invalid authorization","code":3}"#, 'H'),
        (403, r#"{"text":"Invalid token","code":4}"#, 'H'),
        (403, "<html>Forbidden</html>", 'H'),
        (404, "<html>Not Found</html>", 'L'),
        (429, r#"{"text":"at capacity","code":27}"#, 'U'),
        (503, r#"{"text":"ack service unavailable","code":19}"#, 'U'),
        (502, "", 'L'),
    ] {
        let got = match acks(status, body) {
            AckVerdict::Acknowledged(_) => 'A',
            AckVerdict::Off { .. } => 'O',
            AckVerdict::Hold { .. } => 'H',
            AckVerdict::Unanswered { .. } => 'U',
            AckVerdict::Lost { .. } => 'L',
        };
        assert_eq!(got, expected, "{status} {body}");
    }
}

/// Each row of the guides' tables, `docs/guides/splunk-*.md`: H holds, R is tried again, S is sent in halves, Q goes to
/// quarantine.
#[test]
fn what_the_guides_explain_is_what_the_collector_says() {
    for (status, body, reason, expected) in [
        (403, r#"{"text":"Token disabled","code":1}"#, "HEC code 1: Token disabled", 'H'),
        (401, r#"{"text":"Token is required","code":2}"#, "HEC code 2: Token is required", 'H'),
        (401, r#"{"text":"Invalid authorization","code":3}"#, "HEC code 3: Invalid authorization", 'H'),
        (400, r#"{"text":"Incorrect index","code":7}"#, "HEC code 7: Incorrect index", 'H'),
        (400, r#"{"text":"ACK is disabled","code":14}"#, "HEC code 14: ACK is disabled", 'H'),
        (500, r#"{"text":"Internal server error","code":8}"#, "HEC code 8: Internal server error", 'R'),
        (503, r#"{"text":"Server is busy","code":9}"#, "HEC code 9: Server is busy", 'R'),
        (503, r#"{"text":"Server is shutting down","code":23}"#, "HEC code 23: Server is shutting down", 'R'),
        (
            429,
            r#"{"text":"HEC queue is at capacity","code":26}"#,
            "HEC code 26: HEC queue is at capacity",
            'R',
        ),
        (400, r#"{"text":"Invalid data format","code":6}"#, "HEC code 6: Invalid data format", 'S'),
        (
            400,
            r#"{"text":"Error in handling indexed fields","code":15,"invalid-event-number":0}"#,
            "HEC code 15: Error in handling indexed fields",
            'Q',
        ),
        (404, "", "HTTP 404", 'R'),
        (403, "", "HTTP 403", 'H'),
    ] {
        let outcome = plain(Vendor::Splunk).classify(&ids(1), &answer(status, body)).outcomes.remove(0);
        let found = match outcome {
            Outcome::Hold { reason } => ('H', reason),
            Outcome::Retry { reason } => ('R', reason),
            Outcome::Split { reason } => ('S', reason),
            Outcome::Quarantine { reason } => ('Q', reason),
            other @ Outcome::Delivered(_) => panic!("{other:?}"),
        };
        assert_eq!(found, (expected, reason.to_owned()));
    }
}
