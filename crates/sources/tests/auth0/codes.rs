//! The code table is whole, and its rows are what the rest of the product takes.

use event::model::AccountEvent;
use sources::auth0::codes::{CODES, Meaning, find};

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
