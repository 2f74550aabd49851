//! Planted secrets appear in no section of an event, wherever an item can carry them.

use base::mask::MaskRule;
use serde_json::{Value, json};
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
fn of_names_that_the_installation_adds() {
    let item = json!({"log_id": "1", "data": {"date": "2026-01-02T03:04:05Z", "type": "s",
        "details": {"body": {"user_metadata": {"taxNumber": secret()}}}}});
    let rule = MaskRule::with(["tax_number".to_owned()]);
    let event = normalise(&item.to_string(), TENANT, &rule).unwrap();
    assert!(!document(&event).to_string().contains(CANARY));
    assert!(document(&understood(&item.to_string())).to_string().contains(CANARY));
    assert_eq!(event.id, understood(&item.to_string()).id);
}
