//! What a fragment is, and what of its input it keeps.

use base::mask::Secrecy;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn check(json: &str) -> Result<String, String> {
    canonical(json, &MaskRule::default()).map_err(|error| error.reason)
}

#[test]
fn space_goes_and_order_stays() {
    assert_eq!(
        check(" { \"b\" : [ 1 , 2.50 , null ] , \"a\" : \"x\\u00e9\\/\" } ").unwrap(),
        r#"{"b":[1,2.5,null],"a":"xé/"}"#
    );
    assert_eq!(check("[]").unwrap(), "[]");
    assert_eq!(check("{}").unwrap(), "{}");
    assert_eq!(check("[[],[[]]]").unwrap(), "[[],[[]]]");
}

#[test]
fn secrets_are_masked_at_any_depth_and_in_texts_within_texts() {
    assert_eq!(
        check(r#"{"a":[{"password":{"x":["y"]},"n":1}],"otp":123456}"#).unwrap(),
        r#"{"a":[{"password":"[masked]","n":1}],"otp":"[masked]"}"#
    );
    assert_eq!(
        check(r#"{"body":"{\"client_secret\": \"s3\", \"n\":1}","url":"https://h/?access_token=t&n=1#x","form":"a=1&pwd=z"}"#).unwrap(),
        r#"{"body":"{\"client_secret\":\"[masked]\",\"n\":1}","url":"https://h/?access_token=[masked]&n=1#x","form":"a=1&pwd=[masked]"}"#
    );
}

#[test]
fn what_destinations_choke_on_is_refused_with_the_reason() {
    assert!(check(r#"{"a":1,"a":2}"#).unwrap_err().contains("occurs twice"));
    assert!(check(r#"{"a":1,"\u0061":2}"#).unwrap_err().contains("occurs twice"));
    let many = (0..50).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",");
    assert!(check(&format!("{{{many},\"k3\":1}}")).unwrap_err().contains("occurs twice"));
    assert!(check("1e999").is_err());
    assert!(check("[1,]").is_err());
    assert!(check("{} {}").is_err());
    assert!(check(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap_err().contains("64 deep"));
    assert!(check(r#"{"password":{"a":1,"a":2}}"#).unwrap_err().contains("occurs twice"));
}

#[test]
fn a_text_that_is_almost_json_loses_its_secrets_only() {
    for (text, expected) in [
        (r#"{"password":"s3","a":"#, r#"{"password":"[masked]","a":"#),
        (r#"{"password":"s3"#, r#"{"password":"[masked]"#),
        (r#"{"n":1,"password":{"x":["s3","#, r#"{"n":1,"password":"[masked]""#),
        (r#"{"password":true,"a""#, r#"{"password":true,"a""#),
        (r#"{"password":"s3"} and more"#, r#"{"password":"[masked]"} and more"#),
        (r#"body: {"password":"s3"}"#, r#"body: {"password":"[masked]"}"#),
        (r#"{"a":1,"a":{"otp":"s3"}}"#, r#"{"a":1,"a":{"otp":"[masked]"}}"#),
        (r#"{"a":"\ud800","otp":"s3"}"#, "{\"a\":\"\u{fffd}\",\"otp\":\"[masked]\"}"),
        (r#"{password: "s3"}"#, r#"{password: "[masked]"}"#),
        ("{'password': 's3'}", "{'password': '[masked]'}"),
        ("[2026-01-31] login password=s3", "[2026-01-31] login password=[masked]"),
        (
            r#"{"headers":[{"name":"Cookie","value":"s3"}"#,
            r#"{"headers":[{"name":"Cookie","value":"[masked]"}"#,
        ),
    ] {
        let rule = MaskRule::default();
        assert_eq!(mask_text(text, &rule), expected);
        assert_eq!(mask_text(expected, &rule), expected, "stable");
    }
    for text in [r#"{"a":"b","c":"#, r#"{ "a" : 1.50 }"#, r#"[1e999, {"a":1,"a":2}]"#] {
        assert!(matches!(mask_text(text, &MaskRule::default()), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn members_that_name_a_secret_hide_the_one_that_holds_it() {
    for (json, expected) in [
        (
            r#"[{"op":"replace","path":"/password","value":"x"}]"#,
            r#"[{"op":"replace","path":"/password","value":"[masked]"}]"#,
        ),
        (
            r#"{"op":"add","value":{"a":1},"path":"urn:x:2.0:User:credentials"}"#,
            r#"{"op":"add","value":"[masked]","path":"urn:x:2.0:User:credentials"}"#,
        ),
        (r#"{"name":"Authorization","value":"Bearer x"}"#, r#"{"name":"Authorization","value":"[masked]"}"#),
        (
            r#"{"value":"x","n":1,"values":["y"],"KEY":"api_key"}"#,
            r#"{"value":"[masked]","n":1,"values":"[masked]","KEY":"api_key"}"#,
        ),
        (
            r#"{"path":"/a/client_secret","before":"x","after":true}"#,
            r#"{"path":"/a/client_secret","before":"[masked]","after":true}"#,
        ),
        (r#"["Authorization","Bearer x"]"#, r#"["Authorization","[masked]"]"#),
        (
            r#"{"headers":[["Cookie","x"],["Accept","*/*"]]}"#,
            r#"{"headers":[["Cookie","[masked]"],["Accept","*/*"]]}"#,
        ),
        (r#""Authorization: Bearer x""#, r#""Authorization: [masked]""#),
        (r#"{"t":"[\"Authorization\",\"Bearer x\"]"}"#, r#"{"t":"[\"Authorization\",\"[masked]\"]"}"#),
    ] {
        assert_eq!(check(json).unwrap(), expected);
        assert_eq!(mask_lenient(json, &MaskRule::default()), Masked::Json(expected.to_owned()));
        assert_eq!(check(expected).unwrap(), expected, "stable");
    }
    for json in [
        r#"{"name":"shop","value":"x"}"#,
        r#"{"name":"token_lifetime","value":3600}"#,
        r#"{"name":"password","enabled":true}"#,
        r#"{"grant_types":["password","refresh_token"],"amr":["pwd","otp"]}"#,
        r#"["password","x","y"]"#,
        r#"["password",1]"#,
        r#"["a token of love","x"]"#,
    ] {
        assert_eq!(check(json).unwrap(), json);
    }
}

#[test]
fn a_key_that_holds_a_secret_is_masked_and_stays_one_of_its_kind() {
    assert_eq!(
        check(r#"{"{\"password\":\"K\"}":""}"#).unwrap(),
        r#"{"{\"password\":\"[masked]\"}":"[masked]"}"#
    );
    assert_eq!(
        check(r#"{"pin=1":true,"pin=2":false,"pin=3":"x","a":4}"#).unwrap(),
        r#"{"pin=[masked]":true,"pin=[masked] (2)":false,"pin=[masked] (3)":"[masked]","a":4}"#
    );
    let claims = members(r#"{"pin=1":true,"name":"Cookie","value":"y"}"#, 256, &MaskRule::default()).unwrap();
    assert_eq!(claims, [r#""name":"Cookie""#, r#""pin=[masked]":true"#, r#""value":"[masked]""#]);
}

#[test]
fn facts_under_names_of_secrets_stay() {
    for json in [
        r#"{"passwordUpdate":true,"password_reset":3,"last_password_reset":"2026-01-31T12:00:00Z"}"#,
        r#"{"actor":{"token":{"iss":"https://issuer.example","sub":"s"}},"token":{},"secrets":[],"pin":null}"#,
        r#"{"credential_set":{"at":"now"}}"#,
        r#"{"dn":"cn=ann,ou=token service"}"#,
    ] {
        assert_eq!(check(json).unwrap(), json);
    }
    for (json, expected) in [
        (r#"{"passwordUpdate":"hunter2"}"#, r#"{"passwordUpdate":"[masked]"}"#),
        (r#"{"password_change":["hunter2"]}"#, r#"{"password_change":"[masked]"}"#),
        (r#"{"token":{"iss":"i","sub":"s","jti":"x"}}"#, r#"{"token":"[masked]"}"#),
        (r#"{"reset_password_url":"https://h/x"}"#, r#"{"reset_password_url":"[masked]"}"#),
    ] {
        assert_eq!(check(json).unwrap(), expected);
    }
}

#[test]
fn an_item_that_is_json_but_not_for_us_keeps_all_but_its_secrets() {
    let rule = MaskRule::default();
    for (item, expected) in [
        (
            r#"{"log_id":"9","log_id":"9","password":"s3"}"#,
            r#"{"log_id":"9","log_id":"9","password":"[masked]"}"#,
        ),
        (
            r#"{"log_id":"9","a":"\udc00x\ud83d\ude00","otp":1}"#,
            "{\"log_id\":\"9\",\"a\":\"\u{fffd}x😀\",\"otp\":\"[masked]\"}",
        ),
        (" [1e15, 1e999 , -0.50]\n", "[1e15,1e999,-0.50]"),
        (r#"{"password":{"a":[1,{"b":"}"}]},"log_id":"9"}"#, r#"{"password":"[masked]","log_id":"9"}"#),
        (r#"{"a":"b\/c\u0001"}"#, "{\"a\":\"b/c\\u0001\"}"),
        ("\"x\"", "\"x\""),
        ("42", "42"),
    ] {
        assert_eq!(mask_lenient(item, &rule), Masked::Json(expected.to_owned()));
        serde_json::from_str::<&serde_json::value::RawValue>(expected).unwrap();
    }
    for (item, expected) in [
        ("hello password=s3", "hello password=[masked]"),
        (r#"{"log_id":"9","password":"s3","x":"#, r#"{"log_id":"9","password":"[masked]","x":"#),
        (r#"{"log_id":"9","password":"s3"#, r#"{"log_id":"9","password":"[masked]"#),
        ("{} {}", "{} {}"),
        ("", ""),
        (r#"{"a":01}"#, r#"{"a":01}"#),
        (r#"{"a":"\x","pin":"s3"}"#, r#"{"a":"\x","pin":"[masked]"}"#),
    ] {
        assert_eq!(mask_lenient(item, &rule), Masked::Text(expected.to_owned()));
    }
}

/// Runs in a thread with a stack of 256 KiB: an overflow would end the test run.
fn on_a_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap()
}

#[test]
fn no_text_within_texts_costs_a_deep_stack() {
    let nested = (0..14).fold("{\"password\":\"s3\"}".to_owned(), |text, _| {
        let mut json = String::from("[[[[");
        append_string(&text, &mut json);
        json + "]]]]"
    });
    let deep = format!("{}\"{}\"{}", "[".repeat(60), "a=".repeat(150_000), "]".repeat(60));
    for json in [
        format!("\"{}\"", "=".repeat(300_000)),
        format!("\"{}\"", "https://a?b=".repeat(25_000)),
        format!("\"{}\"", "[".repeat(300_000)),
        format!("\"{}\"", "{\\\"a\\\":".repeat(40_000)),
        deep,
        nested,
    ] {
        let shown = on_a_small_stack(move || {
            let masked = check(&json).unwrap();
            (masked.contains("s3"), mask_lenient(&json, &MaskRule::default()))
        });
        assert!(!shown.0);
        assert!(matches!(shown.1, Masked::Json(_)));
    }
    let unclosed = "[{\"a\":".repeat(50_000);
    assert_eq!(
        on_a_small_stack(move || mask_lenient(&unclosed, &MaskRule::default())),
        Masked::Text("[{\"a\":".repeat(50_000))
    );
}

#[test]
fn json_within_json_is_looked_into_four_times_and_then_masked_whole() {
    let mut text = r#"{"password":"s3","a":1}"#.to_owned();
    for level in 0..7 {
        let mut json = String::from("{\"t\":");
        append_string(&text, &mut json);
        text = json + "}";
        let masked = check(&text).unwrap();
        assert!(!masked.contains("s3"), "{level}");
        assert_eq!(masked.contains("\\\"a"), level < 4, "{level}: {masked}");
    }
}

#[test]
fn a_header_loses_what_is_empty_and_keeps_its_names() {
    let header = r#""a":"","actor":{"token":{"sub":"x"},"b":{"c":""},"ua":"x?token=s3"},"n":0,"l":[]"#;
    let tidied = tidy_members(header, &MaskRule::default()).unwrap();
    assert_eq!(tidied, r#""actor":{"token":{"sub":"x"},"ua":"x?token=[masked]"},"n":0"#);
}

#[test]
fn a_failure_leaves_what_was_written_before() {
    let mut out = "kept".to_owned();
    assert!(append("[1,2", &MaskRule::default(), &mut out).is_err());
    assert_eq!(out, "kept");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{0,12}|.*", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) | Value::String(_) => false,
    }
}

fn masked_by_hand(value: &Value, rule: &MaskRule) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| {
                let is_secret = match rule.judge(k) {
                    Secrecy::Whole => !is_nothing(v),
                    Secrecy::Texts => matches!(v, Value::String(_) | Value::Array(_)) && !is_nothing(v),
                    Secrecy::Open => false,
                };
                let value = if is_secret { MASK.into() } else { masked_by_hand(v, rule) };
                (mask_text(k, rule).into_owned(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| masked_by_hand(item, rule)).collect(),
        Value::String(text) => mask_text(text, rule).into_owned().into(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn a_fragment_is_the_masked_value_and_is_its_own_fragment(value in any_json()) {
        let rule = MaskRule::default();
        let once = canonical(&serde_json::to_string_pretty(&value).unwrap(), &rule).unwrap();
        let read: Value = serde_json::from_str(&once).unwrap();
        prop_assert_eq!(&read, &masked_by_hand(&value, &rule));
        prop_assert_eq!(canonical(&once, &rule).unwrap(), once);
    }

    #[test]
    fn foreign_text_never_panics(text in prop_oneof![".*", "(\\{|\\}|\\[|\\]|,|:|\"|\"password\"|\"a\"|1|true| |\\\\|\\\\u12|é){0,30}"]) {
        let rule = MaskRule::default();
        let _ = canonical(&text, &rule);
        let masked = mask_text(&text, &rule).into_owned();
        let _ = mask_text(&masked, &rule);
        if let Masked::Json(json) = mask_lenient(&text, &rule) {
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok(), "{}", json);
        }
    }

    #[test]
    fn what_is_a_fragment_is_masked_alike_by_the_lenient_reader(value in any_json()) {
        let rule = MaskRule::default();
        let json = value.to_string();
        let Masked::Json(masked) = mask_lenient(&json, &rule) else { panic!("{json}") };
        prop_assert_eq!(canonical(&masked, &rule).unwrap(), canonical(&json, &rule).unwrap());
    }

    #[test]
    fn a_secret_never_shows_wherever_its_json_is_cut_off_or_begins(
        before in any_json(),
        after in any_json(),
        secret in prop_oneof![
            Just(serde_json::json!("CANARY, \"CANARY\" }")),
            Just(serde_json::json!({"x": ["CANARY", {"y": "CANARY"}]})),
        ],
        key in prop::sample::select(vec!["password", "clientSecret", "otp"]),
        prefix in prop_oneof![Just(""), Just("body: "), Just("x=1&y=")],
        keep in 0.0..1.0_f64,
    ) {
        let json = serde_json::json!({ "a": before, key: secret, "z": after }).to_string();
        let whole = format!("{prefix}{json}");
        let mut end = (whole.len() as f64 * keep) as usize;
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        let rule = MaskRule::default();
        let cut = whole.get(..end).unwrap();
        let mut within = String::new();
        append_string(cut, &mut within);
        let (Masked::Json(masked) | Masked::Text(masked)) = mask_lenient(cut, &rule);
        for masked in [masked, mask_text(cut, &rule).into_owned(), canonical(&within, &rule).unwrap()] {
            prop_assert!(!masked.contains("CANARY"), "{} of {}", masked, cut);
        }
    }
}
