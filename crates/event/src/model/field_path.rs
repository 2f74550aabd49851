//! Where in a JSON text a parser stopped, in the words of its producer: `actor.location.properties.city`.

/// One step of a path.
enum Step {
    /// Within an object, at this key; empty before the first one.
    Key(String),
    /// Within an array, at this element.
    Element(usize),
}

/// The path of the value (or key) that ends where `error` happened. Empty at the text's outermost value.
pub(super) fn of_error(json: &str, error: &serde_json::Error) -> String {
    let before: usize = json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    path_at(json.as_bytes().get(..before + error.column()).unwrap_or(json.as_bytes()))
}

/// The path at the end of the beginning of a JSON text.
fn path_at(beginning: &[u8]) -> String {
    let mut steps: Vec<Step> = Vec::new();
    let mut expects_key = false;
    let mut at = 0;
    while let Some(byte) = beginning.get(at) {
        match byte {
            b'{' => {
                steps.push(Step::Key(String::new()));
                expects_key = true;
            }
            b'[' => {
                steps.push(Step::Element(0));
                expects_key = false;
            }
            b'}' | b']' => drop(steps.pop()),
            b':' => expects_key = false,
            b',' => match steps.last_mut() {
                Some(Step::Element(nth)) => *nth += 1,
                Some(Step::Key(_)) => expects_key = true,
                None => {}
            },
            b'"' => {
                let text = quoted(beginning.get(at + 1..).unwrap_or_default());
                at += text.len() + 1;
                if expects_key && let Some(Step::Key(key)) = steps.last_mut() {
                    *key = String::from_utf8_lossy(text).into_owned();
                }
            }
            _ => {}
        }
        at += 1;
    }
    let mut path = String::new();
    for step in steps {
        let joint = if path.is_empty() { "" } else { "." };
        path = match step {
            Step::Element(nth) => format!("{path}[{nth}]"),
            Step::Key(key) if key.is_empty() => path,
            Step::Key(key) => format!("{path}{joint}{key}"),
        };
    }
    path
}

/// The bytes up to the closing quote, their escapes not undone.
fn quoted(text: &[u8]) -> &[u8] {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_where_the_text_ends() {
        for (beginning, path) in [
            ("", ""),
            ("{", ""),
            (r#"{"a""#, "a"),
            (r#"{"a":1"#, "a"),
            (r#"{"a":{"b":[1,"x,y",{"c":"}"#, "a.b[2].c"),
            (r#"{"a":{"b":1},"d":"\"{""#, "d"),
            (r#"{"a":[1,2]}"#, ""),
            ("[0,[1", "[1][0]"),
        ] {
            assert_eq!(path_at(beginning.as_bytes()), path, "{beginning}");
        }
    }
}
