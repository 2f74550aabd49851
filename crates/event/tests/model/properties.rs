//! Whatever a producer sends.

use base::mask::{MaskRule, Secrecy};
use event::fragment::canonical;
use event::model::{FreeForm, HookLine, incoming};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::shared::{document, parse, whole_account_event, whole_events, with};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[a-z=&?:/@]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,8}|password", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn foreign_text_never_panics(text in ".*", value in any_json()) {
        let _ = incoming::parse(&text, &MaskRule::default());
        let _ = parse(&value);
    }

    #[test]
    fn whatever_a_producer_puts_into_the_free_parts_the_document_is_json_with_unique_keys(
        which in 0_usize..3,
        claims in proptest::collection::btree_map(".{1,10}", any_json(), 0..6),
        free in any_json(),
        text in ".*",
    ) {
        let (stream, event) = whole_events()[which].clone();
        let more = match stream {
            "accountEvent" => json!({"actions": [{"metadata": free}], "loginSessionId": text}),
            "auditLog" => json!({"request": free, "response": text, "url": text, "name": text}),
            _ => json!({"logs": [{"message": text}], "accountId": text}),
        };
        let event = with(&with(&event, &more), &json!({"stream": stream, "nativeClaims": claims, "raw": free}));
        let draft = parse(&event).unwrap();
        let names: Vec<&str> = claims.keys().map(String::as_str).collect();
        let document = document(&draft, &names);
        prop_assert!(canonical(&document, &MaskRule::default()).is_ok(), "{}", document);
    }

    #[test]
    fn changes_and_lines_keep_all_but_their_secrets(path in "(/[a-z]{1,6}){1,3}", value in any_json(), line in ".*") {
        let rule = MaskRule::default();
        let mut free = FreeForm::default();
        let change = json!([{"path": path, "before": value}]);
        free.set_changes(&change.to_string(), &rule).unwrap();
        let is_nothing = matches!(value.to_string().as_str(), "null" | "true" | "false" | "[]" | "{}");
        let is_secret = rule.judge_path(&path) == Secrecy::Whole && !is_nothing;
        let before: Value = if is_secret { "[masked]".into() } else {
            serde_json::from_str(&canonical(&value.to_string(), &rule).unwrap()).unwrap()
        };
        let kept: Value = serde_json::from_str(&free.changes.unwrap()).unwrap();
        prop_assert_eq!(&kept, &json!([{"path": path, "before": before}]));
        free = FreeForm::default();
        free.set_logs(&[HookLine { message: Some(line.clone()), ..HookLine::default() }], &rule).unwrap();
        let kept: Value = serde_json::from_str(&free.logs.unwrap()).unwrap();
        let expected = event::fragment::mask_text(&line, &rule);
        prop_assert_eq!(kept[0]["message"].as_str(), Some(&*expected));
    }

    #[test]
    fn a_label_is_an_outcome_a_colon_and_a_plain_name(
        label in prop_oneof!["(success|failure):[a-zA-Z0-9_.-]{1,20}", "[a-z]{0,9}:?[a-z: é]{0,9}", ".*"],
    ) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let named = label.strip_prefix("success:").or_else(|| label.strip_prefix("failure:"));
        let expected = label.len() <= 128 && named.is_some_and(|name| !name.is_empty() && name.chars().all(is_plain));
        let event = with(&whole_account_event(), &json!({"labels": [label]}));
        prop_assert_eq!(parse(&event).is_ok(), expected);
    }
}
