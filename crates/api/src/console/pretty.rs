//! Compact JSON for people: indented, or as a list of paths and values. Both keep what is written in it as it is.

use serde_json::Value;

/// Indents compact JSON by two spaces a level. Texts and numbers stay as they are spelled.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_text, mut is_escaped) = (false, false);
    let mut chars = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                // An empty one stays on its line.
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// The values of a document by their paths, such as `actor.ip`, at most `most`. True when that was all. Lists of simple
/// values are one value.
pub(super) fn fields(value: &Value, most: usize) -> (Vec<(String, String)>, bool) {
    let mut rows = Vec::new();
    let is_all = collect(value, &mut String::new(), most, &mut rows);
    (rows, is_all)
}

fn collect(value: &Value, path: &mut String, most: usize, rows: &mut Vec<(String, String)>) -> bool {
    let is_simple = |value: &Value| !value.is_array() && !value.is_object();
    match value {
        Value::Object(object) if !object.is_empty() => {
            object.iter().all(|(name, value)| below(value, name, path, most, rows))
        }
        Value::Array(list) if !list.iter().all(is_simple) => {
            list.iter().enumerate().all(|(at, value)| below(value, &at.to_string(), path, most, rows))
        }
        _ if rows.len() == most => false,
        Value::Array(list) => {
            rows.push((path.clone(), list.iter().map(shown).collect::<Vec<_>>().join(", ")));
            true
        }
        value => {
            rows.push((path.clone(), shown(value)));
            true
        }
    }
}

fn below(
    value: &Value,
    name: &str,
    path: &mut String,
    most: usize,
    rows: &mut Vec<(String, String)>,
) -> bool {
    let len = path.len();
    if len > 0 {
        path.push('.');
    }
    path.push_str(name);
    let is_all = collect(value, path, most, rows);
    path.truncate(len);
    is_all
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_indented_and_stays_what_it_was() {
        let json = r#"{"a":[],"b":{},"c":["x,{\"y\\",1.50],"d":{"e":null}}"#;
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    \"x,{\\\"y\\\\\",\n    1.50\n  ],\n  \"d\": {\n    \"e\": null\n  }\n}";
        assert_eq!(indented(json), expected);
    }

    #[test]
    fn fields_are_told_by_their_paths_up_to_a_number() {
        let value = json!({"a": {"b": 1, "c": ["x", "y"]}, "d": [{"e": true}, []], "f": {}});
        let told = |most| {
            let (rows, is_all) = fields(&value, most);
            (rows.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>(), is_all)
        };
        assert_eq!(told(9).0, ["a.b=1", "a.c=x, y", "d.0.e=true", "d.1=", "f={}"]);
        assert!(told(5).1 && !told(4).1);
        assert_eq!(told(4).0.len(), 4);
    }

    proptest! {
        #[test]
        fn indenting_changes_no_value(texts in proptest::collection::vec(any::<String>(), 0..5), n: i64) {
            let value = json!({"texts": texts, "n": n, "deep": [[[texts.clone()]]]});
            let indented = indented(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&indented).unwrap(), value);
        }
    }
}
