//! Configurations select claims by id; events and documents carry them by name.

use std::time::Duration;

use api::native_claims;
use catalog::Document;
use delivery::Configuration;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::net::Faults;

use crate::app::{App, CLAIMS, JSON, RawClaim, STREAMING, event, splunk, with};
use crate::audit::audit_logs;
use crate::gate::Gate;

const FIRST: &str = "0197f3a0-6c1e-7c3a-9d2b-000000000001";
const SECOND: &str = "0197f3a0-6c1e-7c3a-9d2b-000000000002";

/// A stored configuration of any form.
#[derive(Clone, Serialize, Deserialize)]
struct RawConfiguration(Value);

impl Document for RawConfiguration {
    const KIND: &'static str = "eventStreaming";
}

fn id_of(created: &Value) -> &str {
    created["id"].as_str().unwrap()
}

async fn create_claim(app: &App, name: &str) -> Value {
    app.create(CLAIMS, json!({"name": name, "displayName": "Custom claim"})).await
}

/// Creates a configuration that selects these claims.
async fn create_configuration(app: &App, name: &str, ids: &[&str]) -> Value {
    let ids: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    app.create(STREAMING, with(splunk(name), "/accountEventStreaming/nativeClaims", json!(ids))).await
}

async fn rename(app: &App, claim: &Value, name: &str) {
    let path = format!("{CLAIMS}/{}", id_of(claim));
    let reply = app.call(Method::PUT, &path, with(claim.clone(), "/name", json!(name))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

async fn post(app: &App, id: &str, claims: &Value) {
    let reply = app.post(&[JSON], event(&format!(r#","eventID":"{id}","nativeClaims":{claims}"#))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

/// The document of an event, when it has arrived.
async fn arrived(app: &App, id: &str) -> Value {
    for _ in 0..1000 {
        if let Some(document) = app.net.taken(|taken| taken.events.get(id).cloned()) {
            return document;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{id} did not arrive");
}

/// The names that a stored configuration selects now.
fn selected(app: &App, configuration: &Value) -> Vec<String> {
    let found = app.catalog.get::<Configuration>(id_of(configuration)).unwrap();
    found.value.account.claims.into_iter().map(|claim| claim.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_selected_claim_arrives_by_its_name_in_any_shape_and_an_unselected_one_does_not() {
    let app = App::new().await;
    let tier = create_claim(&app, "loyalty/tier").await;
    create_claim(&app, "points").await;
    let created = create_configuration(&app, "one", &[id_of(&tier), "builtin-email"]).await;
    assert_eq!(
        created["accountEventStreaming"]["nativeClaims"],
        json!([{"id": id_of(&tier)}, {"id": "builtin-email"}])
    );
    for (n, shape) in [json!("gold"), json!(["gold", 7]), json!({"level": {"n": 3}})].into_iter().enumerate()
    {
        let id = format!("0197f3a0-6c1e-7c3a-9d2b-10000000000{n}");
        post(&app, &id, &json!({"loyalty/tier": shape, "points": 12, "loyalty/tier2": 1, "email": "e"}))
            .await;
        let expected = json!({"email": "e", "loyalty/tier": shape});
        assert_eq!(arrived(&app, &id).await["nativeClaims"], expected);
    }
    post(&app, FIRST, &json!({"points": 12})).await;
    assert_eq!(arrived(&app, FIRST).await.get("nativeClaims"), None);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_sent_with_the_names_of_the_time_when_it_was_accepted() {
    let app = App::new().await;
    let claim = create_claim(&app, "tier").await;
    create_configuration(&app, "one", &[id_of(&claim)]).await;
    app.net.set_faults(Faults { lost_request: 100, ..Faults::default() });
    let both = json!({"tier": "gold", "level": 3});
    post(&app, FIRST, &both).await;
    // The worker tries in vain, and is followed by one that knows the new name.
    tokio::time::sleep(Duration::from_secs(5)).await;
    rename(&app, &claim, "level").await;
    post(&app, SECOND, &both).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    app.net.set_faults(Faults::default());
    assert_eq!(arrived(&app, FIRST).await["nativeClaims"], json!({"tier": "gold"}));
    assert_eq!(arrived(&app, SECOND).await["nativeClaims"], json!({"level": 3}));
}

#[tokio::test]
async fn a_renamed_claim_is_renamed_in_every_configuration_that_selects_it_and_each_is_told() {
    let app = App::new().await;
    let claim = create_claim(&app, "tier").await;
    let one = create_configuration(&app, "one", &["builtin-email", id_of(&claim)]).await;
    let two = create_configuration(&app, "two", &[id_of(&claim)]).await;
    let other = create_configuration(&app, "other", &["builtin-email"]).await;
    rename(&app, &claim, "level").await;
    assert_eq!(selected(&app, &one), ["email", "level"]);
    assert_eq!(selected(&app, &two), ["level"]);
    let path = |configuration: &Value| format!("{STREAMING}/{}", id_of(configuration));
    assert_eq!(app.get(&path(&two)).await.json(), two, "the selection is the same");
    assert_eq!(app.get(&path(&other)).await.header("etag"), "\"1\"", "it does not select the claim");

    api::audit::tell(&app.state).await;
    let logs = audit_logs(&app).await;
    let told = |log: &Value| -> [String; 3] {
        ["action", "entityType", "name"].map(|field| log[field].as_str().unwrap().to_owned())
    };
    let updates: Vec<_> = logs.iter().map(|(_, log)| log).filter(|log| log["action"] == "Update").collect();
    let mut named: Vec<_> = updates.iter().map(|log| told(log)).collect();
    named.sort();
    let update = |kind: &str, name: &str| ["Update".to_owned(), kind.to_owned(), name.to_owned()];
    let expected =
        [update("EventStreaming", "one"), update("EventStreaming", "two"), update("NativeClaim", "level")];
    assert_eq!(named, expected);
    for log in &updates {
        assert_eq!((&log["actorClient"]["name"], &log["method"]), (&json!("administrator"), &json!("PUT")));
    }
    let of_two = updates.iter().find(|log| log["name"] == "two").unwrap();
    let list = |name: &str| json!([{"id": id_of(&claim), "name": name}]);
    let change = json!({
        "path": "/accountEventStreaming/nativeClaims", "before": list("tier"), "after": list("level"),
    });
    assert_eq!(of_two["changes"], json!([change]));
}

#[tokio::test]
async fn a_rename_that_a_crash_cut_short_is_completed_at_the_next_start_once() {
    let app = App::new().await;
    let claim = create_claim(&app, "tier").await;
    let one = create_configuration(&app, "one", &[id_of(&claim)]).await;
    let found = app.catalog.get::<RawClaim>(id_of(&claim)).unwrap();
    let renamed = RawClaim(with(found.value.0, "/name", json!("level")));
    app.catalog.replace(id_of(&claim), &renamed, found.revision, None).unwrap();
    post(&app, FIRST, &json!({})).await;
    assert_eq!(selected(&app, &one), ["tier"]);

    assert!(native_claims::begin(&app.state).await && native_claims::begin(&app.state).await);
    assert_eq!(selected(&app, &one), ["level"]);
    let stored = app.catalog.get::<Configuration>(id_of(&one)).unwrap();
    assert_eq!(stored.revision, 2, "the second time there is nothing to do");
    let epochs: Vec<_> = stored.value.epochs().iter().map(|epoch| epoch.selection().claims).collect();
    assert_eq!(epochs, [["tier"], ["level"]], "what was accepted before keeps the old name");
    api::audit::tell(&app.state).await;
    let logs = audit_logs(&app).await;
    let updates: Vec<_> = logs.iter().filter(|(_, log)| log["action"] == "Update").collect();
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].1["actor"]["userName"], "idstream");
}

#[tokio::test]
async fn a_claim_that_is_renamed_or_deleted_while_a_configuration_is_stored_is_told() {
    let (app, gate) = Gate::app().await;
    let claim = create_claim(&app, "tier").await;
    let selection = json!([{"id": id_of(&claim)}]);
    let selecting = |body: Value| with(body, "/accountEventStreaming/nativeClaims", selection.clone());
    // Workers come to the gate, too; what is disabled has none.
    let none = with(splunk("one"), "/accountEventStreaming/nativeClaims", json!([]));
    let one = app.create(STREAMING, with(none, "/enabled", json!(false))).await;
    let calls = [
        (Method::POST, STREAMING.to_owned(), selecting(splunk("two"))),
        (Method::PUT, format!("{STREAMING}/{}", id_of(&one)), selecting(one.clone())),
    ];
    for (n, (method, path, body)) in calls.into_iter().enumerate() {
        gate.close();
        let change = async {
            gate.has_seen(1).await;
            if n == 0 {
                rename(&app, &claim, "level").await;
            } else {
                let path = format!("{CLAIMS}/{}", id_of(&claim));
                let deleted = app.call(Method::DELETE, &path, Value::Null).await;
                assert_eq!(deleted.status, StatusCode::NO_CONTENT);
            }
            gate.open();
        };
        let (reply, ()) = tokio::join!(app.call(method, &path, body), change);
        assert_eq!((reply.status, reply.error_key()), (StatusCode::CONFLICT, "changedMeanwhile".to_owned()));
        assert!(reply.text.contains(id_of(&claim)), "{}", reply.text);
    }
    assert_eq!(app.get(STREAMING).await.json()["page"]["totalElements"], 1);
    assert_eq!(selected(&app, &one), [""; 0]);
}

#[tokio::test]
async fn a_claim_that_is_renamed_again_while_configurations_follow_gets_its_last_name_alone() {
    let (app, gate) = Gate::app().await;
    let claim = create_claim(&app, "tier").await;
    let body = with(splunk("one"), "/accountEventStreaming/nativeClaims", json!([{"id": id_of(&claim)}]));
    let one = app.create(STREAMING, with(body, "/enabled", json!(false))).await;
    gate.close();
    let again = async {
        gate.has_seen(1).await;
        let last = async {
            gate.has_seen(2).await;
            gate.let_one_pass();
            gate.has_seen(3).await;
            gate.open();
        };
        tokio::join!(rename(&app, &claim, "points"), last);
    };
    tokio::join!(rename(&app, &claim, "level"), again);
    assert_eq!(selected(&app, &one), ["points"]);
    assert_eq!(app.get(&format!("{STREAMING}/{}", id_of(&one))).await.header("etag"), "\"2\"");
}

#[tokio::test]
async fn renames_and_replacements_at_once_end_with_the_claims_last_name() {
    let app = App::new().await;
    let claim = create_claim(&app, "tier").await;
    let one = create_configuration(&app, "one", &[id_of(&claim)]).await;
    let path = format!("{STREAMING}/{}", id_of(&one));
    let claim_path = format!("{CLAIMS}/{}", id_of(&claim));
    for round in 0..10 {
        let put =
            |name: String| app.call(Method::PUT, &claim_path, with(claim.clone(), "/name", json!(name)));
        let replaced = app.call(Method::PUT, &path, one.clone());
        let (_, a, b) = tokio::join!(replaced, put(format!("a{round}")), put(format!("b{round}")));
        assert!([&a, &b].iter().any(|reply| reply.status == StatusCode::OK), "{} {}", a.text, b.text);
        let now = app.get(&claim_path).await.json()["name"].as_str().unwrap().to_owned();
        assert_eq!(selected(&app, &one), [now], "round {round}");
    }
}

#[tokio::test]
async fn a_selected_claim_is_not_deleted_and_the_configurations_are_named() {
    let app = App::new().await;
    let claim = create_claim(&app, "tier").await;
    let path = format!("{CLAIMS}/{}", id_of(&claim));
    let one = create_configuration(&app, "one", &[id_of(&claim)]).await;
    create_configuration(&app, "two", &["builtin-email"]).await;
    let refused = app.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!((refused.status, refused.error_key()), (StatusCode::CONFLICT, "inUse".to_owned()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("select it: \"one\";") && !detail.contains("two"), "{detail}");

    let without = with(one.clone(), "/accountEventStreaming/nativeClaims", json!([]));
    app.call(Method::PUT, &format!("{STREAMING}/{}", id_of(&one)), without).await;
    assert_eq!(app.call(Method::DELETE, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    let again = app.call(Method::PUT, &format!("{STREAMING}/{}", id_of(&one)), one).await;
    assert_eq!(again.wrong_fields(), ["accountEventStreaming.nativeClaims[0].id"], "it is gone");
}

#[tokio::test]
async fn a_selection_is_of_at_most_two_hundred_claims() {
    let app = App::new().await;
    let ids: Vec<Value> = (0..201).map(|n| json!({"id": format!("claim-{n}")})).collect();
    let body = with(splunk("many"), "/accountEventStreaming/nativeClaims", json!(ids));
    let reply = app.call(Method::POST, STREAMING, body).await;
    assert_eq!(reply.wrong_fields(), ["accountEventStreaming.nativeClaims"]);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_was_stored_with_names_of_claims_goes_on() {
    let app = App::new().await;
    let one = create_configuration(&app, "one", &["builtin-email", "builtin-locality"]).await;
    let found = app.catalog.get::<RawConfiguration>(id_of(&one)).unwrap();
    let earlier = json!({
        "until": 1, "account": {"enabled": true, "includeActions": false, "includeRaw": false, "claims": ["picture"]},
        "audit": {"enabled": true, "includeBodies": true, "includeRaw": false},
        "hook": {"enabled": false, "includeRaw": false},
    });
    let stored = with(found.value.0, "/account/claims", json!(["email", "locality"]));
    let stored = RawConfiguration(with(stored, "/earlier", json!([earlier])));
    app.catalog.replace(id_of(&one), &stored, found.revision, None).unwrap();
    assert_eq!(app.get(&format!("{STREAMING}/{}", id_of(&one))).await.json(), one);
    post(&app, FIRST, &json!({"email": "e", "locality": "Graz", "picture": "p"})).await;
    assert_eq!(arrived(&app, FIRST).await["nativeClaims"], json!({"email": "e", "locality": "Graz"}));
}
