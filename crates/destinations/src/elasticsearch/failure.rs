//! What a cluster says about a failure, and whether it is the document's or the setup's.

use std::borrow::Cow;

use serde::Deserialize;

use crate::reason::Hush;

#[derive(Deserialize)]
pub(super) struct Failure<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    /// Elasticsearch 7 says only here what "failed to parse" is about.
    #[serde(borrow, default)]
    caused_by: Option<Cause<'a>>,
}

#[derive(Deserialize)]
struct Cause<'a> {
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

/// Failures of one document that stay whatever is tried.
const OF_THE_DOCUMENT: [&str; 12] = [
    "document_parsing_exception",
    "illegal_argument_exception",
    "input_coercion_exception",
    "json_parse_exception",
    "mapper_parsing_exception",
    "max_bytes_length_exceeded_exception",
    "not_x_content_exception",
    "number_format_exception",
    "parse_exception",
    "parsing_exception",
    "strict_dynamic_mapping_exception",
    "x_content_parse_exception",
];

/// How reasons of these kinds begin when every document would fail, until an operator makes room or mends the setup.
/// Only beginnings: further on, a reason can repeat names and values of the document.
const OF_THE_SETUP: [&str; 14] = [
    "Failed to parse mapping",
    "Limit of dimension fields",
    "Limit of nested fields",
    "Limit of total fields",
    "Number of documents in the index can't exceed",
    "Rejecting mapping update",
    "Validation Failed",
    "alias [",
    "no handler found",
    "no write index",
    "only write ops with an op_type of create",
    "pipeline with id",
    "request [/",
    "unknown setting",
];

impl Failure<'_> {
    /// Whether it is of this document alone, and stays whatever is tried.
    pub(super) fn is_of_the_document(&self) -> bool {
        OF_THE_DOCUMENT.contains(&&*self.kind)
            && !self.reason.as_deref().is_some_and(is_of_the_setup)
            && self.cause_in_the_setup().is_none()
    }

    /// Its words, fit to be kept.
    pub(super) fn words(&self, hush: &Hush) -> String {
        let words = [Some(&*self.kind), self.reason.as_deref(), self.cause_in_the_setup()];
        hush.reason(&words.into_iter().flatten().collect::<Vec<_>>().join(": "))
    }

    /// What a cause says that is of the setup. Other causes say nothing that must be known, and may repeat values.
    fn cause_in_the_setup(&self) -> Option<&str> {
        self.caused_by.as_ref()?.reason.as_deref().filter(|reason| is_of_the_setup(reason))
    }
}

/// Elasticsearch 8 puts `[1:6347] failed to parse: ` before what it is about.
fn is_of_the_setup(reason: &str) -> bool {
    let said = reason.split_once("] ").filter(|(place, _)| is_place(place)).map_or(reason, |(_, said)| said);
    let said = said.strip_prefix("failed to parse: ").unwrap_or(said);
    OF_THE_SETUP.iter().any(|words| said.starts_with(words))
}

fn is_place(text: &str) -> bool {
    text.strip_prefix('[').is_some_and(|place| place.chars().all(|c| c.is_ascii_digit() || c == ':'))
}
