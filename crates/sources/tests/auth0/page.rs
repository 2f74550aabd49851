//! The tables of `docs/sources/auth0.md` say what the code does.

use event::model::Outcome;
use sources::auth0::MAX_ITEMS;
use sources::auth0::claims::{CHANGED, IN_ACCOUNT, IN_LOG, IN_SCIM_USER, Places};
use sources::auth0::codes::{CODES, Code, Meaning};
use sources::auth0::masking::{OPEN_NAMES, REFRESH_TOKEN_FACTS, SECRET_IN_MFA, SECRET_NAMES};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sources/auth0.md");
    std::fs::read_to_string(path).unwrap()
}

fn code_row(row: &Code) -> String {
    let outcome = match row.outcome() {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Unknown => "unknown",
    };
    match row.meaning {
        Meaning::Account { kind, labels } => {
            let kind = serde_json::to_value(kind).unwrap();
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let kind = kind.as_str().unwrap();
            format!("| `{}` | `{kind}` | {} | {outcome} | {} |", row.code, labels.join(", "), row.title)
        }
        Meaning::Audit { entity_type, action, .. } => {
            let or = |text: &str, otherwise: &str| {
                if text.is_empty() { otherwise.to_owned() } else { format!("`{text}`") }
            };
            let is_call = entity_type.is_empty();
            format!(
                "| `{}` | {} | {} | {} | {} |",
                row.code,
                or(action, "by the method"),
                or(entity_type, "by the path"),
                if is_call { "by the status code" } else { outcome },
                row.title
            )
        }
    }
}

fn claim_row(claim: &str) -> String {
    let cell = |places: &[Places]| {
        let found =
            places.iter().filter(|(name, _)| *name == claim).flat_map(|(_, pointers)| pointers.iter());
        found.map(|pointer| format!("`{pointer}`")).collect::<Vec<_>>().join(" ")
    };
    format!("| `{claim}` | {} | {} | {} |", cell(&IN_LOG), cell(&IN_ACCOUNT), cell(&IN_SCIM_USER))
}

#[test]
fn every_code_has_its_row() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    for row in CODES.iter().map(code_row) {
        assert!(page.lines().any(|line| line == row), "missing: {row}");
    }
    assert!(rows >= CODES.len() + IN_ACCOUNT.len());
}

#[test]
fn every_claim_has_its_row() {
    let page = page();
    for (claim, _) in IN_ACCOUNT {
        let row = claim_row(claim);
        assert!(page.lines().any(|line| line == row), "missing: {row}");
    }
    for (code, claim, pointer) in CHANGED {
        let row = format!("| `{code}` | `{claim}` | `{pointer}` |");
        assert!(page.lines().any(|line| line == row), "missing: {row}");
    }
}

#[test]
fn every_masked_name_and_the_bound_of_items_are_told() {
    let page = page();
    for name in SECRET_NAMES.iter().chain([&SECRET_IN_MFA]).chain(&OPEN_NAMES).chain(&REFRESH_TOKEN_FACTS) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    assert_eq!(MAX_ITEMS, 10_000);
    assert!(page.contains("more than 10,000 logs"));
}
