//! Looks single values up in an event's header without parsing the rest. A header is canonical JSON: no spaces, unique
//! keys. Bytes that are no such thing give no value, or a wrong one; they never panic.

use std::borrow::Cow;

/// A header that is walked through once, as far as what is asked for.
pub(crate) struct Header<'a> {
    seen: Vec<&'a str>,
    rest: Parts<'a>,
}

impl<'a> Header<'a> {
    /// Of an object's members, without their braces.
    pub(crate) fn of(members: &'a str) -> Self {
        Self { seen: Vec::new(), rest: Parts::of(members) }
    }

    /// The value of a member, as it is spelled.
    pub(crate) fn member(&mut self, name: &str) -> Option<&'a str> {
        if let Some(value) = self.seen.iter().find_map(|part| value_of(part, name)) {
            return Some(value);
        }
        let seen = &mut self.seen;
        self.rest.find_map(|part| {
            seen.push(part);
            value_of(part, name)
        })
    }

    /// The text of a member.
    pub(crate) fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        text(self.member(name)?)
    }

    /// The text of a member of a member.
    pub(crate) fn text_in(&mut self, name: &str, inner: &str) -> Option<Cow<'a, str>> {
        let inside = self.member(name)?.strip_prefix('{')?.strip_suffix('}')?;
        text(Parts::of(inside).find_map(|part| value_of(part, inner))?)
    }
}

/// The elements of a spelled array, as they are spelled.
pub(crate) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let inside = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    Parts::of(inside.unwrap_or_default())
}

/// The text that is spelled. Nearly every one is spelled as it is, and borrowed.
pub(crate) fn text(spelled: &str) -> Option<Cow<'_, str>> {
    let inside = spelled.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(spelled).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

fn value_of<'a>(part: &'a str, name: &str) -> Option<&'a str> {
    part.strip_prefix('"')?.strip_prefix(name)?.strip_prefix("\":")
}

/// What stands between the commas that belong to no inner array, object or text.
struct Parts<'a>(Option<&'a str>);

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        Self(Some(text).filter(|text| !text.is_empty()))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.take()?;
        let Some(at) = end_of_part(text) else { return Some(text) };
        self.0 = text.get(at + 1..);
        text.get(..at)
    }
}

fn end_of_part(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match bytes.get(at)? {
            b'"' => at = end_of_text(bytes, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// Where the quote is that ends the text which begins at `at`.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        match bytes.get(at)? {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
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
        let mut header = Header::of(header);
        assert_eq!(header.text("type").as_deref(), Some("z"));
        assert_eq!(header.text_in("a", "type").as_deref(), Some("x"));
        assert_eq!(header.text("n"), None);
        assert_eq!(header.member("typ"), None);
        assert_eq!(header.member("n"), Some("7"));
    }

    proptest! {
        #[test]
        fn what_a_parser_finds_is_found(object in proptest::collection::btree_map("[a-c]{1,2}", any_value(), 0..6)) {
            let spelled = json!(object).to_string();
            let mut header = Header::of(spelled.strip_prefix('{').unwrap().strip_suffix('}').unwrap());
            for name in ["a", "b", "c", "ab", "ca"] {
                let found = header.member(name).map(|value| serde_json::from_str::<Value>(value).unwrap());
                prop_assert_eq!(found.as_ref(), object.get(name));
                if let Some(Value::Array(array)) = object.get(name) {
                    let found: Vec<Value> = elements(header.member(name).unwrap())
                        .map(|element| serde_json::from_str(element).unwrap())
                        .collect();
                    prop_assert_eq!(&found, array);
                }
                let expected = object.get(name).and_then(Value::as_str);
                let found = header.text(name);
                prop_assert_eq!(found.as_deref(), expected);
            }
        }

        #[test]
        fn foreign_texts_never_panic(text in "(.|[\"\\\\,:{}é]){0,60}", name in "[a-z]{0,3}") {
            let mut header = Header::of(&text);
            let _ = header.member(&name).map(|value| elements(value).count());
            let _ = (header.text(&name), header.text_in(&name, &name));
        }
    }
}
