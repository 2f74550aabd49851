//! The native claims that every installation has: fixed ids, fixed names.
//!
//! The contract lists them by what the reference's console shows; it leaves their ids and names open. Names are OpenID
//! Connect's where it has one (OpenID Connect Core 1.0 section 5.1), else in the same style. An id never changes.

/// Id, name in documents, name for people; in order of the latter.
pub const BUILT_IN: [(&str, &str, &str); 19] = [
    ("builtin-locality", "locality", "City"),
    ("builtin-company", "company", "Company"),
    ("builtin-country", "country", "Country"),
    ("builtin-department", "department", "Department"),
    ("builtin-email", "email", "Email"),
    ("builtin-family-name", "family_name", "Family name"),
    ("builtin-gender", "gender", "Gender"),
    ("builtin-gender-custom", "gender_custom", "Gender (custom)"),
    ("builtin-given-name", "given_name", "Given name"),
    ("builtin-job-title", "job_title", "Job title"),
    ("builtin-middle-name", "middle_name", "Middle name"),
    ("builtin-nickname", "nickname", "Nickname"),
    ("builtin-phone-number", "phone_number", "Phone number"),
    ("builtin-picture", "picture", "Picture"),
    ("builtin-postal-code", "postal_code", "Postal code"),
    ("builtin-region", "region", "Region"),
    ("builtin-street-address", "street_address", "Street address"),
    ("builtin-user-id", "user_id", "User ID"),
    ("builtin-username", "username", "Username"),
];

/// Longest name of a claim, in characters (contract: 256).
pub const MAX_NAME: usize = 256;

/// Whether a claim of one's own may have this name: the contract's `^[a-zA-Z][a-zA-Z0-9_!#$&'()*+,/:;=?@\[\].]*$`, of at
/// most [`MAX_NAME`] characters. What events carry may have other names, too.
pub fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_!#$&'()*+,/:;=?@[].".contains(&b);
    name.len() <= MAX_NAME && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(fits)
}

/// The name of the built-in claim with this id.
pub fn name_of(id: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(each, _, _)| *each == id).map(|(_, name, _)| *name)
}

/// The id of the built-in claim with this name.
pub fn id_of(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(_, each, _)| *each == name).map(|(id, _, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_the_name_and_leads_back_to_it() {
        for (id, name, _) in BUILT_IN {
            assert_eq!(id, format!("builtin-{}", name.replace('_', "-")));
            assert!(id.len() <= 36, "the contract's ids have at most 36 characters: {id}");
            assert_eq!((name_of(id), id_of(name)), (Some(name), Some(id)));
        }
        assert_eq!((name_of("builtin-"), id_of("")), (None, None));
    }

    #[test]
    fn names_are_those_of_the_contract() {
        for name in ["a", "Z9", "a_!#$&'()*+,/:;=?@[].", "http://example.com/roles", &"n".repeat(256)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "_a", "a-b", "a b", "a\n", "a\"", "a\\", "a~", "ä", "aä", &"n".repeat(257)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(BUILT_IN.iter().all(|(_, name, _)| is_name(name)));
    }

    #[test]
    fn claims_are_listed_by_what_people_read() {
        assert!(BUILT_IN.is_sorted_by_key(|(_, _, display)| display));
    }
}
