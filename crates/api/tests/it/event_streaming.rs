//! The contract's calls on event streaming configurations.

use std::time::Duration;

use base::Timestamp;
use delivery::Configuration;
use http::{Method, StatusCode};
use insta::assert_snapshot;
use journal::ConsumerCommand;
use serde_json::{Value, json};

use crate::app::{App, JSON, STREAMING, event, splunk, with};

async fn create(app: &App, body: Value) -> Value {
    let reply = app.call(Method::POST, STREAMING, body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    reply.json()
}

fn path_of(created: &Value) -> String {
    format!("{STREAMING}/{}", created["id"].as_str().unwrap())
}

async fn n_consumers(app: &App) -> usize {
    app.journal.consumers(ConsumerCommand::List).await.unwrap().len()
}

#[tokio::test]
async fn a_configuration_is_created_read_replaced_and_deleted() {
    let app = App::new().await;
    let created = app.call(Method::POST, STREAMING, splunk("Splunk (EU)")).await;
    assert_snapshot!("created", created.shown());
    let path = created.header("location").to_owned();
    assert_eq!(app.get(&path).await.json(), created.json());
    assert_eq!(n_consumers(&app).await, 1);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let stored = app.catalog.get::<delivery::Configuration>(&id).unwrap().value;
    assert_eq!(stored.sends_from, Some(1), "what lay before is not for it, also when its place is lost");

    let mut body = with(splunk("Splunk (US)"), "/id", created.json()["id"].clone());
    body = with(body, "/configuration", json!({"url": "https://splunk.example.com:8088"}));
    body = with(with(body, "/description", json!("for the west")), "/enabled", json!(false));
    body = with(body, "/accountEventStreaming", json!({"includeRaw": true, "nativeClaims": []}));
    body = with(body, "/auditLogStreaming", json!({"enabled": true, "includeBodies": false}));
    let replaced = app.call(Method::PUT, &path, body).await;
    assert_snapshot!("replaced", replaced.shown());
    assert_eq!(app.get(&path).await.json(), replaced.json());

    let deleted = app.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_snapshot!("deleted", app.get(&path).await.shown());
    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.error_key(), "notFound");
    assert_eq!(n_consumers(&app).await, 0);
}

#[tokio::test]
async fn every_vendor_is_answered_with_its_own_settings() {
    let app = App::new().await;
    let elasticsearch = json!({"url": "https://es.example.com", "apiKey": "id:key", "authScheme": "basic"});
    let https = json!({"url": "https://h.example.com/in", "apiKey": "", "headerName": "x-api-key"});
    for (vendor, configuration) in [("elasticsearch", elasticsearch), ("https", https)] {
        let body = with(with(splunk(vendor), "/type", json!(vendor)), "/configuration", configuration);
        let created = create(&app, body).await;
        assert_snapshot!(vendor, format!("{:#}", created["configuration"]));
    }
}

#[tokio::test]
async fn an_unknown_field_is_named_and_whatever_is_answered_is_taken_back() {
    let app = App::new().await;
    for (pointer, field) in [
        ("/sourceType", "sourceType"),
        ("/configuration/sourcetype", "configuration.sourcetype"),
        ("/configuration/headerName", "configuration.headerName"),
        ("/accountEventStreaming/includeAction", "accountEventStreaming.includeAction"),
        ("/accountEventStreaming/nativeClaims/1/name", "accountEventStreaming.nativeClaims[1].name"),
        ("/auditLogStreaming/includeActions", "auditLogStreaming.includeActions"),
        ("/eventHookLogStreaming/Enabled", "eventHookLogStreaming.Enabled"),
    ] {
        let body = with(splunk("misspelled"), pointer, json!(true));
        let reply = app.call(Method::POST, STREAMING, body).await;
        assert_eq!((reply.status, reply.wrong_fields()), (StatusCode::BAD_REQUEST, vec![field.to_owned()]));
    }
    let reply =
        app.call(Method::POST, STREAMING, with(splunk("abc"), "/configuration/sourcetype", json!("x"))).await;
    assert!(reply.text.contains("is not a field here; sourceType is"), "{}", reply.text);

    let vendors = [
        (
            "splunk",
            json!({"url": "https://h:8088", "apiKey": "k", "index": "i", "source": "s", "sourceType": "t",
                "acknowledgement": "required"}),
        ),
        ("elasticsearch", json!({"url": "https://h", "apiKey": "k", "index": "i", "authScheme": "bearer"})),
        (
            "https",
            json!({"url": "https://h/?tenant=7", "apiKey": "k", "headerName": "x-key", "format": "ndjson"}),
        ),
    ];
    for (vendor, configuration) in vendors {
        let body = with(with(splunk(vendor), "/type", json!(vendor)), "/configuration", configuration);
        let body = with(body, "/description", json!("all of it"));
        let created = create(&app, body).await;
        let again = app.call(Method::PUT, &path_of(&created), created.clone()).await;
        assert_eq!((again.status, again.json()), (StatusCode::OK, created), "{}", again.text);
    }
}

#[tokio::test]
async fn acknowledgement_is_a_choice_of_splunk_configurations() {
    let app = App::new().await;
    let created = create(&app, splunk("by default")).await;
    assert_eq!(
        created["configuration"]["acknowledgement"],
        Value::Null,
        "auto, as a client of the contract has it"
    );
    for (vendor, wanted) in [("splunk", json!("maybe")), ("splunk", json!(true)), ("https", json!("auto"))] {
        let body =
            with(with(splunk("wrong"), "/type", json!(vendor)), "/configuration/acknowledgement", wanted);
        let reply = app.call(Method::POST, STREAMING, body).await;
        assert!(reply.wrong_fields().contains(&"configuration.acknowledgement".to_owned()), "{}", reply.text);
    }
}

#[tokio::test]
async fn an_address_with_a_credential_in_it_is_refused_and_not_repeated() {
    let app = App::new().await;
    let created = create(&app, splunk("one")).await;
    for query in ["token=CANARY", "a=1&api_key=CANARY", "SIG=CANARY", "code=CANARY", "access%5Ftoken=CANARY"]
    {
        let body =
            with(splunk("two"), "/configuration/url", json!(format!("https://h.example.com/in?{query}")));
        let reply = app.call(Method::POST, STREAMING, body.clone()).await;
        assert_eq!(reply.wrong_fields(), ["configuration.url"], "{query}");
        assert!(reply.text.contains("use apiKey") && !reply.text.contains("CANARY"), "{}", reply.text);
        let body = with(with(body, "/name", json!("one")), "/id", created["id"].clone());
        assert_eq!(
            app.call(Method::PUT, &path_of(&created), body).await.wrong_fields(),
            ["configuration.url"]
        );
    }
    let harmless =
        with(splunk("two"), "/configuration/url", json!("https://h.example.com/in?pipeline=p&token="));
    create(&app, harmless).await;
}

#[tokio::test]
async fn the_raw_event_is_a_switch_of_each_stream() {
    let app = App::new().await;
    let off =
        create(&app, with(splunk("raw of accounts"), "/accountEventStreaming/includeRaw", json!(true))).await;
    assert_eq!(off["auditLogStreaming"]["includeRaw"], false);
    assert_eq!(off["eventHookLogStreaming"]["includeRaw"], false);
    let mut body =
        with(splunk("raw of others"), "/auditLogStreaming", json!({"enabled": true, "includeRaw": true}));
    body = with(body, "/eventHookLogStreaming", json!({"includeRaw": true}));
    let on = create(&app, body).await;
    assert_eq!(on["accountEventStreaming"]["includeRaw"], false);
    let stored =
        app.catalog.get::<Configuration>(on["id"].as_str().unwrap()).unwrap().value.current().selection();
    assert_eq!((stored.include_raw, stored.include_audit_raw, stored.include_hook_raw), (false, true, true));
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let app = App::new().await;
    for name in ["Beta splunk", "alpha splunk", "Gamma"] {
        create(&app, splunk(name)).await;
        app.clock.advance(Duration::from_millis(1));
    }
    let names = async |query: &str| -> Vec<String> {
        let reply = app.get(&format!("{STREAMING}?{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let content = reply.json()["content"].as_array().unwrap().clone();
        content.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["Beta splunk", "alpha splunk", "Gamma"], "in order of creation");
    assert_eq!(names("sort=name,asc").await, ["alpha splunk", "Beta splunk", "Gamma"]);
    assert_eq!(names("name=SPLUNK&sort=name%2Cdesc").await, ["Beta splunk", "alpha splunk"]);
    assert_eq!(names("sort=type&sort=name&page=1&size=2").await, ["Gamma"]);
    assert_eq!(names("page=7").await, [""; 0]);
    let page = app.get(&format!("{STREAMING}?size=2")).await.json()["page"].clone();
    assert_eq!(page, json!({"number": 0, "size": 2, "totalElements": 3, "totalPages": 2}));
}

#[tokio::test]
async fn every_wrong_field_is_named_as_it_was_spelled() {
    let app = App::new().await;
    let claims = |ids: Value| with(splunk("abc"), "/accountEventStreaming/nativeClaims", ids);
    for (body, fields) in [
        (with(splunk("abc"), "/name", json!("ab")), vec!["name"]),
        (splunk(&"x".repeat(65)), vec!["name"]),
        (splunk(" abc"), vec!["name"]),
        (splunk("a<script>"), vec!["name"]),
        (with(splunk("abc"), "/description", json!("x".repeat(1025))), vec!["description"]),
        (with(splunk("abc"), "/enabled", json!("yes")), vec!["enabled"]),
        (with(splunk("abc"), "/type", json!("kafka")), vec!["type"]),
        (with(splunk("abc"), "/type", json!("Splunk")), vec!["type"]),
        (with(splunk("abc"), "/configuration", Value::Null), vec!["configuration"]),
        (with(splunk("abc"), "/configuration", json!("x")), vec!["configuration"]),
        (with(splunk("abc"), "/configuration/apiKey", Value::Null), vec!["configuration.apiKey"]),
        (with(splunk("abc"), "/configuration/apiKey", json!("x".repeat(201))), vec!["configuration.apiKey"]),
        (with(splunk("abc"), "/configuration/apiKey", json!("a\r\nb: c")), vec!["configuration.apiKey"]),
        (with(splunk("abc"), "/configuration/url", json!("https://ann:pw@h/")), vec!["configuration.url"]),
        (with(splunk("abc"), "/configuration/url", json!("file:///etc/passwd")), vec!["configuration.url"]),
        (
            with(splunk("abc"), "/configuration/url", json!("http://169.254.169.254/")),
            vec!["configuration.url"],
        ),
        (with(splunk("abc"), "/configuration/index", json!("")), vec!["configuration.index"]),
        (with(splunk("abc"), "/accountEventStreaming", Value::Null), vec!["accountEventStreaming"]),
        (with(splunk("abc"), "/auditLogStreaming", Value::Null), vec!["auditLogStreaming"]),
        (with(splunk("abc"), "/eventHookLogStreaming", json!(true)), vec!["eventHookLogStreaming"]),
        (
            with(splunk("abc"), "/accountEventStreaming/includeActions", json!(1)),
            vec!["accountEventStreaming.includeActions"],
        ),
        (claims(Value::Null), vec!["accountEventStreaming.nativeClaims"]),
        (claims(json!([{"id": "builtin-shoe-size"}])), vec!["accountEventStreaming.nativeClaims[0].id"]),
        (
            claims(json!([{"id": "a b"}, "x", {}])),
            vec![
                "accountEventStreaming.nativeClaims[0].id",
                "accountEventStreaming.nativeClaims[1].id",
                "accountEventStreaming.nativeClaims[2].id",
            ],
        ),
        (
            claims(json!([{"id": "builtin-email"}, {"id": "builtin-email"}])),
            vec!["accountEventStreaming.nativeClaims[1].id"],
        ),
    ] {
        let reply = app.call(Method::POST, STREAMING, body.clone()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.wrong_fields(), fields, "{body}");
    }
    let audit = json!({"enabled": true, "includeBodies": false, "includeRaw": true});
    let reply = app.call(Method::POST, STREAMING, with(splunk("abc"), "/auditLogStreaming", audit)).await;
    assert_eq!(reply.wrong_fields(), ["auditLogStreaming.includeRaw"]);
    let nothing = app.call(Method::POST, STREAMING, json!({"name": "x", "type": "kafka"})).await;
    assert_snapshot!(nothing.shown());
    assert_eq!(n_consumers(&app).await, 0, "what is refused leaves nothing behind");
}

#[tokio::test]
async fn a_name_belongs_to_one_configuration() {
    let app = App::new().await;
    let first = create(&app, splunk("one")).await;
    let second = create(&app, splunk("two")).await;
    assert_snapshot!(app.call(Method::POST, STREAMING, splunk("one")).await.shown());
    assert_eq!(n_consumers(&app).await, 2, "the refused one has no place in the journal");
    let renamed = with(splunk("one"), "/id", second["id"].clone());
    assert_eq!(app.call(Method::PUT, &path_of(&second), renamed).await.error_key(), "nameTaken");
    let kept = with(splunk("one"), "/id", first["id"].clone());
    assert_eq!(app.call(Method::PUT, &path_of(&first), kept).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stored_secret_is_kept_and_never_sent_elsewhere() {
    let app = App::new().await;
    let created = create(&app, splunk("one")).await;
    let path = path_of(&created);
    let id = created["id"].as_str().unwrap().to_owned();
    let sealed = || app.catalog.get::<Configuration>(&id).unwrap().value.secrets;
    let before = sealed();
    let body = with(with(splunk("one"), "/id", created["id"].clone()), "/configuration/apiKey", Value::Null);

    let kept = app.call(Method::PUT, &path, with(body.clone(), "/configuration/index", json!("other"))).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.text);
    assert_eq!(sealed(), before);

    let moved = with(body.clone(), "/configuration/url", json!("https://evil.example.com:8088"));
    assert_snapshot!(app.call(Method::PUT, &path, moved.clone()).await.shown());
    let other_vendor = with(with(body, "/type", json!("elasticsearch")), "/configuration/index", Value::Null);
    assert_eq!(app.call(Method::PUT, &path, other_vendor).await.wrong_fields(), ["configuration.apiKey"]);
    assert_eq!(sealed(), before);

    let given = with(moved, "/configuration/apiKey", json!("hec-token-2"));
    assert_eq!(app.call(Method::PUT, &path, given).await.status, StatusCode::OK);
    assert_ne!(sealed(), before);
}

#[tokio::test]
async fn what_has_no_credential_can_be_led_elsewhere_without_one_and_a_credential_can_be_taken_away() {
    let app = App::new().await;
    let open = json!({"url": "http://192.0.2.2/in", "apiKey": "", "headerName": "x-key"});
    let body = with(with(splunk("open"), "/type", json!("https")), "/configuration", open);
    let created = create(&app, body.clone()).await;
    assert_eq!(created["configuration"]["apiKeySet"], Value::Null);
    let path = path_of(&created);
    let moved = with(created, "/configuration/url", json!("http://192.0.2.3/in"));
    let moved = app.call(Method::PUT, &path, moved).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.text);

    let given = with(moved.json(), "/configuration/apiKey", json!("secret"));
    let given = app.call(Method::PUT, &path, given).await.json();
    assert_eq!(given["configuration"]["apiKeySet"], true);
    let logged = with(given.clone(), "/configuration/headerName", json!("user-agent"));
    let logged = app.call(Method::PUT, &path, logged).await;
    assert_eq!(logged.wrong_fields(), ["configuration.apiKey"], "a header that servers write to their logs");
    let taken = app.call(Method::PUT, &path, with(given, "/configuration/apiKey", json!(""))).await.json();
    assert_eq!(taken["configuration"]["apiKeySet"], Value::Null);
}

#[tokio::test]
async fn a_replacement_names_its_id_and_may_name_its_revision() {
    let app = App::new().await;
    let created = create(&app, splunk("one")).await;
    let path = path_of(&created);
    assert_eq!(app.call(Method::PUT, &path, splunk("one")).await.wrong_fields(), ["id"]);
    let foreign = with(splunk("one"), "/id", json!("0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f"));
    assert_eq!(app.call(Method::PUT, &path, foreign.clone()).await.wrong_fields(), ["id"]);
    let unknown = format!("{STREAMING}/0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f");
    assert_eq!(app.call(Method::PUT, &unknown, foreign).await.error_key(), "notFound");

    let bearer = format!("Bearer {}", app.admin);
    let body = with(splunk("one"), "/id", created["id"].clone()).to_string();
    let put = async |tag: &str| {
        let headers = [("authorization", bearer.as_str()), JSON, ("if-match", tag)];
        app.send(Method::PUT, &path, &headers, body.clone()).await
    };
    assert_eq!(put("\"1\"").await.header("etag"), "\"2\"");
    assert_eq!(put("\"1\"").await.error_key(), "preconditionFailed");
    assert_eq!(put("\"7\", \"2\"").await.header("etag"), "\"3\"");
    assert_eq!(put("*").await.header("etag"), "\"4\"");
}

#[tokio::test]
async fn enabled_is_true_when_omitted_at_first_and_unchanged_later() {
    let app = App::new().await;
    let created = create(&app, with(splunk("one"), "/enabled", json!(false))).await;
    assert_eq!(created["enabled"], false);
    let body = with(splunk("one"), "/id", created["id"].clone());
    assert_eq!(app.call(Method::PUT, &path_of(&created), body).await.json()["enabled"], false);
    assert_eq!(create(&app, splunk("two")).await["enabled"], true);
}

#[tokio::test]
async fn the_status_shows_books_that_balance() {
    let app = App::new().await;
    let body = with(splunk("one"), "/enabled", json!(false));
    let path = path_of(&create(&app, body).await) + "/status";
    app.post(&[JSON], format!("{}\n{}", event(""), event(""))).await;
    app.clock.set(Timestamp::parse("2026-01-31T12:01:30Z").unwrap());
    let status = app.get(&path).await;
    let mut shown = status.json();
    assert!(shown["books"]["pendingBytes"].as_u64().unwrap() > 0);
    shown["books"]["pendingBytes"] = json!("[bytes]");
    shown["id"] = json!("[id]");
    assert_snapshot!(format!("{shown:#}"));
    assert_eq!(app.get(&format!("{STREAMING}/x/status")).await.error_key(), "notFound");
}
