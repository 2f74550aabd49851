//! The code table against the list that Auth0 has published.

use std::collections::BTreeSet;

use event::model::Outcome;
use sources::auth0::codes::CODES;

use super::material::data_file;

#[test]
fn the_table_has_exactly_the_published_codes() {
    let published = data_file("auth0-log-types.csv");
    let published: BTreeSet<&str> =
        published.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    let ours: BTreeSet<&str> = CODES.iter().map(|row| row.code).collect();
    assert_eq!(ours, published);
    assert_eq!(CODES.len(), published.len(), "a code occurs twice");
}

#[test]
fn outcomes_agree_with_what_the_published_category_says() {
    let published = data_file("auth0-log-types.csv");
    let mut judged = 0;
    for row in &CODES {
        let line = published.lines().find(|line| line.starts_with(&format!("{},", row.code))).unwrap();
        if row.code == "feta" {
            continue; // A failed exchange by its name and description, filed by Auth0 under successes.
        }
        let says = |end: &str| line.split(',').any(|cell| !cell.contains(' ') && cell.ends_with(end));
        if says("-success") || says("-fail") {
            let expected = if says("-success") { Outcome::Success } else { Outcome::Failure };
            assert_eq!(row.outcome(), expected, "{}", row.code);
            judged += 1;
        }
    }
    assert!(judged > 80, "{judged}");
}
