//! Looks single values up in an event's header without parsing the rest. A header is canonical JSON: no spaces, unique
//! keys. Bytes that are no such thing give no value, or a wrong one; they never panic.

use std::borrow::Cow;

/// The value of a member, as it is spelled, of an object's members without their braces.
pub(crate) fn member<'a>(members: &'a str, name: &str) -> Option<&'a str> {
    parts(members).find_map(|part| part.strip_prefix('"')?.strip_prefix(name)?.strip_prefix("\":"))
}

/// The members of a spelled object, without its braces.
pub(crate) fn members(object: &str) -> Option<&str> {
    object.strip_prefix('{')?.strip_suffix('}')
}

/// The elements of a spelled array, as they are spelled.
pub(crate) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let inside = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    parts(inside.unwrap_or_default())
}

/// The text that is spelled. Nearly every one is spelled as it is, and borrowed.
pub(crate) fn text(spelled: &str) -> Option<Cow<'_, str>> {
    let inside = spelled.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(spelled).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// The text of a member.
pub(crate) fn text_of<'a>(members: &'a str, name: &str) -> Option<Cow<'a, str>> {
    text(member(members, name)?)
}

/// What stands between the commas that belong to no inner array, object or text.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = match end_of_part(text) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(part)
    })
}

fn end_of_part(text: &str) -> Option<usize> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if is_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c,:{}\\[\\]\"\\\\é\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|object| object.into_iter().collect()),
            ]
        })
    }

    #[test]
    fn a_member_is_found_at_its_own_level_only() {
        let header = r#""a":{"type":"x"},"b":"\"type\":\"y\"","type":"z","n":7"#;
        assert_eq!(text_of(header, "type").as_deref(), Some("z"));
        assert_eq!(members(member(header, "a").unwrap()).and_then(|a| member(a, "type")), Some("\"x\""));
        assert_eq!(text_of(header, "n"), None);
        assert_eq!(member(header, "typ"), None);
    }

    proptest! {
        #[test]
        fn what_a_parser_finds_is_found(object in proptest::collection::btree_map("[a-c]{1,2}", any_value(), 0..6)) {
            let spelled = json!(object).to_string();
            let header = members(&spelled).unwrap();
            for name in ["a", "b", "c", "ab", "ca"] {
                let found = member(header, name).map(|value| serde_json::from_str::<Value>(value).unwrap());
                prop_assert_eq!(found.as_ref(), object.get(name));
                if let Some(Value::Array(array)) = object.get(name) {
                    let found: Vec<Value> = elements(member(header, name).unwrap())
                        .map(|element| serde_json::from_str(element).unwrap())
                        .collect();
                    prop_assert_eq!(&found, array);
                }
                let expected = object.get(name).and_then(Value::as_str);
                let found = text_of(header, name);
                prop_assert_eq!(found.as_deref(), expected);
            }
        }

        #[test]
        fn foreign_texts_never_panic(text in ".{0,60}", name in "[a-z]{0,3}") {
            let _ = member(&text, &name).map(|value| elements(value).count());
            let _ = text_of(&text, &name);
        }
    }
}
