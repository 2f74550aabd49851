//! Stored events by their ids: the contract's three calls, and where an `eventLink` leads.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::app::{ACCOUNT_EVENTS, AUDIT_LOGS, App, HOOK_LOGS, JSON, Reply, STREAMING, event, splunk, with};

const ID: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f";
const OTHER_ID: &str = "5d2f1a34-90ab-4cde-8f01-23456789abcd";
const ACCEPT_JSON: (&str, &str) = ("accept", "application/json");
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

impl App {
    /// Posts one event and answers its id.
    async fn stored(&self, event: Value) -> String {
        let reply = self.post(&[JSON], event.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["accepted"][0]["eventID"].as_str().unwrap().to_owned()
    }

    /// Follows a link with these headers.
    async fn follow(&self, id: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, &format!("/console/e/{id}"), headers, "").await
    }

    /// Follows a link as the administrator's browser does.
    async fn browse(&self, id: &str) -> Reply {
        self.follow(id, &[BROWSER, ("authorization", &basic("anybody", &self.admin))]).await
    }

    /// Follows a link as the administrator's program does.
    async fn ask(&self, id: &str) -> Reply {
        self.follow(id, &[ACCEPT_JSON, ("authorization", &format!("Bearer {}", self.admin))]).await
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn account_event() -> Value {
    json!({
        "eventID": ID, "type": "customerFlow", "sourceEventType": "fp", "labels": ["success:identification", "failure:password"],
        "startTimestamp": "2026-01-31T11:58:59Z", "endTimestamp": "2026-01-31T11:59:00Z", "loginSessionId": "s1",
        "variantId": "", "actor": {"userName": "ann@example.com", "ip": "203.0.113.7"},
        "actorApplication": {"id": "a1", "name": "Shop"}, "subject": {"accountId": "acc-1"},
        "nativeClaims": {"email": "ann@example.com", "a \"quoted\" claim": [1, 2.5]},
        "actions": [{"type": "customerFlow", "details": [{"name": "password", "outcome": "wrong"}]}],
        "raw": {"type": "fp"},
    })
}

fn audit_log() -> Value {
    json!({
        "stream": "auditLog", "eventID": ID, "date": "2026-01-31T11:59:00Z", "action": "Update",
        "entityType": "Policy", "name": "Passwords", "url": "/policies/1", "method": "PUT", "version": 2,
        "actor": {"userName": "root", "ip": "203.0.113.8"}, "actorClient": {"id": "c1", "name": "Terraform"},
        "request": {"minLength": 12}, "response": {"version": 2},
        "changes": [{"path": "/minLength", "before": 8, "after": 12}],
    })
}

fn hook_log() -> Value {
    json!({
        "stream": "eventHookLog", "eventID": ID, "timestamp": "2026-01-31T11:59:00Z",
        "hook": {"id": "h1", "name": "Enrich", "type": "POST_LOGIN"}, "client": {"id": "c1"},
        "identityStore": "Customers", "accountId": "acc-1", "accountEventId": OTHER_ID,
        "logSummary": {"info": 1, "error": 0, "exception": false},
        "logs": [{"level": "info", "message": "done", "timestamp": "2026-01-31T11:59:00Z"}],
    })
}

#[tokio::test(start_paused = true)]
async fn an_account_event_is_shown_as_the_contract_says() {
    let app = App::new().await;
    app.stored(account_event()).await;
    assert_snapshot!("account_event", app.get(&format!("{ACCOUNT_EVENTS}/{ID}")).await.shown());
}

#[tokio::test(start_paused = true)]
async fn an_audit_log_is_shown_as_the_contract_says() {
    let app = App::new().await;
    app.stored(audit_log()).await;
    let reply = app.get(&format!("{AUDIT_LOGS}/{}", ID.to_uppercase())).await;
    assert!(reply.json()["request"].is_string() && reply.json()["response"].is_string());
    assert_snapshot!("audit_log", reply.shown());
}

#[tokio::test(start_paused = true)]
async fn an_event_hook_log_is_shown_as_the_contract_says() {
    let app = App::new().await;
    app.stored(hook_log()).await;
    assert_snapshot!("hook_log", app.get(&format!("{HOOK_LOGS}/{ID}")).await.shown());
}

#[tokio::test(start_paused = true)]
async fn an_event_is_found_in_its_own_stream_only_and_unknown_ids_are_not_found() {
    let app = App::new().await;
    app.stored(account_event()).await;
    for path in [AUDIT_LOGS, HOOK_LOGS] {
        let reply = app.get(&format!("{path}/{ID}")).await;
        assert_eq!((reply.status, reply.error_key()), (StatusCode::NOT_FOUND, "notFound".to_owned()));
    }
    for id in [OTHER_ID, "1", "%20", "00000000-0000-0000-0000-000000000000"] {
        let reply = app.get(&format!("{ACCOUNT_EVENTS}/{id}")).await;
        assert_eq!((reply.status, reply.error_key()), (StatusCode::NOT_FOUND, "notFound".to_owned()), "{id}");
        assert_eq!(app.ask(id).await.error_key(), "notFound", "{id}");
    }
    assert_snapshot!("bad_id", app.get(&format!("{ACCOUNT_EVENTS}/1")).await.shown());
}

#[tokio::test(start_paused = true)]
async fn each_stream_has_a_scope_of_its_own() {
    let app = App::new().await;
    app.stored(account_event()).await;
    for (scope, by_stream, by_link) in [
        ("read:event_account", (200, ""), (200, "")),
        ("read:admin_event_audit", (403, "insufficientScope"), (404, "notFound")),
        ("read:config_instance", (403, "insufficientScope"), (403, "insufficientScope")),
    ] {
        let token = app.client(scope, &[scope]).await;
        let bearer = format!("Bearer {}", token.expose());
        for (path, (status, key)) in
            [(format!("{ACCOUNT_EVENTS}/{ID}"), by_stream), (format!("/console/e/{ID}"), by_link)]
        {
            let reply = app.send(Method::GET, &path, &[ACCEPT_JSON, ("authorization", &bearer)], "").await;
            assert_eq!(reply.status, status, "{scope} {path}");
            if status != 200 {
                assert_eq!(reply.error_key(), key);
            }
            if status == 403 {
                assert!(reply.header("www-authenticate").contains("read:event_account"));
            }
        }
        let page = app.follow(ID, &[BROWSER, ("authorization", &basic("x", token.expose()))]).await;
        assert_eq!(page.status, by_link.0, "{scope}");
        assert_eq!(page.text.contains("ann@example.com"), by_link.0 == 200);
    }
    let nothing = app.client("nothing", &["write:event"]).await;
    let bearer = format!("Bearer {}", nothing.expose());
    let reply = app.follow(OTHER_ID, &[ACCEPT_JSON, ("authorization", &bearer)]).await;
    assert_eq!(
        reply.error_key(),
        "insufficientScope",
        "who may see no event is not told which ones there are"
    );
}

#[tokio::test(start_paused = true)]
async fn the_link_in_a_streamed_document_leads_to_that_document() {
    let app = App::new().await;
    app.call(Method::POST, STREAMING, splunk("siem")).await;
    app.stored(account_event()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let body = app.net.taken(|taken| taken.last_body.clone());
    let sent = serde_json::Deserializer::from_slice(&body).into_iter::<Value>();
    let sent: Vec<Value> = sent.map(|envelope| envelope.unwrap()["event"].clone()).collect();
    let sent = sent.iter().find(|sent| sent["stream"] == "accountEvent").unwrap();
    let link = sent["eventLink"].as_str().unwrap();
    let reply = app.ask(link.strip_prefix("https://idstream.example.com/console/e/").unwrap()).await;
    let document = &reply.json()["document"];
    for member in ["eventID", "journalOffset", "receivedAt", "labels", "actor", "sourceId", "eventLink"] {
        assert_eq!(document[member], sent[member], "{member}");
    }
    assert_eq!(document["nativeClaims"].as_object().unwrap().len(), 2, "every claim, selected or not");
    assert!(document["actions"].is_array() && document["raw"].is_object());
    assert_eq!(reply.json()["state"], "stored");
}

#[tokio::test(start_paused = true)]
async fn a_browser_is_shown_a_page_that_runs_and_loads_nothing() {
    let app = App::new().await;
    app.stored(account_event()).await;
    let page = app.browse(ID).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_snapshot!("page", page.text);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("vary", "Accept, Authorization"),
    ] {
        assert_eq!(page.header(name), value);
    }
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");

    let authorization = basic("anybody", &app.admin);
    let headers = [BROWSER, ("authorization", authorization.as_str())];
    let head = app.send(Method::HEAD, &format!("/console/e/{ID}"), &headers, "").await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-security-policy"), policy);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_wrote_into_an_event_is_only_a_text_on_the_page() {
    let app = App::new().await;
    let hostile = "</td><script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;\u{1b}";
    for (at, mut event) in [account_event(), audit_log(), hook_log()].into_iter().enumerate() {
        let id = format!("0197f3a0-6c1e-7c3a-9d2b-00000000000{at}");
        event["eventID"] = id.clone().into();
        event["nativeClaims"] = json!({hostile: hostile});
        event["raw"] = json!({hostile: hostile});
        for pointer in
            ["/actor/userName", "/actorClient/name", "/name", "/hook/name", "/logs/0/message", "/url"]
        {
            if let Some(text) = event.pointer_mut(pointer) {
                *text = hostile.into();
            }
        }
        app.stored(event).await;
        let page = app.browse(&id).await;
        assert_eq!(page.status, StatusCode::OK);
        for piece in ["<script", "<img", "\u{1b}"] {
            assert!(!page.text.contains(piece), "{piece}: {}", page.text);
        }
        assert!(page.text.contains("&lt;script&gt;"), "{}", page.text);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_signed_in_is_told_how_to_and_nothing_else() {
    let app = App::new().await;
    app.stored(account_event()).await;
    let page = app.follow(ID, &[BROWSER]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(page.header("www-authenticate"), "Basic realm=\"idstream\", charset=\"UTF-8\"");
    assert_snapshot!("not_signed_in", page.text);
    assert_eq!(app.follow(OTHER_ID, &[BROWSER]).await.text, page.text, "whatever is stored");

    let reply = app.follow(ID, &[ACCEPT_JSON]).await;
    assert_eq!((reply.status, reply.error_key()), (StatusCode::UNAUTHORIZED, "unauthorized".to_owned()));
    assert!(reply.header("www-authenticate").starts_with("Bearer "));

    let (id, secret) = app.admin.strip_prefix("ids_").unwrap().split_once('_').unwrap();
    for (user, password, expected) in
        [(id, secret, 200), (id, &*app.admin, 200), (id, "wrong", 401), ("", "", 401), (secret, id, 401)]
    {
        let reply = app.follow(ID, &[BROWSER, ("authorization", &basic(user, password))]).await;
        assert_eq!(reply.status, expected, "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_may_not_be_indexed_yet_is_to_be_asked_for_again() {
    let app = App::new().await;
    app.state.explorer.shutdown().await;
    app.stored(serde_json::from_str(&event("")).unwrap()).await;
    let reply = app.get(&format!("{ACCOUNT_EVENTS}/{OTHER_ID}")).await;
    assert_snapshot!("not_indexed", reply.shown());
    let page = app.browse(OTHER_ID).await;
    assert_eq!((page.status, page.header("retry-after")), (StatusCode::NOT_FOUND, "2"));
    assert!(page.text.contains("Not found yet"), "{}", page.text);
    let status = app.get("/admin/api/v1/instance/explorer").await.json();
    assert_eq!(status["blocksBehind"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_removed_event_says_when_it_was_removed() {
    let app = App::new().await;
    let id = app.stored(serde_json::from_str(&event("")).unwrap()).await;
    assert_eq!(app.ask(&id).await.status, StatusCode::OK);
    app.clock.advance(Duration::from_hours(24 * 31));
    app.journal.trim(u64::MAX).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reply = app.get(&format!("{ACCOUNT_EVENTS}/{id}")).await;
    assert_snapshot!("removed", reply.shown());
    let page = app.browse(&id).await;
    assert!(page.text.contains("removed by retention on 2026-03-03"), "{}", page.text);
    assert_eq!(
        (page.status, app.ask(&id).await.error_key()),
        (StatusCode::NOT_FOUND, "eventRemoved".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn the_link_of_a_test_event_says_who_sent_it() {
    let app = App::new().await;
    let path = app.call(Method::POST, STREAMING, splunk("siem")).await.header("location").to_owned();
    app.call(Method::POST, &format!("{path}/test"), Value::Null).await;
    let body = app.net.taken(|taken| taken.last_body.clone());
    let sent = serde_json::Deserializer::from_slice(&body).into_iter::<Value>();
    let mut n_sent = 0;
    for sent in sent {
        let event = &sent.unwrap()["event"];
        assert_eq!(event["test"], true);
        let id = event["eventID"].as_str().unwrap();
        let told = app.ask(id).await.json();
        assert_eq!((&told["state"], &told["eventID"]), (&json!("test"), &json!(id)));
        assert_eq!((&told["sentBy"], &told["configuration"]), (&json!("administrator"), &json!("siem")));
        assert!(app.browse(id).await.text.contains("Test event"));
        let reply = app.get(&format!("{ACCOUNT_EVENTS}/{id}")).await;
        assert_eq!((reply.status, reply.error_key()), (StatusCode::NOT_FOUND, "testEvent".to_owned()));
        n_sent += 1;
    }
    assert_eq!(n_sent, 2);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_an_event_is_told_only_to_those_who_may_see_every_stream() {
    let app = App::new().await;
    let removed = app.stored(account_event()).await;
    app.clock.advance(Duration::from_hours(24 * 31));
    app.journal.trim(u64::MAX).await.unwrap();
    let path = app.call(Method::POST, STREAMING, splunk("siem")).await.header("location").to_owned();
    app.call(Method::POST, &format!("{path}/test"), Value::Null).await;
    let body = app.net.taken(|taken| taken.last_body.clone());
    let sent: Value = serde_json::Deserializer::from_slice(&body).into_iter().next().unwrap().unwrap();
    let test = sent["event"]["eventID"].as_str().unwrap();
    let audit = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e60";
    app.stored(with(audit_log(), "/eventID", json!(audit))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let some = app.client("some", &["read:event_account", "read:event_hook_log"]).await;
    let bearer = format!("Bearer {}", some.expose());
    let headers = [ACCEPT_JSON, ("authorization", bearer.as_str())];
    for path in [ACCOUNT_EVENTS, HOOK_LOGS, "/console/e"] {
        let unknown = app.send(Method::GET, &format!("{path}/{OTHER_ID}"), &headers, "").await;
        assert_eq!(unknown.error_key(), "notFound");
        for id in [&removed, test, audit] {
            let reply = app.send(Method::GET, &format!("{path}/{id}"), &headers, "").await;
            assert_eq!(reply.text.replace(id, OTHER_ID), unknown.text, "{path}/{id}");
        }
    }
    assert_eq!(app.ask(&removed).await.error_key(), "eventRemoved");
    assert_eq!(app.ask(audit).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_explorer_says_how_far_it_is() {
    let app = App::new().await;
    let id = app.stored(serde_json::from_str(&event("")).unwrap()).await;
    app.get(&format!("{ACCOUNT_EVENTS}/{id}")).await;
    assert_snapshot!("explorer", app.get("/admin/api/v1/instance/explorer").await.shown());
}
