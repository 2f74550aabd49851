//! Planted secrets appear in no section of an event, wherever an item can carry them.

use base::mask::MaskRule;
use event::fragment::Masked;
use serde_json::{Value, json};
use sources::ItemRule;
use sources::auth0::masking::refused;
use sources::auth0::normalise;

use super::shared::{TENANT, document, record, understood};

/// Part of every planted secret, and of nothing else.
const CANARY: &str = "canary4711";

fn secret() -> String {
    format!("x{CANARY}x")
}

fn assert_clean(item: &Value) {
    let event = understood(&item.to_string());
    let document = document(&event).to_string();
    assert!(!document.contains(CANARY), "{document}");
    assert!(!String::from_utf8_lossy(&record(&event)).contains(CANARY));
    assert!(document.contains("[masked]"), "{document}");
}

#[test]
fn of_a_management_call() {
    let bodies = json!({
        "name": "app",
        "client_secret": secret(),
        "signing_keys": [{"private_key": secret(), "kid": "k"}],
        "nested": {"deep": [{"refresh_token": {"value": secret()}}]},
        "text": format!(r#"{{"password":"{}","a":1}}"#, secret()),
        "form": format!("grant_type=x&client_secret={}", secret()),
        "callback": format!("https://h.example/cb?access_token={}&x=1", secret()),
    });
    assert_clean(&json!({"log_id": "1", "data": {
        "date": "2026-01-02T03:04:05.678Z", "type": "sapi", "description": "Create a client",
        "details": {
            "request": {"method": "post", "path": format!("/api/v2/clients?token={}", secret()), "body": bodies,
                "auth": {"credentials": {"jti": secret()}, "user": {"email": "ann@example.com"}}},
            "response": {"statusCode": 201, "body": bodies}}}}));
}

#[test]
fn of_links_that_change_a_password_or_accept_an_invitation() {
    let link = format!("https://{TENANT}/lo/reset?ticket={}#", secret());
    for details in [
        json!({"resetUrl": &link}),
        json!({"body": {"verificationUrl": &link}}),
        json!({"body": {"ticket": secret(), "_csrf": secret()}}),
        json!({"link": format!("https://{TENANT}/passwordless/verify_redirect?verification_code={}", secret())}),
        json!({"invitation": {"ticket_id": secret(), "invitation_url": &link}}),
        json!({"other": &link}),
    ] {
        assert_clean(
            &json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": "scpr", "details": details}}),
        );
    }
}

#[test]
fn of_a_code_typed_for_a_second_factor_but_not_an_errors_code() {
    let item = |code: &str| {
        json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": code,
            "details": {"request": {"body": {"code": secret()}}}}})
    };
    assert_clean(&item("gd_auth_failed"));
    let failed = document(&understood(&item("f").to_string()));
    assert_eq!(failed["raw"]["data"]["details"]["request"]["body"]["code"], secret());
}

#[test]
fn of_a_registration_in_claims_steps_and_raw_event() {
    assert_clean(&json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": "fs",
        "description": format!(r#"{{"password":"{}"}}"#, secret()),
        "details": {"body": {"email": "ann@example.com", "password": secret(), "picture": format!("https://h/p?token={}", secret())},
            "prompts": [{"name": "login", "completedAt": 1_767_323_045_000_i64, "otp": secret()}],
            "error": {"message": "no", "authorization": secret()}}}}));
}

#[test]
fn of_an_item_that_cannot_become_an_event() {
    let rule = ItemRule::of(&MaskRule::with(["tax_number".to_owned()]));
    for item in [
        format!(r#"{{"log_id":"9001","log_id":"9001","password":"{}"}}"#, secret()),
        format!(r#"{{"log_id":"9001","a":"\ud800","details":{{"resetUrl":"https://h/{}"}}}}"#, secret()),
        format!(r#"{{"log_id":"9001","type":"gd_auth_failed","request":{{"code":"{}"}}}}"#, secret()),
        format!(r#"{{"log_id":"9001","ticket":"{}","x":"#, secret()),
        format!(r#"{{"log_id":"9001","taxNumber":"{}","x":"#, secret()),
        format!(r#"{{"log_id":"9001","details":{{"credentials":{{"a":["{}","#, secret()),
        format!("log_id=9001 password={}", secret()),
    ] {
        let (Masked::Json(masked) | Masked::Text(masked)) = refused(&item, &rule);
        assert!(
            masked.contains("9001") && masked.contains("[masked]") && !masked.contains(CANARY),
            "{masked}"
        );
    }
}

#[test]
fn no_fact_that_only_sounds_secret_is_lost() {
    let item = |code: &str, details: Value| json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": code, "details": details}});
    let refresh_token = json!({"access": "offline", "session_id": "s1"});
    for (code, details) in [
        ("mgmt_api_read", json!({"accessedSecrets": ["client_secret", "signing_key"]})),
        ("seacft", json!({"access_token_jti": "j1", "refresh_token": refresh_token})),
        ("sertft", json!({"access_token_jti": "j1", "refresh_token": refresh_token, "tokenCounter": 3})),
        ("srrt", json!({"credential_id": "c1", "refresh_token": refresh_token, "token_thumbprint": "t"})),
        (
            "w",
            json!({"credentials_tenant": "acme", "token_broker": "b", "triggered_by_session_transfer_token": true}),
        ),
        ("fp", json!({"body": {"user_metadata": {"dn": "cn=ann,ou=token service,dc=example"}}})),
        (
            "sapi",
            json!({"response": {"body": {"refresh_token": {"rotation_type": "rotating", "leeway": 0}}}}),
        ),
    ] {
        let item = item(code, details);
        assert_eq!(document(&understood(&item.to_string()))["raw"], item, "{code}");
    }
    assert_clean(&item("seacft", json!({"refresh_token": secret()})));
    assert_clean(&item("seacft", json!({"refresh_token": {"session_id": "s1", "value": secret()}})));
    // What the installation adds is secret nevertheless.
    let strict = ItemRule::of(&MaskRule::with(["credential_id".to_owned()]));
    let event = normalise(&item("srrt", json!({"credential_id": secret()})).to_string(), TENANT, &strict);
    assert!(!document(&event.unwrap()).to_string().contains(CANARY));
}

#[test]
fn of_names_that_the_installation_adds() {
    let item = json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": "s",
        "details": {"body": {"user_metadata": {"taxNumber": secret()}}}}});
    let rule = ItemRule::of(&MaskRule::with(["tax_number".to_owned()]));
    let event = normalise(&item.to_string(), TENANT, &rule).unwrap();
    assert!(!document(&event).to_string().contains(CANARY));
    assert!(document(&understood(&item.to_string())).to_string().contains(CANARY));
    assert_eq!(event.id, understood(&item.to_string()).id);
}
