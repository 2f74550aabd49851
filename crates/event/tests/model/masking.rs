//! No secret is left in any part of an event.

use serde_json::{Value, json};

use crate::shared::{
    document, parse, record, said, whole_account_event, whole_audit_log, whole_hook_log, with,
};

#[test]
fn secrets_are_masked_in_every_free_part() {
    let secret = json!({"password": "canary", "n": [{"client_secret": {"x": "canary"}}]});
    let account = with(
        &whole_account_event(),
        &json!({"nativeClaims": {"email": "e", "city": secret, "otp": "canary"}, "actions": [secret], "raw": secret}),
    );
    let text = json!(secret.to_string());
    let audit = with(
        &whole_audit_log(),
        &json!({
            "stream": "auditLog", "request": text, "response": secret, "url": "https://ann:canary@h/x?token=canary",
            "raw": {"t": "a=1&password=canary", "u": "https://h/?access_token=canary"},
            "changes": [{"path": "/auth/client_secret/0", "before": "canary", "after": {"deep": "canary"}},
                {"path": "/settings", "before": secret, "after": text}]
        }),
    );
    let hook = with(
        &whole_hook_log(),
        &json!({"stream": "eventHookLog", "logs": [{"message": secret.to_string()}], "raw": secret}),
    );
    for event in [account, audit, hook] {
        let draft = parse(&event).unwrap();
        let text = document(&draft, &["email", "city", "otp"]);
        assert!(!text.contains("canary") && text.contains("[masked]"), "{text}");
        assert!(!String::from_utf8_lossy(&record(&draft)).contains("canary"));
    }
}

#[test]
fn texts_of_the_contracts_fields_are_masked_whatever_else_an_event_holds() {
    let agent = |agent: &str, more: Value| {
        let actor = json!({"userAgent": agent, "userName": "token", "token": {"iss": "https://i.example", "sub": "s"}});
        let event = with(
            &whole_account_event(),
            &json!({"actor": actor, "actions": [], "nativeClaims": {}, "raw": null}),
        );
        said(&with(&event, &more))["actor"].clone()
    };
    // With and without what once decided whether a header is looked at: a `=`, something empty.
    for more in [json!({}), json!({"variantId": "a=b"}), json!({"loginSessionId": ""})] {
        for (sent, kept) in [
            ("App/1.0 (pin=5; x)", "App/1.0 (pin=[masked]; x)"),
            ("x Authorization: Bearer abc", "x Authorization: [masked]"),
            ("https://ann:pw@h/", "https://ann:[masked]@h/"),
            (r#"say {"password":"x"}"#, r#"say {"password":"[masked]"}"#),
            ("Mozilla/5.0 (X11; rv:128.0)", "Mozilla/5.0 (X11; rv:128.0)"),
        ] {
            let actor = agent(sent, more.clone());
            assert_eq!(actor["userAgent"], kept, "{more}");
            assert_eq!((&actor["userName"], &actor["token"]["sub"]), (&json!("token"), &json!("s")));
        }
    }
}
