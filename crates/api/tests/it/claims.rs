//! The contract's calls on native claims.

use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::app::{App, CLAIMS, JSON, RawClaim, Reply, with};

fn claim(name: &str) -> Value {
    json!({"name": name, "displayName": "Loyalty tier"})
}

fn path_of(created: &Value) -> String {
    format!("{CLAIMS}/{}", created["id"].as_str().unwrap())
}

async fn names(app: &App, query: &str) -> Vec<String> {
    let reply = app.get(&format!("{CLAIMS}?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let content = reply.json()["content"].as_array().unwrap().clone();
    content.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_claim_is_created_read_replaced_and_deleted() {
    let app = App::new().await;
    let created = app.call(Method::POST, CLAIMS, claim("tier")).await;
    assert_snapshot!("claim_created", created.shown());
    let path = created.header("location").to_owned();
    assert_eq!(app.get(&path).await.json(), created.json());

    let body = json!({
        "id": created.json()["id"], "name": "loyalty.tier", "displayName": "Tier (loyalty)",
        "description": "Bronze, silver or gold", "dialectUri": "urn:example:claims",
    });
    let replaced = app.call(Method::PUT, &path, body).await;
    assert_snapshot!("claim_replaced", replaced.shown());
    let again = app.call(Method::PUT, &path, replaced.json()).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, replaced.json()), "what is answered is taken");

    let deleted = app.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(app.call(method, &path, Value::Null).await.error_key(), "notFound");
    }
    assert_eq!(app.call(Method::PUT, &path, replaced.json()).await.error_key(), "notFound");
}

#[tokio::test]
async fn built_in_claims_are_read_and_never_changed() {
    let app = App::new().await;
    let path = format!("{CLAIMS}/builtin-locality");
    let read = app.get(&path).await;
    assert_snapshot!("claim_built_in", read.shown());
    let body = with(read.json(), "/name", json!("city"));
    assert_snapshot!("claim_built_in_kept", app.call(Method::PUT, &path, body).await.shown());
    assert_eq!(app.call(Method::PUT, &path, read.json()).await.error_key(), "readOnly");
    let deleted = app.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.error_key()), (StatusCode::BAD_REQUEST, "readOnly".to_owned()));
    assert_eq!(names(&app, "size=100").await.len(), 19);
}

#[tokio::test]
async fn lists_are_paged_filtered_and_sorted() {
    let app = App::new().await;
    for (name, display) in [("zebra", "Ape"), ("Tier", "Zoo")] {
        app.create(CLAIMS, json!({"name": name, "displayName": display})).await;
        app.clock.advance(std::time::Duration::from_millis(1));
    }
    let page = app.get(CLAIMS).await.json()["page"].clone();
    assert_eq!(page, json!({"number": 0, "size": 20, "totalElements": 21, "totalPages": 2}));
    assert_eq!(names(&app, "").await[0], "locality", "the built-in ones come first");
    assert_eq!(names(&app, "page=1").await, ["Tier"], "the others in order of creation");
    assert_eq!(
        names(&app, "name=NAME&sort=name,desc").await,
        ["username", "nickname", "middle_name", "given_name", "family_name"]
    );
    assert_eq!(names(&app, "sort=displayName&size=1").await, ["zebra"]);
    assert_eq!(names(&app, "sort=readonly&sort=name&size=2").await, ["Tier", "zebra"]);
    for query in ["sort=age", "size=0", "name=a&name=b"] {
        assert_eq!(app.get(&format!("{CLAIMS}?{query}")).await.error_key(), "validation", "{query}");
    }
}

#[tokio::test]
async fn each_call_needs_its_scope_and_a_list_none() {
    let app = App::new().await;
    let path = path_of(&app.create(CLAIMS, claim("tier")).await);
    let discovered = format!("{CLAIMS}/discovered");
    let calls = [
        (Method::GET, CLAIMS, None),
        (Method::GET, path.as_str(), Some("read:config_claim")),
        (Method::GET, discovered.as_str(), Some("read:config_claim")),
        (Method::POST, CLAIMS, Some("write:config_claim")),
        (Method::PUT, path.as_str(), Some("write:config_claim")),
        (Method::DELETE, path.as_str(), Some("delete:config_claim")),
    ];
    for (n, (method, path, scope)) in calls.into_iter().enumerate() {
        let call = async |scope: &str| -> Reply {
            let token = app.client(&format!("client {n} {scope}"), &[scope]).await;
            let bearer = format!("Bearer {}", token.expose());
            app.send(method.clone(), path, &[("authorization", &bearer), JSON], "{}").await
        };
        let other = call("read:config_instance").await;
        match scope {
            None => assert_eq!(other.status, StatusCode::OK),
            Some(scope) => {
                assert_eq!(other.error_key(), "insufficientScope", "{method} {path}");
                assert!(other.json()["detail"].as_str().unwrap().ends_with(scope), "{}", other.text);
                assert_ne!(call(scope).await.status, StatusCode::FORBIDDEN, "{method} {path}");
            }
        }
        let nobody = app.send(method.clone(), path, &[JSON], "{}").await;
        assert_eq!(nobody.error_key(), "unauthorized", "{method} {path}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let app = App::new().await;
    let long = "n".repeat(257);
    let uri = |length: usize| format!("urn:{}", "u".repeat(length - 4));
    for (pointer, value, field) in [
        ("/name", Value::Null, "name"),
        ("/name", json!(7), "name"),
        ("/name", json!(""), "name"),
        ("/name", json!(long), "name"),
        ("/name", json!("1st"), "name"),
        ("/name", json!("_tier"), "name"),
        ("/name", json!("shoe-size"), "name"),
        ("/name", json!("shoe size"), "name"),
        ("/name", json!("größe"), "name"),
        ("/name", json!("tier\n"), "name"),
        ("/displayName", Value::Null, "displayName"),
        ("/displayName", json!("ab"), "displayName"),
        ("/displayName", json!("x".repeat(65)), "displayName"),
        ("/displayName", json!(" padded"), "displayName"),
        ("/displayName", json!("a;b;c"), "displayName"),
        ("/description", json!("d".repeat(1025)), "description"),
        ("/dialectUri", json!(""), "dialectUri"),
        ("/dialectUri", json!("claims"), "dialectUri"),
        ("/dialectUri", json!("http://a b"), "dialectUri"),
        ("/dialectUri", json!(uri(2049)), "dialectUri"),
        ("/readonly", json!("no"), "readonly"),
        ("/displayname", json!("Tier"), "displayname"),
    ] {
        let reply = app.call(Method::POST, CLAIMS, with(claim("tier"), pointer, value.clone())).await;
        assert_eq!(reply.wrong_fields(), [field], "{pointer}: {value}");
        assert_eq!(reply.json()["entityName"], "nativeClaim");
    }
    for name in ["a", "N9", "http://example.com/claims/tier", "a_!#$&'()*+,/:;=?@[].", &"n".repeat(256)] {
        app.create(CLAIMS, claim(name)).await;
    }
    let edges = json!({
        "name": "edges", "displayName": "°°°", "description": "d".repeat(1024), "dialectUri": uri(2048),
        "readonly": true, "targetReadonly": false,
    });
    let created = app.create(CLAIMS, edges).await;
    assert_eq!(created["readonly"], false, "it is passed over");
    let put = app.call(Method::PUT, &path_of(&created), claim("edges")).await;
    assert_eq!(put.wrong_fields(), ["id"]);
    let foreign = with(claim("edges"), "/id", json!("builtin-email"));
    assert_eq!(app.call(Method::PUT, &path_of(&created), foreign).await.wrong_fields(), ["id"]);
}

#[tokio::test]
async fn a_name_belongs_to_one_claim_also_when_several_ask_for_it_at_once() {
    let app = App::new().await;
    let post = || app.call(Method::POST, CLAIMS, claim("tier"));
    let (a, b, c) = tokio::join!(post(), post(), post());
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT, StatusCode::CONFLICT]);
    let refused = app.call(Method::POST, CLAIMS, claim("email")).await;
    assert_eq!(refused.error_key(), "nameTaken");
    assert!(refused.text.contains("the native claim builtin-email has this name"), "{}", refused.text);
    let other = app.create(CLAIMS, claim("Tier")).await;
    let renamed = with(claim("tier"), "/id", other["id"].clone());
    assert_eq!(app.call(Method::PUT, &path_of(&other), renamed).await.error_key(), "nameTaken");
}

#[tokio::test]
async fn of_two_writers_that_read_the_same_one_wins() {
    let app = App::new().await;
    let created = app.call(Method::POST, CLAIMS, claim("tier")).await;
    let (path, tag) = (created.header("location"), created.header("etag"));
    let bearer = format!("Bearer {}", app.admin);
    let headers = [("authorization", bearer.as_str()), JSON, ("if-match", tag)];
    let put = async |name: &str| {
        let body = with(claim(name), "/id", created.json()["id"].clone());
        app.send(Method::PUT, path, &headers, body.to_string()).await
    };
    let (a, b) = tokio::join!(put("one"), put("two"));
    let won = [&a, &b].into_iter().filter(|reply| reply.status == StatusCode::OK).count();
    let lost = [a, b].into_iter().find(|reply| reply.status != StatusCode::OK).unwrap();
    assert_eq!(won, 1);
    assert!(["preconditionFailed", "changedMeanwhile"].contains(&lost.error_key().as_str()), "{}", lost.text);
    assert_eq!(app.get(path).await.header("etag"), "\"2\"");
    let late = app.send(Method::DELETE, path, &headers, "").await;
    assert_eq!(
        (late.status, late.error_key()),
        (StatusCode::PRECONDITION_FAILED, "preconditionFailed".into())
    );
}

#[tokio::test]
async fn a_thousand_claims_are_kept_and_no_more() {
    let app = App::new().await;
    for n in 0..999 {
        let (id, name) = (format!("claim-{n}"), format!("claim{n}"));
        let stored = json!({"id": id, "name": name, "displayName": "Claim", "dialectUri": "urn:x"});
        app.catalog.create(&id, &RawClaim(stored), None).unwrap();
    }
    app.create(CLAIMS, claim("last")).await;
    let refused = app.call(Method::POST, CLAIMS, claim("tier")).await;
    assert_eq!((refused.status, refused.error_key()), (StatusCode::CONFLICT, "limitReached".to_owned()));
}
