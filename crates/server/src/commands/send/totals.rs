//! What an answer says about each line of a request, and the sums over all of them.

use destinations::Answer;
use serde::Deserialize;

use super::lines::{Batch, Refused};

/// What has become of the file so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { accepted, duplicates, refused } = self;
        write!(f, "{accepted} accepted, {duplicates} of them stored before, {refused} refused")
    }
}

/// A receipt, or an error that idstream tells. Any other text has none of these members.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answered {
    Receipt {
        accepted: Vec<Stored>,
        rejected: Vec<Rejected>,
    },
    Error {
        #[serde(rename = "errorKey")]
        _key: String,
        #[serde(default)]
        detail: String,
    },
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Rejected {
    index: usize,
    #[serde(default)]
    field: Option<String>,
    detail: String,
}

impl Totals {
    /// Counts the answer to a request; the lines of it that were refused. `None` when the answer is not idstream's: it says
    /// nothing about the lines, and good ones must not be taken for refused.
    pub(super) fn add(&mut self, batch: Batch, answer: &Answer) -> Option<Vec<Refused>> {
        let refused = match serde_json::from_slice::<Answered>(&answer.body).ok()? {
            Answered::Receipt { accepted, rejected } => {
                self.accepted += accepted.len() as u64;
                self.duplicates += accepted.iter().filter(|stored| stored.duplicate).count() as u64;
                singly_refused(batch, rejected)
            }
            Answered::Error { detail, .. } => all_refused(batch, &detail),
        };
        self.refused += refused.len() as u64;
        Some(refused)
    }
}

/// A request that was refused as a whole: that is all of its lines.
fn all_refused(batch: Batch, detail: &str) -> Vec<Refused> {
    let reason = format!("refused together with the lines around it: {detail}");
    batch.lines.into_iter().map(|line| Refused { line, reason: reason.clone() }).collect()
}

fn singly_refused(batch: Batch, rejected: Vec<Rejected>) -> Vec<Refused> {
    let mut lines: Vec<_> = batch.lines.into_iter().map(Some).collect();
    let refused = rejected.into_iter().filter_map(|rejected| {
        let line = lines.get_mut(rejected.index)?.take()?;
        let field = rejected.field.map(|field| format!("{field}: ")).unwrap_or_default();
        Some(Refused { line, reason: format!("{field}{}", rejected.detail) })
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::super::lines::Lines;
    use super::super::naming::Names;
    use super::*;

    fn add(body: &str) -> Option<(Totals, Vec<(u64, String)>)> {
        let file = &b"{}\n\n{}\n{}"[..];
        let mut lines = Lines::new(file, Names::new("t", String::new()));
        let batch = Batch { lines: lines.next_portion(10).unwrap().unwrap().lines };
        let answer = Answer {
            status: 200,
            retry_after: None,
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let mut totals = Totals::default();
        let refused = totals.add(batch, &answer)?;
        Some((totals, refused.into_iter().map(|refused| (refused.line.number, refused.reason)).collect()))
    }

    #[test]
    fn refused_events_are_told_by_their_lines() {
        let (totals, refused) = add(r#"{"accepted":[{"index":0},{"index":1,"duplicate":true}],
                "rejected":[{"index":2,"errorKey":"invalidEvent","field":"date","detail":"is required"}]}"#)
        .unwrap();
        assert_eq!(totals, Totals { accepted: 2, duplicates: 1, refused: 1 });
        assert_eq!(refused, [(4, "date: is required".to_owned())]);
    }

    #[test]
    fn a_request_that_is_refused_as_a_whole_counts_each_of_its_lines() {
        let (totals, refused) = add(r#"{"errorKey":"invalidRequest","detail":"no good"}"#).unwrap();
        assert_eq!((totals.refused, refused.len()), (3, 3));
        assert_eq!(refused[1], (3, "refused together with the lines around it: no good".to_owned()));
    }

    #[test]
    fn an_answer_that_is_not_idstreams_refuses_no_line() {
        for body in
            ["", "<html>", "null", "[]", "{}", r#"{"status":400,"detail":"no good"}"#, r#"{"accepted":1}"#]
        {
            assert_eq!(add(body), None, "{body}");
        }
    }
}
