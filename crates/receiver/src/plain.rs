//! Any other server: a JSON array of documents, or documents one after another.

use serde_json::value::RawValue;

use crate::check::{self, Json};
use crate::reading::{Document, Reading};

/// Reads the documents of a body; fails, with a description, when any is not valid.
pub(crate) fn read(body: &[u8], checks: bool) -> Result<Reading<'_>, String> {
    let documents: Vec<&RawValue> = if body.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(body).map_err(|error| error.to_string())?
    } else {
        let documents = serde_json::Deserializer::from_slice(body).into_iter();
        documents.collect::<Result<_, _>>().map_err(|error| error.to_string())?
    };
    let mut reading = Reading::default();
    for (at, document) in documents.into_iter().enumerate() {
        let bytes = document.get().as_bytes();
        let id = if checks {
            let (id, problems) = check::document(&Json::parse(bytes)?);
            reading.problems.extend(problems.into_iter().map(|problem| format!("event {at}: {problem}")));
            id
        } else {
            let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            document.id()
        };
        reading.add(id, bytes);
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_lines_are_read_and_anything_else_refused() {
        let one = r#"{"eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51","a":[1]}"#;
        for body in [format!("[{one},{one}]"), format!("{one}\n{one}\n")] {
            for checks in [false, true] {
                let reading = read(body.as_bytes(), checks).unwrap();
                assert_eq!(reading.pieces.iter().filter(|piece| piece.id.is_some()).count(), 2, "{body}");
            }
        }
        for body in ["[{}", "{\"a\":", "nonsense", "[1]"] {
            assert!(read(body.as_bytes(), false).is_err(), "{body}");
        }
    }
}
