//! A delivery's items, whichever of the three formats it has.

use proptest::prelude::*;
use serde_json::{Value, json};
use sources::auth0::{Item, MAX_ITEMS, SplitError, normalise, split};

use super::shared::{TENANT, rule};

fn cut(body: &str) -> Result<Vec<Item<'_>>, SplitError> {
    split(body.as_bytes())
}

fn texts(body: &str) -> Vec<String> {
    cut(body).unwrap().into_iter().map(|item| item.text.into_owned()).collect()
}

#[test]
fn lines_arrays_and_single_objects_give_the_same_items() {
    let (a, b) = (r#"{"a":1}"#, r#"{"b":[2,{"c":"]"}]}"#);
    for body in [
        format!("{a}\n{b}"),
        format!("{a}\r\n\r\n  {b}\r\n"),
        format!("\u{feff}{a}\n{b}\n\n"),
        format!("[{a},{b}]"),
        format!(" [\n  {a},\n  {b}\n] \n"),
    ] {
        assert_eq!(texts(&body), [a, b], "{body}");
    }
    assert_eq!(texts(a), [a]);
    assert_eq!(texts("{\n \"a\": 1\n}\n"), ["{\n \"a\": 1\n}"]);
    assert!(texts("[]").is_empty());
    let pretty = "{\n  \"a\": 1\n}\n";
    assert_eq!(texts(&pretty.repeat(2)), [pretty.trim(); 2]);
}

#[test]
fn an_object_that_only_wraps_logs_is_the_list_of_them() {
    let log = r#"{"log_id":"1","data":{"type":"s"}}"#;
    let wrapped = format!(r#"{{"logs":[{log},{{"log_id":"2"}}]}}"#);
    assert_eq!(texts(&wrapped), [log, r#"{"log_id":"2"}"#]);
    assert_eq!(texts(&format!("{wrapped}\n{log}")), [log, r#"{"log_id":"2"}"#, log]);
    assert!(texts(r#"{"logs":[]}"#).is_empty());
    for no_wrapper in [
        r#"{"type":"s","logs":[1]}"#,
        r#"{"data":{},"logs":[1]}"#,
        r#"{"logs":{"a":1}}"#,
        r#"{"logs":[1],"logs":[2]}"#,
    ] {
        assert_eq!(texts(no_wrapper), [no_wrapper]);
    }
    let many = format!(r#"{{"logs":[{}1]}}"#, "1,".repeat(MAX_ITEMS));
    assert_eq!(cut(&many), Err(SplitError::TooMany));
}

#[test]
fn a_line_that_is_not_utf8_is_an_item_with_a_flaw() {
    let items = split(b"{\"a\":1}\n{\"b\":\"\xff\"}\n{\"c\":3}").unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items[1].text, "{\"b\":\"\u{fffd}\"}");
    assert_eq!(items[1].flaw.as_deref(), Some("the item is not UTF-8 after byte 6"));
    assert!(items[0].flaw.is_none() && items[2].flaw.is_none());
}

#[test]
fn what_is_well_formed_but_no_log_is_an_item_for_normalise_to_refuse() {
    for (body, count) in [("[1,null,{}]", 3), ("1\nnull\n{}", 3), ("42", 1), ("\"x\"", 1), ("[1]\n{}", 2)] {
        let items = texts(body);
        assert_eq!(items.len(), count, "{body}");
        for item in items {
            normalise(&item, TENANT, &rule()).unwrap_err();
        }
    }
}

#[test]
fn a_broken_line_among_good_ones_is_an_item_of_its_own() {
    let items = texts("{\"a\":1}\n{\"b\":\n{\"c\":3}");
    assert_eq!(items, [r#"{"a":1}"#, r#"{"b":"#, r#"{"c":3}"#]);
    let refused = normalise(&items[1], TENANT, &rule()).unwrap_err();
    assert!(refused.reason.starts_with("the item is not well-formed JSON: "), "{refused}");
}

#[test]
fn a_body_that_is_no_json_or_was_cut_off_is_refused_whole() {
    for body in
        ["<html>", "a=b&c=d", "[{\"a\":1},", "[\n{\"a\":1},\n{\"b\"", "{\n \"a\": [\n  \"x\"\n", "{\"a\":"]
    {
        assert!(matches!(cut(body), Err(SplitError::Malformed(_))), "{body}");
    }
    for body in ["", " \r\n ", "\u{feff}"] {
        assert_eq!(cut(body), Err(SplitError::Empty), "{body:?}");
    }
}

#[test]
fn the_number_of_items_is_bounded() {
    assert_eq!(texts(&"{}\n".repeat(MAX_ITEMS)).len(), MAX_ITEMS);
    assert_eq!(cut(&"{}\n".repeat(MAX_ITEMS + 1)), Err(SplitError::TooMany));
    assert_eq!(texts(&format!("[{}{{}}]", "{},".repeat(MAX_ITEMS - 1))).len(), MAX_ITEMS);
    assert_eq!(cut(&format!("[{}{{}}]", "{},".repeat(MAX_ITEMS))), Err(SplitError::TooMany));
}

proptest! {
    #[test]
    fn any_list_of_objects_survives_each_format(texts in proptest::collection::vec(".*", 1..20)) {
        let objects: Vec<Value> = texts.iter().map(|text| json!({"t": text})).collect();
        let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
        for body in [lines.join("\n"), lines.join("\r\n\r\n"), Value::from(objects).to_string()] {
            prop_assert_eq!(super::split::texts(&body), lines.clone(), "{}", body);
        }
    }

    #[test]
    fn foreign_text_never_panics_and_items_are_parts_of_it(body in "[\\[\\]{},:\"a1 \r\n]{0,60}|.*") {
        for item in cut(&body).unwrap_or_default() {
            prop_assert!(!item.text.is_empty() && body.contains(&*item.text));
        }
    }
}
