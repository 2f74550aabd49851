//! No input whatever makes the source panic, and the same input always gives the same event.

use proptest::prelude::*;
use serde_json::{Value, json};
use sources::auth0::codes::CODES;
use sources::auth0::normalise;

use super::shared::{TENANT, document, rule, understood};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![Just("/api/v2/users/auth0%7C"), Just("%"), Just("ann@example.com"), Just("[1]")]
            .prop_map(Value::from),
    ];
    // Keys that the source looks at, so that their values take every shape.
    let key = prop_oneof![
        prop::sample::select(vec![
            "details",
            "request",
            "response",
            "body",
            "auth",
            "user",
            "user_id",
            "user_name",
            "email",
            "path",
            "method",
            "statusCode",
            "prompts",
            "initiatedAt",
            "completedAt",
            "name",
            "location_info",
            "latitude",
            "longitude",
            "query",
            "error",
            "ip",
            "client_id",
            "user_metadata",
            "address",
            "password",
            "emails",
            "log_id",
            "data",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_log() -> impl Strategy<Value = Value> {
    let code = prop_oneof![(0..CODES.len()).prop_map(|at| CODES[at].code.to_owned()), "[a-z_]{1,8}"];
    (code, any_json(), any_json(), 100_000_000_000_i64..4_000_000_000_000, any::<bool>()).prop_map(
        |(code, details, more, date, is_wrapped)| {
            let mut log = more.as_object().cloned().unwrap_or_default();
            log.remove("data");
            log.extend([
                ("type".to_owned(), json!(code)),
                ("date".to_owned(), json!(date)),
                ("details".to_owned(), details),
            ]);
            if is_wrapped { json!({"data": log}) } else { Value::Object(log) }
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_text_and_json_are_understood_or_refused(text in ".*", value in any_json()) {
        let _ = normalise(&text, TENANT, &rule());
        let _ = normalise(&value.to_string(), TENANT, &rule());
        let _ = normalise(&json!({"data": value}).to_string(), TENANT, &rule());
    }

    #[test]
    fn any_log_with_a_code_and_a_date_is_understood_always_the_same(log in any_log()) {
        let event = understood(&log.to_string());
        prop_assert_eq!(&event, &understood(&serde_json::to_string_pretty(&log).unwrap()));
        let document = document(&event);
        prop_assert!(document["raw"].is_object());
        let other = normalise(&log.to_string(), "other.eu.auth0.com", &rule()).unwrap();
        prop_assert_ne!(event.id, other.id);
    }
}
