//! Posting events: what is taken, and a clear answer to every kind of bad input.

use std::io::Write;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::Value;

use crate::app::{App, EVENTS, JSON, LIMITS, MAX_EVENT_BYTES, MAX_EVENTS, event};

const ID: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lines(n: usize) -> String {
    vec![event(""); n].join("\n")
}

#[tokio::test]
async fn an_event_is_answered_with_its_id() {
    let app = App::new().await;
    let reply = app.post(&[JSON], event(&format!(r#","eventID":"{ID}""#))).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.text, format!(r#"{{"accepted":[{{"index":0,"eventID":"{ID}"}}],"rejected":[]}}"#));
    let again = app.post(&[], event(&format!(r#","eventID":"{ID}""#))).await;
    let expected =
        format!(r#"{{"accepted":[{{"index":0,"eventID":"{ID}","duplicate":true}}],"rejected":[]}}"#);
    assert_eq!(again.text, expected);
    assert_eq!(app.n_stored().await, 1);
}

#[tokio::test]
async fn an_array_lines_and_compressed_bodies_are_taken() {
    let app = App::new().await;
    let array = format!("[{},{}]", event(""), event(""));
    let zstd = zstd::encode_all(lines(3).as_bytes(), 3).unwrap();
    let bodies: [(&[(&str, &str)], Body); 5] = [
        (&[("content-type", "Application/JSON; charset=utf-8")], array.into()),
        (&[("content-type", "application/x-ndjson")], lines(2).into()),
        (&[], lines(2).into()),
        (&[JSON, ("content-encoding", "gzip")], gzip(lines(3).as_bytes()).into()),
        (&[JSON, ("content-encoding", "ZSTD")], zstd.into()),
    ];
    for ((headers, body), n_accepted) in bodies.into_iter().zip([2, 2, 2, 3, 3]) {
        let reply = app.post(headers, body).await;
        assert_eq!(
            reply.json()["accepted"].as_array().unwrap().len(),
            n_accepted,
            "{headers:?} {}",
            reply.text
        );
    }
    assert_eq!(app.n_stored().await, 12);
}

#[tokio::test]
async fn a_body_in_many_pieces_is_one_body() {
    let app = App::new().await;
    let text = lines(7);
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        text.as_bytes().chunks(10).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let reply = app.post(&[JSON], Body::from_stream(stream::iter(pieces))).await;
    assert_eq!(reply.json()["accepted"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn malformed_json_is_answered_by_what_is_wrong_with_it() {
    let app = App::new().await;
    assert_snapshot!("malformed_array", app.post(&[JSON], "[{\"type\":").await.shown());
    let lines = "{\"type\":\n{]}";
    let ndjson = ("content-type", "application/x-ndjson");
    assert_snapshot!("malformed_lines", app.post(&[ndjson], lines).await.shown());
    assert_eq!(
        app.post(&[JSON], lines).await.error_key(),
        "malformedBody",
        "lines, or a value that is cut off?"
    );
    for body in ["hello", "\u{0}", "7", "\"text\"", "hello\n[1]"] {
        assert_eq!(app.post(&[JSON], body).await.error_key(), "malformedBody", "{body}");
    }
    assert_eq!(app.post(&[JSON], vec![0xff, 0xfe]).await.error_key(), "malformedBody");
    for body in ["", " \n", "[]"] {
        assert_eq!(app.post(&[JSON], body).await.error_key(), "emptyBody", "{body:?}");
    }
    assert_eq!(app.n_stored().await, 0);
}

#[tokio::test]
async fn one_bad_event_among_a_hundred_costs_only_itself() {
    let app = App::new().await;
    let mut events = vec![event(""); 100];
    events[42] = r#"{"type":"selfService","endTimestamp":"yesterday"}"#.to_owned();
    let reply = app.post(&[JSON], format!("[{}]", events.join(","))).await;
    assert_eq!(reply.status, StatusCode::OK);
    let accepted: Vec<u64> =
        reply.json()["accepted"].as_array().unwrap().iter().map(|a| a["index"].as_u64().unwrap()).collect();
    assert_eq!(accepted, (0..100).filter(|index| *index != 42).collect::<Vec<u64>>());
    assert_snapshot!(format!("{:#}", reply.json()["rejected"]));
    assert_eq!(app.n_stored().await, 99);
}

#[tokio::test]
async fn a_bad_line_costs_only_itself_and_pretty_printed_events_are_understood() {
    let app = App::new().await;
    let ndjson = ("content-type", "application/x-ndjson");
    let mut body = b"garbage\n\xff\n  ".to_vec();
    body.extend_from_slice(event("").as_bytes());
    let reply = app.post(&[ndjson], body).await;
    assert_eq!(reply.status, StatusCode::OK);
    let indices = |name: &str| -> Vec<u64> {
        reply.json()[name].as_array().unwrap().iter().map(|each| each["index"].as_u64().unwrap()).collect()
    };
    assert_eq!((indices("accepted"), indices("rejected")), (vec![2], vec![0, 1]));
    let reply = app.post(&[JSON], format!("garbage\n{}", event(""))).await;
    assert_eq!(reply.json()["accepted"][0]["index"], 1);

    let pretty = format!("{:#}\n", serde_json::from_str::<Value>(&event("")).unwrap());
    let reply = app.post(&[JSON], pretty.repeat(2)).await;
    assert_eq!(reply.json()["accepted"].as_array().unwrap().len(), 2);
    let torn = app.post(&[JSON], format!("{pretty}{}", pretty.replace(':', " "))).await;
    assert_eq!((torn.status, torn.error_key()), (StatusCode::BAD_REQUEST, "malformedBody".to_owned()));
    assert!(torn.text.contains("expected `:` at line 6"), "{}", torn.text);
    assert_eq!(app.n_stored().await, 4);
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_however_it_comes() {
    let app = App::new().await;
    let large = "x".repeat(LIMITS.max_body + 1);
    assert_snapshot!(app.post(&[JSON], large.clone()).await.shown());
    let told = format!("{}", LIMITS.max_body + 1);
    assert_eq!(app.post(&[("content-length", &told)], "{}").await.error_key(), "bodyTooLarge");
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        large.as_bytes().chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let reply = app.post(&[], Body::from_stream(stream::iter(pieces))).await;
    assert_eq!(reply.error_key(), "bodyTooLarge");
}

#[tokio::test]
async fn too_many_events_and_too_large_an_event_are_told_apart() {
    let app = App::new().await;
    let many = app.post(&[JSON], lines(MAX_EVENTS + 1)).await;
    assert_eq!((many.status, many.error_key()), (StatusCode::PAYLOAD_TOO_LARGE, "tooManyEvents".to_owned()));
    let large = event(&format!(r#","loginSessionId":"{}""#, "x".repeat(MAX_EVENT_BYTES)));
    let reply = app.post(&[JSON], format!("{}\n{large}", event(""))).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["rejected"][0]["errorKey"], "eventTooLarge");
    assert_eq!(app.n_stored().await, 1);
}

#[tokio::test]
async fn a_gzip_bomb_is_too_large() {
    let app = App::new().await;
    let zeros = vec![b' '; 40 << 20];
    let bomb = gzip(&zeros);
    assert!(bomb.len() < LIMITS.max_body, "{}", bomb.len());
    assert_snapshot!(app.post(&[JSON, ("content-encoding", "gzip")], bomb).await.shown());
    let bomb = zstd::encode_all(&zeros[..], 3).unwrap();
    let reply = app.post(&[JSON, ("content-encoding", "zstd")], bomb).await;
    assert_eq!(reply.error_key(), "bodyTooLarge");
}

#[tokio::test]
async fn a_torn_or_foreign_compression_is_refused() {
    let app = App::new().await;
    let body = gzip(event("").as_bytes());
    let torn = body[..body.len() - 4].to_vec();
    assert_eq!(app.post(&[JSON, ("content-encoding", "gzip")], torn).await.error_key(), "malformedBody");
    assert_eq!(app.post(&[JSON, ("content-encoding", "zstd")], body).await.error_key(), "malformedBody");
    for encoding in ["br", "gzip, gzip", "deflate", ""] {
        let reply = app.post(&[JSON, ("content-encoding", encoding)], event("")).await;
        assert_eq!(reply.error_key(), "unsupportedEncoding", "{encoding}");
        assert_eq!(reply.header("accept-encoding"), "gzip, zstd, identity");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let reply = app.post(&[("content-type", content_type)], event("")).await;
        assert_eq!(reply.error_key(), "unsupportedMediaType", "{content_type}");
    }
}

#[tokio::test]
async fn duplicate_keys_are_refused_at_any_depth() {
    let app = App::new().await;
    let top = r#"{"type":"selfService","type":"customerFlow","endTimestamp":"2026-01-31T11:59:00Z"}"#;
    let deep = event(r#","nativeClaims":{"address":{"city":"Graz","city":"Linz"}}"#);
    let reply = app.post(&[JSON], format!("{top}\n{deep}\n{}", event(""))).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_snapshot!(format!("{:#}", reply.json()["rejected"]));
}

#[tokio::test]
async fn a_key_repeated_is_answered_alike_and_reused_with_another_body_is_refused() {
    let app = App::new().await;
    let key = [JSON, ("idempotency-key", "order-4711")];
    let first = app.post(&key, lines(2)).await;
    assert_eq!(first.status, StatusCode::OK);
    let again = app.post(&key, lines(2)).await;
    let ids = |reply: &crate::app::Reply| -> Vec<Value> {
        reply.json()["accepted"].as_array().unwrap().iter().map(|each| each["eventID"].clone()).collect()
    };
    assert_eq!(ids(&first), ids(&again));
    assert_snapshot!(app.post(&key, lines(3)).await.shown());
    assert_eq!(app.n_stored().await, 2);
    for key in ["", "a b", "ü", &"k".repeat(256)] {
        let reply = app.post(&[JSON, ("idempotency-key", key)], lines(1)).await;
        assert_eq!(reply.error_key(), "idempotencyKeyInvalid", "{key}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(app.post(&twice, lines(1)).await.error_key(), "idempotencyKeyInvalid");
}

#[tokio::test]
async fn an_event_id_of_another_producer_is_stored_under_one_of_our_own() {
    let app = App::new().await;
    let body = event(&format!(r#","eventID":"{ID}""#));
    app.post(&[JSON], body.clone()).await;
    let token = app.client("second platform", &["write:event"]).await;
    let bearer = format!("Bearer {}", token.expose());
    let reply = app.send(Method::POST, EVENTS, &[("authorization", &bearer), JSON], body).await;
    assert_eq!(reply.status, StatusCode::OK);
    let own = reply.json()["accepted"][0]["eventID"].as_str().unwrap().to_owned();
    assert_ne!(own, ID);
    assert_eq!(app.n_stored().await, 2);
}

#[tokio::test]
async fn an_event_id_with_other_content_is_a_conflict() {
    let app = App::new().await;
    app.post(&[JSON], event(&format!(r#","eventID":"{ID}""#))).await;
    let other = event(&format!(r#","eventID":"{ID}","variantId":"b""#));
    assert_snapshot!(app.post(&[JSON], other).await.shown());
}

#[tokio::test]
async fn requests_beyond_the_budget_are_told_to_come_back() {
    let app = Arc::new(App::new().await);
    // Bodies that have arrived but for their ends hold their share of the budget.
    let mut ends = Vec::new();
    let mut waiting = Vec::new();
    let share = LIMITS.max_body + intake::working_bytes(LIMITS.max_body);
    for _ in 0..LIMITS.in_flight / share {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (arrived, has_arrived) = tokio::sync::oneshot::channel::<()>();
        let piece = stream::once(async { Ok::<_, std::io::Error>(Bytes::from(vec![b' '; LIMITS.max_body])) });
        let body = piece.chain(stream::once(async move {
            arrived.send(()).unwrap();
            let _dropped = ended.await;
            Ok(Bytes::new())
        }));
        let app = Arc::clone(&app);
        waiting.push(tokio::spawn(async move { app.post(&[], Body::from_stream(body)).await.status }));
        has_arrived.await.unwrap();
        ends.push(end);
    }
    assert_snapshot!(app.post(&[JSON], event("")).await.shown());
    drop(ends);
    for each in waiting {
        assert_eq!(each.await.unwrap(), StatusCode::BAD_REQUEST, "an empty body, in the end");
    }
    assert_eq!(app.post(&[JSON], event("")).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let app = App::new().await;
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let reply = app.post(&[JSON], Body::from_stream(never)).await;
    assert_eq!((reply.status, reply.error_key()), (StatusCode::REQUEST_TIMEOUT, "requestTimeout".to_owned()));
}
