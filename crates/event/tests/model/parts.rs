//! The free-form parts of an event.

use base::mask::MaskRule;
use event::model::FreeForm;
use serde_json::{Value, json};

#[test]
fn a_body_becomes_one_text_and_an_empty_one_none() {
    let request = |json: &str| {
        let mut free = FreeForm::default();
        free.set_request(json, &MaskRule::default()).unwrap();
        free.request.map(|text| serde_json::from_str::<String>(&text).unwrap())
    };
    for (json, text) in [
        (r#"{"b": 1, "a": [ ]}"#, r#"{"b":1,"a":[]}"#),
        (r#""{\"b\": 1}""#, r#"{"b": 1}"#),
        (r#""{\"password\": 1, \"b\": 2}""#, r#"{"password":"[masked]","b":2}"#),
        (r#""a=1&password=x""#, "a=1&password=[masked]"),
        ("[]", "[]"),
        ("17", "17"),
    ] {
        assert_eq!(request(json).as_deref(), Some(text), "{json}");
    }
    for json in ["null", r#""""#, "{}", r#""{}""#] {
        assert_eq!(request(json), None, "{json}");
    }
    let mut free = FreeForm::default();
    for json in [r#"{"a":1,"a":2}"#, "{", "1e999"] {
        assert_eq!(free.set_response(json, &MaskRule::default()).unwrap_err().field, "response", "{json}");
    }
}

#[test]
fn claims_are_bounded_named_and_sorted() {
    let set = |claims: &Value| {
        let mut free = FreeForm::default();
        free.set_claims(&claims.to_string(), &MaskRule::default()).map(|()| free.native_claims)
    };
    let many = |n: usize| (0..n).map(|i| (format!("c{i}"), json!(i))).collect::<Value>();
    assert_eq!(set(&many(512)).unwrap().len(), 512);
    assert!(set(&many(513)).unwrap_err().reason.contains("more than 512"));
    set(&json!({"é".repeat(256): 1})).unwrap();
    for name in [String::new(), "é".repeat(257)] {
        assert!(set(&json!({name: 1})).unwrap_err().reason.contains("1 to 256 characters"));
    }
    let names = set(&json!({"b": 1, "a": {"x": null}, "c": null, "B": false})).unwrap();
    assert_eq!(names, [r#""B":false"#, r#""a":{"x":null}"#, r#""b":1"#]);
}
