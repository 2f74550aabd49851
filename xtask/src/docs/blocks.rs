//! The examples in a document: which blocks they are, what they answer, and whether an answer is the stated one.

use serde_json::Value;

/// How a block says that it is not run, on the last line before it.
const NOT_RUN: &str = "<!-- not run: ";

/// An example that can be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where its fence is, from 1.
    pub(super) line: usize,
    /// What is typed.
    pub(super) script: String,
    /// What the document says that it answers, in which `…` stands for anything.
    pub(super) answer: Option<Value>,
}

/// The blocks of shell with a `curl` in them, but for those that say why they are not run. A block marked `json answer`
/// is what the last one before it answers. Fails when such an answer is no JSON, or belongs to no example.
pub(super) fn parse(document: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = document.lines().enumerate();
    let (mut before, mut is_run) = ("", false);
    while let Some((at, line)) = lines.next() {
        let Some(kind) = line.trim_start().strip_prefix("```") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let inside: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_start() != "```").collect();
        let inside = inside.join("\n");
        match kind {
            "sh" if inside.contains("curl ") => {
                is_run = !before.starts_with(NOT_RUN);
                if is_run {
                    blocks.push(Block { line: at + 1, script: inside, answer: None });
                }
            }
            "json answer" => {
                let block = blocks.last_mut().filter(|block| is_run && block.answer.is_none());
                let block = block.ok_or_else(|| format!("line {}: an answer to no example", at + 1))?;
                let stated = serde_json::from_str(&inside);
                block.answer = Some(stated.map_err(|error| format!("line {}: not JSON: {error}", at + 1))?);
            }
            _ => {}
        }
        before = "";
    }
    Ok(blocks)
}

/// The script with the stand-in's address in place of every host below `example.com`: nothing else is called.
pub(super) fn localised(script: &str, receiver: &str) -> String {
    let mut pieces = script.split("https://");
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end =
            piece.find(|c: char| !c.is_ascii_alphanumeric() && !".-:".contains(c)).unwrap_or(piece.len());
        let (host, rest) = piece.split_at(end);
        let is_example = host.split(':').next().is_some_and(|name| name.ends_with("example.com"));
        result.push_str(if is_example { receiver } else { "https://" });
        result.push_str(if is_example { "" } else { host });
        result.push_str(rest);
    }
    result
}

/// Whether an answer is the stated one: every member that is stated is there and alike.
pub(super) fn compare(stated: &Value, answer: &str) -> Result<(), String> {
    let answer: Value =
        serde_json::from_str(answer).map_err(|error| format!("the answer is no JSON: {error}"))?;
    alike(stated, &answer, "")
}

fn alike(stated: &Value, found: &Value, path: &str) -> Result<(), String> {
    let differs = || Err(format!("{path} is stated as {stated}, but is {found}"));
    match (stated, found) {
        (Value::Object(stated), Value::Object(found)) => stated.iter().try_for_each(|(name, value)| {
            let path = format!("{path}/{name}");
            if name == "…" { Ok(()) } else { alike(value, found.get(name).unwrap_or(&Value::Null), &path) }
        }),
        (Value::Array(stated), Value::Array(found)) if stated.len() == found.len() => {
            let mut pairs = stated.iter().zip(found).enumerate();
            pairs.try_for_each(|(at, (stated, found))| alike(stated, found, &format!("{path}/{at}")))
        }
        (Value::String(text), _) if text == "…" && !found.is_null() => Ok(()),
        (Value::String(text), Value::String(found)) if is_like(text, found) => Ok(()),
        _ if stated == found => Ok(()),
        _ => differs(),
    }
}

/// Whether a text is the stated one, in which each `…` stands for anything.
fn is_like(stated: &str, found: &str) -> bool {
    let mut pieces = stated.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn examples_are_the_blocks_with_a_call_and_their_answers() {
        let document = "# A\n\n```sh\ncurl -s a\ncurl -s b\n```\n\nIt says\n\n```json answer\n{\"a\": \"…\"}\n```\n\n\
                        <!-- not run: it needs a certificate -->\n```sh\ncurl c\n```\n\n```sh\nls\n```\n```json\n{}\n```\n";
        let blocks = parse(document).unwrap();
        let script = "curl -s a\ncurl -s b".to_owned();
        assert_eq!(blocks, [Block { line: 3, script, answer: Some(json!({"a": "…"})) }]);
    }

    #[test]
    fn an_answer_that_cannot_be_compared_is_an_error() {
        for document in [
            "```json answer\n{}\n```\n",
            "```sh\ncurl a\n```\n```json answer\n{…}\n```\n",
            "<!-- not run: x -->\n```sh\ncurl a\n```\n```json answer\n{}\n```\n",
        ] {
            assert!(parse(document).is_err(), "{document}");
        }
    }

    #[test]
    fn only_hosts_of_examples_become_the_stand_in() {
        let script = "curl https://a.example.com:8088/x https://example.com\" https://shop.auth0.com/ https://notexample.org";
        let expected = "curl http://r/x http://r\" https://shop.auth0.com/ https://notexample.org";
        assert_eq!(localised(script, "http://r"), expected);
    }

    #[test]
    fn a_text_is_like_the_stated_one_but_where_it_may_differ() {
        for (stated, found, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a…", "ab", true),
            ("…b", "ab", true),
            ("a…c…e", "abcde", true),
            ("a…c…e", "abde", false),
            ("a…a", "a", false),
        ] {
            assert_eq!(is_like(stated, found), expected, "{stated} {found}");
        }
    }

    #[test]
    fn an_answer_may_hold_more_than_is_stated_but_nothing_else() {
        let stated = json!({"a": 1, "b": ["x…", {"c": "…"}], "…": "…"});
        assert_eq!(compare(&stated, r#"{"a": 1, "b": ["xyz", {"c": [2]}], "d": 3}"#), Ok(()));
        for wrong in [
            r#"{"a": 2, "b": ["xyz", {"c": 1}]}"#,
            r#"{"a": 1, "b": ["xyz"]}"#,
            r#"{"a": 1, "b": ["y", {"c": 1}]}"#,
            r#"{"a": 1, "b": ["x", {}]}"#,
            "[]",
            "",
        ] {
            assert!(compare(&stated, wrong).is_err(), "{wrong}");
        }
    }
}
