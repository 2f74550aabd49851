//! The code table is whole, and its rows are what the rest of the product takes.

use std::collections::BTreeSet;

use event::model::{AccountEvent, Outcome};
use sources::auth0::codes::{CODES, Meaning, find};

use super::shared::data_file;

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
fn every_code_is_found_and_no_other() {
    assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
    for row in &CODES {
        assert_eq!(find(row.code), Some(row));
    }
    for code in ["", "S", "sap", "sapii", "zz"] {
        assert_eq!(find(code), None, "{code}");
    }
}

#[test]
fn every_label_is_one_that_the_model_takes() {
    for row in &CODES {
        let Meaning::Account { kind, labels } = row.meaning else { continue };
        let mut event = AccountEvent::new(kind, base::Timestamp::default());
        event.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(event.outcome(), row.outcome(), "{}", row.code);
        event.into_draft().unwrap_or_else(|error| panic!("{}: {error}", row.code));
    }
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

#[test]
fn what_touches_the_configuration_is_an_audit_log() {
    let audit: Vec<&str> =
        CODES.iter().filter(|row| matches!(row.meaning, Meaning::Audit { .. })).map(|row| row.code).collect();
    assert_eq!(
        audit,
        [
            "custom_domain_verification_failed",
            "fcpro",
            "gd_tenant_update",
            "kms_key_management_failure",
            "kms_key_management_success",
            "kms_key_state_changed",
            "mgmt_api_read",
            "sapi",
            "ss_sso_failure",
            "ss_sso_info",
            "ss_sso_success",
        ]
    );
}
