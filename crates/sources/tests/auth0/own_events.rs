//! What becomes of events that were written for this test, as destinations receive them.

use event::Stream;
use serde_json::{Value, json};
use sources::auth0::normalise;
use sources::{Platform, SourceKind};

use super::shared::{TENANT, claims_of, document, rule, stream, understood};

fn without_raw(item: &Value) -> Value {
    let mut document = document(&understood(&item.to_string()));
    let members = document.as_object_mut().unwrap();
    for same_everywhere in ["raw", "instance", "receivedAt", "schemaVersion", "sourceId"] {
        members.remove(same_everywhere);
    }
    document
}

#[test]
fn a_log_in_with_prompts() {
    insta::assert_json_snapshot!(without_raw(&json!({"log_id": "900-login", "data": {
        "date": "2026-01-02T03:04:05.678Z",
        "type": "s",
        "description": "Successful login",
        "connection": "Customers",
        "connection_id": "con_1",
        "client_id": "app1",
        "client_name": "Shop",
        "ip": "2001:db8::17",
        "user_agent": "Firefox 140.0.0 / Linux",
        "user_id": "auth0|ann",
        "user_name": "ann@example.com",
        "hostname": "acme.eu.auth0.com",
        "location_info": {"country_code": "AT", "country_name": "Austria", "city_name": "Graz", "latitude": 47.07, "longitude": 15.44},
        "details": {
            "session_id": "session1",
            "initiatedAt": 1_767_323_000_000_i64,
            "completedAt": 1_767_323_045_000_i64,
            "prompts": [
                {"name": "prompt-authenticate", "completedAt": 1_767_323_040_000_i64, "connection": "Customers", "elapsedTime": null},
                {"name": "mfa", "flow": "mfa", "initiatedAt": 1_767_323_041_000_i64}
            ],
            "riskAssessment": {"confidence": "low", "version": "1"}
        }
    }})));
}

#[test]
fn a_failed_log_in_of_somebody_unknown() {
    insta::assert_json_snapshot!(without_raw(&json!({
        "date": "2026-01-02 03:04:05.678000000",
        "type": "fu",
        "description": "Wrong email or password.",
        "connection": "Customers",
        "client_id": "app1",
        "ip": "99.xxx.xxx.xxx",
        "user_id": "",
        "user_name": "nobody",
        "details": {"error": {"message": "Wrong email or password."}},
        "_id": "900-bare"
    })));
}

#[test]
fn a_registration_tells_its_claims() {
    insta::assert_json_snapshot!(without_raw(&json!({"log_id": "900-signup", "data": {
        "date": 1_767_323_045_678_i64,
        "type": "ss",
        "connection": "Customers",
        "user_id": "auth0|bob",
        "user_name": "bob@example.com",
        "details": {"body": {
            "email": "bob@example.com", "password": "*****", "given_name": "Bob", "family_name": "Berger", "nickname": "bob",
            "user_metadata": {"city": "Graz", "company": "Acme", "address": {"postal_code": "8010"}}
        }}
    }})));
}

#[test]
fn a_provisioning_over_scim() {
    insta::assert_json_snapshot!(without_raw(&json!({"log_id": "900-scim", "data": {
        "date": "2026-01-02T03:04:05.678Z",
        "type": "sscim",
        "ip": "192.0.2.7",
        "details": {
            "action": "create_user",
            "connection_id": "con_9",
            "request": {"method": "POST", "path": "/scim/v2/connections/con_9/Users", "body": {
                "userName": "cleo", "name": {"givenName": "Cleo"}, "emails": [{"value": "cleo@example.com"}], "title": "Engineer",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D"}
            }},
            "response": {"statusCode": 201}
        }
    }})));
}

#[test]
fn a_changed_client_is_an_audit_log_with_masked_bodies() {
    insta::assert_json_snapshot!(without_raw(&json!({"log_id": "900-client", "data": {
        "date": "2026-01-02T03:04:05.678Z",
        "type": "sapi",
        "description": "Update a client",
        "client_id": "console",
        "client_name": "Dashboard",
        "ip": "192.0.2.8",
        "user_agent": "Chrome 140.0.0 / Linux",
        "user_id": "auth0|admin",
        "details": {
            "request": {
                "method": "patch",
                "path": "/api/v2/clients/app1",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
                "body": {"name": "Shop", "client_secret": "s3cr3t", "callbacks": ["https://shop.example/cb"]},
                "auth": {"user": {"user_id": "auth0|admin", "email": "admin@example.com", "name": "Admin"},
                    "credentials": {"jti": "j1"}, "strategy": "jwt"}
            },
            "response": {"statusCode": 200, "body": {"name": "Shop", "client_id": "app1", "client_secret": "s3cr3t"}}
        }
    }})));
}

#[test]
fn a_created_account_is_an_audit_log_with_claims_of_the_account_not_of_the_administrator() {
    let item = json!({"log_id": "900-user", "data": {
        "date": "2026-01-02T03:04:05.678Z",
        "type": "sapi",
        "description": "Create a User",
        "user_id": "auth0|admin",
        "user_name": "admin@example.com",
        "details": {
            "request": {"method": "post", "path": "/api/v2/users",
                "body": {"email": "dan@example.com", "connection": "Customers", "user_metadata": {"job_title": "Cook"}},
                "auth": {"user": {"user_id": "auth0|admin", "email": "admin@example.com"}}},
            "response": {"statusCode": 201, "body": {"user_id": "auth0|dan", "email": "dan@example.com"}}
        }
    }});
    insta::assert_json_snapshot!(without_raw(&item));
    let kept = claims_of(&understood(&item.to_string()));
    assert_eq!(kept, json!({"email": "dan@example.com", "job_title": "Cook", "user_id": "auth0|dan"}));
}

#[test]
fn a_code_that_is_not_in_the_table_passes_through() {
    insta::assert_json_snapshot!(without_raw(&json!({"log_id": "900-new", "data": {
        "date": "2026-01-02T03:04:05.678Z", "type": "brand_new_code", "description": "Something new",
        "user_id": "auth0|eve", "ip": "192.0.2.9"
    }})));
}

fn call(code: &str, method: &str, path: &str, status: &Value) -> Value {
    without_raw(&json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": code,
        "details": {"request": {"method": method, "path": path}, "response": {"statusCode": status}}}}))
}

#[test]
fn action_entity_and_outcome_of_a_management_call_are_told_by_method_path_and_status() {
    for (method, path, status, expected) in [
        ("post", "/api/v2/clients", json!(201), ("Create", "clients", "success")),
        ("put", "/api/v2/guardian/policies", json!(200), ("Update", "guardian", "success")),
        (
            "PATCH",
            "/v2/attack-protection/bot-detection",
            json!(400),
            ("Update", "attack-protection", "failure"),
        ),
        ("delete", "/api/v2/users/a%7Cb?x=1", json!("204"), ("Delete", "users", "success")),
        ("get", "/api/v2/clients", json!(null), ("Read", "clients", "success")),
    ] {
        let entry = call("sapi", method, path, &status);
        let told = ["action", "entityType", "outcome"].map(|key| entry[key].as_str().unwrap());
        assert_eq!((told[0], told[1], told[2]), expected, "{method} {path}");
        assert_eq!(entry["method"], method.to_uppercase());
        assert_eq!(entry["url"], path);
    }
    let odd = call("sapi", "trace", "/", &json!("?"));
    assert_eq!((odd.get("action"), odd.get("entityType")), (None, None));
    assert_eq!(call("gd_tenant_update", "", "", &json!(null))["entityType"], "guardian");
}

#[test]
fn an_id_is_the_same_in_both_forms_and_differs_by_tenant_log_and_content() {
    let data = json!({"date": "2026-01-02T03:04:05Z", "type": "s", "log_id": "900"});
    let bare = understood(&data.to_string());
    assert_eq!(bare.id, understood(&json!({"log_id": "900", "data": data}).to_string()).id);
    assert_eq!(bare.id, understood(&json!({"data": data, "other": 1}).to_string()).id);
    let elsewhere = normalise(&data.to_string(), "beta.eu.auth0.com", &rule()).unwrap();
    assert_ne!(bare.id, elsewhere.id);
    // A domain's case says nothing.
    assert_eq!(bare.id, normalise(&data.to_string(), &TENANT.to_uppercase(), &rule()).unwrap().id);
    let platform = |tenant: &str| Platform { kind: SourceKind::Auth0, tenant: tenant.to_owned() };
    assert_eq!(platform("ACME.eu.auth0.com").identity(), "platform:auth0:acme.eu.auth0.com");

    let nameless = |user: &str| {
        understood(&json!({"date": "2026-01-02T03:04:05Z", "type": "s", "user_id": user}).to_string())
    };
    assert_eq!(nameless("a").id, nameless("a").id);
    assert_ne!(nameless("a").id, nameless("b").id);
}

#[test]
fn what_is_no_log_is_refused_with_the_reason() {
    for (item, reason) in [
        ("[]", "the item is not a JSON object"),
        ("42", "the item is not a JSON object"),
        (r#"{"data": 1}"#, "the log has no `type`"),
        ("{}", "the log has no `type`"),
        (r#"{"type":"s"}"#, "the log has no `date`"),
        (r#"{"data":{"type":"s","date":null}}"#, "the log's `date` is not a time"),
        (r#"{"type":"s","date":"soon"}"#, "the log's `date` is not a time"),
        (r#"{"type":"s","date":1767323045}"#, "the log's `date` is not a time"),
    ] {
        let refused = normalise(item, TENANT, &rule()).unwrap_err();
        assert_eq!(refused.reason, reason, "{item}");
    }
    for (item, part) in [
        (r#"{"type":"s","#, "the item is not well-formed JSON: EOF"),
        (r#"{"a":1,"a":2}"#, "the item holds an object with a key that occurs twice"),
        (&format!("{}{}", "[".repeat(70), "]".repeat(70)), "the item is nested more than 64 deep"),
    ] {
        let refused = normalise(item, TENANT, &rule()).unwrap_err();
        assert!(refused.reason.starts_with(part), "{refused}");
    }
}

#[test]
fn a_start_after_the_end_is_no_start() {
    let started = |at: i64| {
        without_raw(
            &json!({"date": "2026-01-02T03:04:05Z", "type": "s", "details": {"prompts": [{"initiatedAt": at}]}}),
        )
    };
    assert_eq!(started(1_767_323_044_000)["durationMs"], 1000);
    assert_eq!(started(1_767_323_046_000).get("startTimestamp"), None);
}

#[test]
fn streams_are_chosen_by_the_code_not_by_the_shape() {
    let item = |code: &str| {
        json!({"date": "2026-01-02T03:04:05Z", "type": code, "details": {"request": {"method": "post", "path": "/api/v2/clients"}}})
            .to_string()
    };
    assert_eq!(stream(&item("signup_pwd_leak")), Stream::AccountEvent);
    assert_eq!(stream(&item("sapi")), Stream::AuditLog);
}
