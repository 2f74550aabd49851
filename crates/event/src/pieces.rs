//! Cuts a posted body into its values: an array, lines, or values one after another, told apart by looking.
//!
//! One bad line costs only itself. A body that was cut off within an array or a value is refused whole: nobody can say
//! where it would have ended. No more memory is taken than for as many values as are allowed, whatever the body holds.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One value of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A JSON value, or a line that is none.
    Text(&'a str),
    /// A line that is not UTF-8, and how many bytes of it are.
    NotText(&'a [u8], usize),
}

/// Why a whole body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// More values than are allowed.
    #[error("the body holds too many values")]
    TooMany,
    /// Neither a JSON array nor JSON values, on one line each or one after another.
    #[error("{0}")]
    Malformed(String),
}

/// Cuts `body` into at most `max` values. `are_lines`: the sender says that they are lines, so that bad ones are no reason
/// to doubt it; without it one must be a good one, and begin where its line begins.
pub fn cut(body: &[u8], are_lines: bool, max: usize) -> Result<Vec<Piece<'_>>, CutError> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii();
    let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    if first.is_empty() {
        return Err(CutError::Empty);
    }
    let starts_array = body.starts_with(b"[");
    if !starts_array && is_value(first) {
        return lines(body, max);
    }
    let cause = match if starts_array { array(body, max) } else { values(body, max) } {
        Err(CutError::Malformed(cause)) => cause,
        cut => return cut,
    };
    // The rest of an array that was cut off must not be taken for lines.
    let goes_on = matches!(first.last(), Some(b'[' | b',')) || first.len() == body.len();
    let is_array = starts_array && goes_on && !is_value(first);
    let is_good = |line: &[u8]| line.starts_with(b"{") && is_value(line.trim_ascii_end());
    let are_lines = are_lines || is_value(first) || body.split(|byte| *byte == b'\n').any(is_good);
    if are_lines && !is_array { lines(body, max) } else { Err(CutError::Malformed(cause)) }
}

fn text(bytes: &[u8]) -> Result<&str, CutError> {
    std::str::from_utf8(bytes)
        .map_err(|error| CutError::Malformed(format!("not UTF-8 after byte {}", error.valid_up_to())))
}

fn is_value(bytes: &[u8]) -> bool {
    text(bytes).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
}

/// The lines that are not blank.
fn lines(body: &[u8], max: usize) -> Result<Vec<Piece<'_>>, CutError> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    bounded(
        lines.map(|line| match std::str::from_utf8(line) {
            Ok(text) => Ok(Piece::Text(text)),
            Err(error) => Ok(Piece::NotText(line, error.valid_up_to())),
        }),
        max,
    )
}

/// Values one after another, each over as many lines as it likes.
fn values(body: &[u8], max: usize) -> Result<Vec<Piece<'_>>, CutError> {
    let values = serde_json::Deserializer::from_str(text(body)?).into_iter::<&RawValue>();
    bounded(
        values.map(|value| match value {
            Ok(value) => Ok(Piece::Text(value.get())),
            Err(error) => Err(CutError::Malformed(error.to_string())),
        }),
        max,
    )
}

fn bounded<'a>(
    pieces: impl Iterator<Item = Result<Piece<'a>, CutError>>,
    max: usize,
) -> Result<Vec<Piece<'a>>, CutError> {
    let mut taken = Vec::new();
    for piece in pieces {
        if taken.len() == max {
            return Err(CutError::TooMany);
        }
        taken.push(piece?);
    }
    Ok(taken)
}

/// The elements of an array.
pub fn array(body: &[u8], max: usize) -> Result<Vec<Piece<'_>>, CutError> {
    let mut taken = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text(body)?);
    let read =
        deserializer.deserialize_seq(Elements { taken: &mut taken, max }).and_then(|()| deserializer.end());
    match read {
        Ok(()) => Ok(taken),
        Err(_) if taken.len() > max => Err(CutError::TooMany),
        Err(error) => Err(CutError::Malformed(error.to_string())),
    }
}

/// Takes one element more than are allowed, then fails.
struct Elements<'t, 'a> {
    taken: &'t mut Vec<Piece<'a>>,
    max: usize,
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            self.taken.push(Piece::Text(element.get()));
            if self.taken.len() > self.max {
                return Err(A::Error::custom("too many elements"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str) -> Vec<&str> {
        let texts = cut(body.as_bytes(), false, 10).unwrap().into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::NotText(..) => panic!("{body}"),
        });
        texts.collect()
    }

    #[test]
    fn a_value_an_array_lines_and_values_in_a_row_are_told_apart() {
        for (body, values) in [
            (" {\"a\":1} ", vec!["{\"a\":1}"]),
            ("[{\"a\":1} , {\"b\":2}]", vec!["{\"a\":1}", "{\"b\":2}"]),
            (" [\n {\"a\":1},\n {\"b\":2}\n]\n", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("{\"a\":1}\r\n\n{\"b\":2}\n", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("\u{feff}{\"a\":1}\n{\"b\":2}", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("{\n \"a\": 1\n}\n", vec!["{\n \"a\": 1\n}"]),
            ("{\n \"a\": 1\n}\n{\n \"b\": 2\n}\n", vec!["{\n \"a\": 1\n}", "{\n \"b\": 2\n}"]),
            ("{\"a\":1}{\"b\":2}", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("[1]\n{}", vec!["[1]", "{}"]),
            ("42", vec!["42"]),
            ("[]", vec![]),
        ] {
            assert_eq!(check(body), values, "{body}");
        }
    }

    #[test]
    fn a_bad_line_wherever_it_stands_is_a_value_of_its_own() {
        for (body, values) in [
            ("{\"a\":1}\n{broken\n{\"b\":2}", vec!["{\"a\":1}", "{broken", "{\"b\":2}"]),
            ("garbage\n{\"b\":2}", vec!["garbage", "{\"b\":2}"]),
            ("{broken\n{\"b\":2}", vec!["{broken", "{\"b\":2}"]),
            ("{\"a\":1} garbage\n{\"b\":2}", vec!["{\"a\":1} garbage", "{\"b\":2}"]),
            ("[garbage\n{\"b\":2}", vec!["[garbage", "{\"b\":2}"]),
        ] {
            assert_eq!(check(body), values, "{body}");
        }
        let not_text = cut(b"\xff{}\n{\"a\":1}\n{\"a\":\"\xe9\"}", false, 10).unwrap();
        let expected =
            [Piece::NotText(b"\xff{}", 0), Piece::Text("{\"a\":1}"), Piece::NotText(b"{\"a\":\"\xe9\"}", 6)];
        assert_eq!(not_text, expected);
        let indented = b"garbage\n  {\"b\":2}";
        assert!(cut(indented, false, 10).is_err());
        assert_eq!(cut(indented, true, 10).unwrap(), [Piece::Text("garbage"), Piece::Text("{\"b\":2}")]);
        assert_eq!(cut(b"{a\n{b", true, 10).unwrap(), [Piece::Text("{a"), Piece::Text("{b")]);
    }

    #[test]
    fn what_holds_no_values_or_was_cut_off_is_refused_whole() {
        for body in ["", " \n", "\u{feff}"] {
            assert_eq!(cut(body.as_bytes(), true, 10), Err(CutError::Empty), "{body:?}");
        }
        for body in [
            "hello",
            "<html>",
            "a=b&c=d",
            "{\"a\":",
            "[{}",
            "[{\"a\":1},",
            "[\n{\"a\":1},\n{\"b\"",
            "[\n{\"a\":1}\n",
            "[{\"a\":1},\n{\"b\":2}",
            "{\n \"a\": [\n  {\"x\":1}\n",
            "{\n \"a\": 1\n}\n{\n \"b\" 2\n}\n",
        ] {
            let refused = cut(body.as_bytes(), false, 10);
            assert!(matches!(refused, Err(CutError::Malformed(_))), "{body}: {refused:?}");
        }
        for array in ["[{}", "[{\"a\":1},", "[\n{\"a\":1},\n{\"b\"", "[\n{\"a\":1}\n"] {
            assert!(cut(array.as_bytes(), true, 10).is_err(), "{array}");
        }
        let Err(CutError::Malformed(cause)) = cut(b"{\n \"a\": 1\n}\n{\n \"b\" 2\n}\n", false, 10) else {
            panic!()
        };
        assert_eq!(cause, "expected `:` at line 5 column 6");
        assert!(
            matches!(cut(b"{\"a\":\"\xff\"}", false, 10), Err(CutError::Malformed(cause)) if cause == "not UTF-8 after byte 6")
        );
    }

    #[test]
    fn reading_ends_with_the_first_value_too_many() {
        // What follows is not even looked at.
        for body in ["{}\n{}\n{}\n{broken", "{}{}{}{broken", "[{},{},{},broken", "{\n}\n{}\n{}\nbroken"] {
            assert_eq!(cut(body.as_bytes(), false, 2), Err(CutError::TooMany), "{body}");
        }
        assert_eq!(cut(b"{}\n{}", false, 2).unwrap().len(), 2);
        assert_eq!(cut(b"[{},{}]", false, 2).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic_and_values_are_parts_of_them(
            body in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"[]{},:\"a1 \r\n".to_vec())], 0..80),
            are_lines: bool,
        ) {
            for piece in cut(&body, are_lines, 5).unwrap_or_default() {
                let bytes = match piece { Piece::Text(text) => text.as_bytes(), Piece::NotText(bytes, _) => bytes };
                prop_assert!(!bytes.is_empty() && body.windows(bytes.len()).any(|part| part == bytes));
            }
        }

        #[test]
        fn any_list_of_objects_survives_each_form(texts in proptest::collection::vec(".*", 1..20)) {
            let objects: Vec<String> = texts.iter().map(|text| serde_json::json!({"t": text}).to_string()).collect();
            let pretty: Vec<String> = texts.iter().map(|text| format!("{:#}", serde_json::json!({"t": text}))).collect();
            let pieces = |body: &str| -> Vec<String> {
                let cut = cut(body.as_bytes(), false, 20).unwrap();
                cut.iter().map(|piece| match piece { Piece::Text(text) => (*text).to_owned(), Piece::NotText(..) => panic!() }).collect()
            };
            for body in [objects.join("\n"), objects.join("\r\n\r\n"), format!("[{}]", objects.join(","))] {
                prop_assert_eq!(pieces(&body), objects.clone());
            }
            prop_assert_eq!(pieces(&pretty.join("\n")), pretty);
        }
    }
}
