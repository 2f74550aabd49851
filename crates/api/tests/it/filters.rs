//! Filters by API: what is taken and shown, what is delivered, and what dry runs, previews and measured volumes say.

use std::time::Duration;

use api::audit::tell;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, JSON, STREAMING, event, splunk, with};

const READING: [&str; 4] =
    ["read:event_account", "read:admin_event_account", "read:admin_event_audit", "read:event_hook_log"];

fn filtered(name: &str, filter: Value) -> Value {
    with(splunk(name), "/filter", filter)
}

impl App {
    async fn configured(&self, body: Value) -> String {
        let reply = self.call(Method::POST, STREAMING, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        reply.header("location").to_owned()
    }

    /// The id of a posted event.
    async fn posted(&self, event: impl Into<String>) -> String {
        let reply = self.post(&[JSON], event.into()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["accepted"][0]["eventID"].as_str().unwrap().to_owned()
    }

    /// The documents that Splunk took whose `action` is this one, once there are as many.
    async fn told(&self, action: &str, n_documents: usize) -> Vec<Value> {
        assert!(tell(&self.state).await);
        for _ in 0..1000 {
            let told = self.net.taken(|taken| -> Vec<Value> {
                let documents = taken.documents.get("splunk.example.com").into_iter().flatten();
                documents.filter(|document| document["action"] == action).cloned().collect()
            });
            if told.len() >= n_documents {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{action} was not told");
    }

    /// Books of which nothing is pending.
    async fn settled(&self, path: &str) -> Value {
        for _ in 0..1000 {
            let status = self.get(&format!("{path}/status")).await.json();
            if status["books"]["pending"] == 0 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not settled: {}", self.get(&format!("{path}/status")).await.text);
    }
}

#[tokio::test]
async fn a_filter_is_shown_as_it_was_given_and_goes_when_it_is_omitted() {
    let app = App::new().await;
    let filter = json!({
        "presets": ["withoutTokenNoise"],
        "include": {"types": ["selfService", "customerFlow"], "sources": ["shop"]},
        "exclude": {"labels": ["success:login"], "applications": ["Web \"shop\""]},
    });
    let path = app.configured(filtered("filtered", filter.clone())).await;
    let mut shown = app.get(&path).await.json();
    assert_eq!(shown["filter"], filter);
    let same = app.call(Method::PUT, &path, shown.clone()).await;
    assert_eq!((same.status, &same.json()["filter"]), (StatusCode::OK, &filter), "{}", same.text);
    shown.as_object_mut().unwrap().remove("filter");
    assert_eq!(app.call(Method::PUT, &path, shown).await.json().get("filter"), None);

    let empty = json!({"presets": [], "include": {"labels": []}, "exclude": null});
    let nothing = app.configured(filtered("nothing", empty)).await;
    assert_eq!(app.get(&nothing).await.json().get("filter"), None, "what says nothing is no filter");
}

#[tokio::test]
async fn what_can_never_match_or_be_read_is_refused_by_its_place() {
    let app = App::new().await;
    let many: Vec<String> = (0..201).map(|n| format!("x{n}")).collect();
    for (filter, field) in [
        (json!([]), "filter"),
        (json!({"preset": []}), "filter.preset"),
        (json!({"presets": ["withoutNoise"]}), "filter.presets[0]"),
        (json!({"include": []}), "filter.include"),
        (json!({"include": {"stores": ["a"]}}), "filter.include.stores"),
        (json!({"include": {"types": "selfService"}}), "filter.include.types"),
        (json!({"include": {"types": ["selfservice"]}}), "filter.include.types[0]"),
        (json!({"exclude": {"labels": ["success:x", "login"]}}), "filter.exclude.labels[1]"),
        (json!({"exclude": {"sources": [7]}}), "filter.exclude.sources[0]"),
        (json!({"exclude": {"sources": [""]}}), "filter.exclude.sources[0]"),
        (json!({"exclude": {"sources": [" a"]}}), "filter.exclude.sources[0]"),
        (json!({"exclude": {"sources": ["a\nb"]}}), "filter.exclude.sources[0]"),
        (json!({"exclude": {"sources": ["a".repeat(257)]}}), "filter.exclude.sources[0]"),
        (json!({"exclude": {"sources": ["a", "a"]}}), "filter.exclude.sources[1]"),
        (json!({"exclude": {"sources": many}}), "filter.exclude.sources"),
    ] {
        let refused = app.call(Method::POST, STREAMING, filtered("wrong", filter.clone())).await;
        assert_eq!(refused.wrong_fields(), [field], "{filter}");
    }
}

#[tokio::test]
async fn presets_are_listed_with_what_they_leave_out() {
    let app = App::new().await;
    let listed = app.get(&format!("{STREAMING}/presets")).await.json();
    let preset = &listed["content"][0];
    assert_eq!(preset["name"], "withoutTokenNoise");
    assert!(preset["reason"].as_str().unwrap().contains("tokens"));
    let auth0 =
        preset["leavesOut"].as_array().unwrap().iter().find(|each| each["platform"] == "auth0").unwrap();
    assert!(auth0["sourceEventTypes"].as_array().unwrap().contains(&json!("sertft")));
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_leaves_out_is_skipped_and_what_is_delivered_is_measured() {
    let app = App::new().await;
    let filter = json!({"presets": ["withoutTokenNoise"], "exclude": {"entityTypes": ["ApiClient"]}});
    let path = app.configured(filtered("filtered", filter)).await;
    app.posted(event(r#","sourceEventType":"s""#)).await;
    app.posted(event(r#","sourceEventType":"sertft""#)).await;
    app.posted(r#"{"stream":"auditLog","date":"2026-01-31T11:59:00Z","entityType":"ApiClient"}"#).await;
    let status = app.settled(&path).await;
    let books = &status["books"];
    assert_eq!((&books["appended"], &books["skipped"]), (&json!(3), &json!(2)), "{status}");
    assert_eq!(books["accepted"], json!(1));

    app.net.taken(|taken| {
        let sent = &taken.documents["splunk.example.com"];
        assert!(sent.iter().all(|document| document["sourceEventType"] != "sertft"), "{sent:?}");
    });
    let run = app.get(&format!("{path}/dryRun")).await.json();
    let volume = &status["volume"];
    assert_eq!((&volume["events"], volume.get("eventsPerDay")), (&json!(1), None), "{status}");
    assert_eq!((&volume["events"], &volume["bytes"]), (&run["matched"], &run["bytes"]), "as a dry run says");
    app.clock.advance(Duration::from_hours(1));
    let volume = app.get(&format!("{path}/status")).await.json()["volume"].clone();
    assert_eq!(volume["eventsPerDay"], json!(24));
    assert_eq!(volume["since"], "2026-01-31T12:00:00.000Z");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_what_would_be_sent_and_how_much_that_is_in_a_day() {
    let app = App::new().await;
    for _ in 0..6 {
        app.posted(event(r#","sourceEventType":"s""#)).await;
        app.posted(event(r#","sourceEventType":"sertft""#)).await;
        app.clock.advance(Duration::from_mins(10));
    }
    app.posted(r#"{"stream":"eventHookLog","timestamp":"2026-01-31T11:59:00Z"}"#).await;
    let unsaved = format!("{STREAMING}/dryRun");
    let body = filtered("dry", json!({"presets": ["withoutTokenNoise"]}));
    let run = app.call(Method::POST, &unsaved, body.clone()).await;
    assert_eq!(run.status, StatusCode::OK, "{}", run.text);
    let run = run.json();
    assert_eq!(
        (&run["lookedAt"], &run["matched"], &run["ended"]),
        (&json!(13), &json!(6), &json!("allSeen"))
    );
    let [account, hook] = [&run["streams"][0], &run["streams"][1]];
    assert_eq!((&account["stream"], &account["lookedAt"]), (&json!("accountEvent"), &json!(12)));
    assert_eq!(account["leftOut"], json!([{"by": "filter.presets.withoutTokenNoise", "events": 6}]));
    let kind = &account["kinds"][0];
    assert_eq!((&kind["type"], &kind["sourceEventType"]), (&json!("selfService"), &json!("s")));
    assert_eq!((&kind["events"], &kind["bytes"]), (&json!(6), &run["bytes"]));
    assert_eq!(hook["leftOut"], json!([{"by": "eventHookLogStreaming.enabled", "events": 1}]));
    let estimate = &run["estimate"];
    assert_eq!(
        (&estimate["spanSeconds"], &estimate["eventsPerDay"]),
        (&json!(3600), &json!(144)),
        "{estimate}"
    );
    let gigabytes = run["bytes"].as_f64().unwrap() * 24.0 / 1e9;
    assert!((estimate["gigabytesPerDay"].as_f64().unwrap() - gigabytes).abs() < 1e-6, "{estimate}");
    assert_eq!(app.get(STREAMING).await.json()["page"]["totalElements"], 0);
    assert_eq!(app.net.taken(|taken| taken.requests), 0, "nothing is sent");

    let few = app.call(Method::POST, &format!("{unsaved}?events=2"), body.clone()).await.json();
    assert_eq!((&few["lookedAt"], &few["ended"]), (&json!(2), &json!("enough")));
    let quiet = with(body, "/auditLogStreaming", json!({"enabled": false}));
    let path = app.configured(with(quiet, "/enabled", json!(false))).await;
    let stored = app.get(&format!("{path}/dryRun")).await;
    assert_eq!(stored.json()["matched"], json!(6), "{}", stored.text);
    assert_eq!(app.get(&format!("{path}/dryRun?events=0")).await.wrong_fields(), ["events"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_a_day_when_nothing_or_too_little_is_known() {
    let app = App::new().await;
    let unsaved = format!("{STREAMING}/dryRun");
    let run = app.call(Method::POST, &unsaved, splunk("dry")).await.json();
    assert_eq!((&run["lookedAt"], &run["estimate"]["since"]), (&json!(0), &Value::Null));
    assert_eq!(run["estimate"]["eventsPerDay"], Value::Null);
    app.posted(event("")).await;
    let run = app.call(Method::POST, &unsaved, splunk("dry")).await.json();
    assert_eq!((&run["matched"], &run["estimate"]["gigabytesPerDay"]), (&json!(1), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_preview_is_what_the_receiver_gets() {
    let https = json!({
        "url": "https://collector.example.com/array", "apiKey": "CANARY-1", "headerName": "X-Key",
        "signingSecrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "batch": {"compression": "gzip"},
    });
    let elastic = json!({"url": "https://es.example.com", "apiKey": "CANARY-1"});
    let hec = json!({"url": "https://splunk.example.com:8088", "apiKey": "CANARY-1"});
    for (vendor, settings) in [("splunk", hec), ("elasticsearch", elastic), ("https", https)] {
        let app = App::new().await;
        let body = with(splunk("previewed"), "/type", json!(vendor));
        let body = with(body, "/configuration", settings);
        let body = with(body, "/auditLogStreaming", json!({"enabled": false}));
        let path = app.configured(body).await;
        app.settled(&path).await;
        let claims = r#","sourceEventType":"s","nativeClaims":{"email":"ann@example.com","tier":"gold"}"#;
        let id = app.posted(event(claims)).await;
        app.settled(&path).await;

        let reply = app.get(&format!("{path}/preview?eventID={id}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert!(!reply.text.contains("CANARY") && !reply.text.contains("whsec"), "{}", reply.text);
        let preview = reply.json()["content"][0].clone();
        assert_eq!((&preview["selected"], &preview["eventID"]), (&json!(true), &json!(id)));
        let (received, headers) =
            app.net.taken(|taken| (taken.last_body.clone(), taken.last_headers.clone()));
        match preview["compressedBody"].as_str() {
            Some(packed) => assert_eq!(STANDARD.decode(packed).unwrap(), received, "{vendor}"),
            None => assert_eq!(preview["body"].as_str().unwrap().as_bytes(), received, "{vendor}"),
        }
        assert_eq!(preview.get("compressedBody").is_some(), vendor == "https");
        let shown = preview["headers"].as_object().unwrap();
        assert_eq!(shown.len(), headers.len(), "{vendor}");
        for (name, value) in &headers {
            let told = shown[name.as_str()].as_str().unwrap();
            assert!(told == "[masked]" || told == value.to_str().unwrap(), "{vendor}: {name}");
        }
        let masked: Vec<&str> =
            shown.iter().filter(|(_, told)| *told == "[masked]").map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            masked,
            match vendor {
                "splunk" => vec!["authorization", "x-splunk-request-channel"],
                "elasticsearch" => vec!["authorization"],
                _ => vec!["webhook-signature", "x-key"],
            }
        );
        assert_eq!(preview["method"], "POST");
        let newest = app.get(&format!("{path}/preview")).await.json();
        assert_eq!(newest["content"][0]["body"], preview["body"], "{vendor}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_preview_says_what_leaves_an_event_out_and_what_cannot_be_found() {
    let app = App::new().await;
    let login = app.posted(event(r#","sourceEventType":"s""#)).await;
    let token = app.posted(event(r#","sourceEventType":"sertft""#)).await;
    let hook = app.posted(r#"{"stream":"eventHookLog","timestamp":"2026-01-31T11:59:00Z"}"#).await;
    let body = filtered("previewed", json!({"presets": ["withoutTokenNoise"]}));
    let unsaved = format!("{STREAMING}/preview");
    for (id, by) in [(&token, "filter.presets.withoutTokenNoise"), (&hook, "eventHookLogStreaming.enabled")] {
        let preview = app.call(Method::POST, &format!("{unsaved}?eventID={id}"), body.clone()).await.json();
        let preview = &preview["content"][0];
        assert_eq!((&preview["selected"], &preview["leftOutBy"]), (&json!(false), &json!(by)));
        assert!(preview["body"].as_str().unwrap().contains(id.as_str()));
    }
    let newest = app.call(Method::POST, &unsaved, body.clone()).await.json();
    let ids: Vec<&Value> =
        newest["content"].as_array().unwrap().iter().map(|each| &each["eventID"]).collect();
    assert_eq!(ids, [&json!(login)], "the newest that is selected, of each stream");

    let unknown = format!("{unsaved}?eventID=0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51");
    let unknown = app.call(Method::POST, &unknown, body.clone()).await;
    assert_eq!(unknown.error_key(), "notFound");
    let odd = app.call(Method::POST, &format!("{unsaved}?eventID=7"), body).await;
    assert_eq!(odd.wrong_fields(), ["eventID"]);
}

#[tokio::test(start_paused = true)]
async fn answers_that_tell_of_events_need_the_scopes_for_reading_them() {
    let app = App::new().await;
    let path = app.configured(splunk("scoped")).await;
    let calls = [
        (Method::GET, format!("{path}/dryRun"), "read:config_instance"),
        (Method::GET, format!("{path}/preview"), "read:config_instance"),
        (Method::POST, format!("{STREAMING}/dryRun"), "write:config_instance"),
        (Method::POST, format!("{STREAMING}/preview"), "write:config_instance"),
    ];
    for (at, (method, path, scope)) in calls.into_iter().enumerate() {
        for missing in READING.iter().copied().map(Some).chain([None]) {
            let mut scopes: Vec<&str> = READING.into_iter().filter(|each| Some(*each) != missing).collect();
            scopes.push(scope);
            let name = format!("reader {at} {}", missing.unwrap_or("all").replace(':', " "));
            let token = app.client(&name, &scopes).await;
            let authorization = format!("Bearer {}", token.expose());
            let headers = [("authorization", authorization.as_str()), JSON];
            let reply = app.send(method.clone(), &path, &headers, splunk("x").to_string()).await;
            match missing {
                Some(missing) => {
                    assert_eq!(reply.error_key(), "insufficientScope", "{path}");
                    assert!(reply.json()["detail"].as_str().unwrap().contains(missing), "{}", reply.text);
                }
                None => assert_ne!(reply.status, StatusCode::FORBIDDEN, "{path}: {}", reply.text),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_is_told_of_the_change_that_keeps_such_news_from_it() {
    let app = App::new().await;
    let path = app.configured(splunk("watching")).await;
    app.told("Create", 1).await;
    let renamed = with(app.get(&path).await.json(), "/description", json!("the security team's"));
    app.call(Method::PUT, &path, renamed.clone()).await;
    app.told("Update", 1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(app.told("Update", 1).await.len(), 1, "what comes by itself is not sent twice");

    let silenced = with(renamed, "/filter", json!({"exclude": {"entityTypes": ["EventStreaming"]}}));
    assert_eq!(app.call(Method::PUT, &path, silenced).await.status, StatusCode::OK);
    let updates = app.told("Update", 2).await;
    assert_eq!(updates.len(), 2);
    assert!(updates[1]["changes"].to_string().contains("/filter"), "{}", updates[1]);
}
