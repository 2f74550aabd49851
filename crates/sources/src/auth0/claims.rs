//! Native claims: where in an item each of the built-in claims of its subject may stand.
//!
//! A claim is taken from the one event only, and only when it is about the account that the event is about. Names are
//! OpenID Connect's where it has one (OpenID Connect Core 1.0 section 5.1), else in the same style.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{is_email, is_phone, text};

/// A claim and the JSON Pointers (RFC 6901) that are tried for it, in order.
pub type Places = (&'static str, &'static [&'static str]);

/// In an account, as Auth0 writes one: pointers into `details.body` of an account event, and into the answer, then the
/// request, of a Management API call about an account. What Auth0 has no field for is looked for in `user_metadata`,
/// where applications keep it by convention.
pub const IN_ACCOUNT: [Places; 19] = [
    ("company", &["/user_metadata/company"]),
    ("country", &["/user_metadata/country", "/user_metadata/address/country"]),
    ("department", &["/user_metadata/department"]),
    ("email", &["/email"]),
    ("family_name", &["/family_name", "/user_metadata/family_name"]),
    ("gender", &["/user_metadata/gender"]),
    ("gender_custom", &["/user_metadata/gender_custom"]),
    ("given_name", &["/given_name", "/user_metadata/given_name"]),
    ("job_title", &["/user_metadata/job_title"]),
    ("locality", &["/user_metadata/locality", "/user_metadata/city", "/user_metadata/address/locality"]),
    ("middle_name", &["/user_metadata/middle_name"]),
    ("nickname", &["/nickname", "/user_metadata/nickname"]),
    ("phone_number", &["/phone_number", "/user_metadata/phone_number"]),
    ("picture", &["/picture", "/user_metadata/picture"]),
    ("postal_code", &["/user_metadata/postal_code", "/user_metadata/address/postal_code"]),
    ("region", &["/user_metadata/region", "/user_metadata/address/region"]),
    ("street_address", &["/user_metadata/street_address", "/user_metadata/address/street_address"]),
    ("user_id", &["/user_id"]),
    ("username", &["/username"]),
];

/// In an account event: pointers into the log. `/user_name` is an email address, a phone number or a user name; it
/// becomes the claim whose shape it has.
pub const IN_LOG: [Places; 4] = [
    (
        "email",
        &[
            "/user_name",
            "/details/email",
            "/details/query/email",
            "/details/invitation/invitee/email",
            "/details/to",
        ],
    ),
    (
        "phone_number",
        &[
            "/user_name",
            "/details/phone_number",
            "/details/authenticator/phone_number",
            "/details/enrollment/phone_number",
            "/details/to",
        ],
    ),
    ("user_id", &["/user_id", "/details/query/user_id"]),
    ("username", &["/user_name", "/details/query/username"]),
];

/// New values, by the code that says they were taken over.
pub const CHANGED: [(&str, &str, &str); 3] = [
    ("sce", "email", "/details/body/newEmail"),
    ("scpn", "phone_number", "/details/body/new_phone_number"),
    ("scu", "username", "/details/body/newUsername"),
];

/// In a user of SCIM (RFC 7643 sections 4.1 and 4.3): pointers into the request's body.
pub const IN_SCIM_USER: [Places; 16] = [
    ("company", &["/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/organization"]),
    ("country", &["/addresses/0/country"]),
    ("department", &["/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department"]),
    ("email", &["/emails/0/value"]),
    ("family_name", &["/name/familyName"]),
    ("given_name", &["/name/givenName"]),
    ("job_title", &["/title"]),
    ("locality", &["/addresses/0/locality"]),
    ("middle_name", &["/name/middleName"]),
    ("nickname", &["/nickName"]),
    ("phone_number", &["/phoneNumbers/0/value"]),
    ("picture", &["/photos/0/value"]),
    ("postal_code", &["/addresses/0/postalCode"]),
    ("region", &["/addresses/0/region"]),
    ("street_address", &["/addresses/0/streetAddress"]),
    ("username", &["/userName"]),
];

/// Claims by name.
pub(super) type Claims = BTreeMap<&'static str, String>;

/// The claims of an account event's subject.
pub(super) fn of_subject(code: &str, data: &Value) -> Claims {
    let mut claims = Claims::new();
    for (_, claim, pointer) in CHANGED.iter().filter(|(changed_by, _, _)| *changed_by == code) {
        claims.extend(text(data, pointer).filter(|value| fits(claim, value)).map(|value| (*claim, value)));
    }
    take(&mut claims, &IN_LOG, Some(data));
    take(&mut claims, &IN_ACCOUNT, data.pointer("/details/body"));
    if matches!(code, "sscim" | "fscim") {
        take(&mut claims, &IN_SCIM_USER, data.pointer("/details/request/body"));
    }
    claims
}

/// The claims of the account that a Management API call is about: none unless its path is `/users` or below. Bodies are
/// read only when the call worked and its path is the account itself.
pub(super) fn of_target(path: &str, has_worked: bool, data: &Value) -> Claims {
    let mut claims = Claims::new();
    let mut segments = endpoint(path);
    if segments.next() != Some("users") {
        return claims;
    }
    claims.extend(segments.next().map(|id| ("user_id", percent_decoded(id))));
    if has_worked && segments.next().is_none() {
        take(&mut claims, &IN_ACCOUNT, data.pointer("/details/response/body"));
        take(&mut claims, &IN_ACCOUNT, data.pointer("/details/request/body"));
    }
    claims
}

/// The parts of a Management API path after its version: of `/api/v2/users/x` or `/v2/users/x`, `users` and `x`.
pub(super) fn endpoint(path: &str) -> impl Iterator<Item = &str> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    parts.next_if_eq(&"api");
    parts.next_if_eq(&"v2");
    parts
}

/// Adds the claims that are not there yet.
fn take(claims: &mut Claims, places: &[Places], from: Option<&Value>) {
    let Some(from) = from else { return };
    for (claim, pointers) in places {
        if !claims.contains_key(claim) {
            let found = pointers.iter().find_map(|at| text(from, at).filter(|value| fits(claim, value)));
            claims.extend(found.map(|value| (*claim, value)));
        }
    }
}

/// Whether a value has the shape of its claim.
fn fits(claim: &str, value: &str) -> bool {
    match claim {
        "email" => is_email(value),
        "phone_number" => is_phone(value),
        "username" => !is_email(value) && !is_phone(value),
        _ => true,
    }
}

/// `auth0%7C1` is `auth0|1`. What is no escape, or would not be UTF-8, stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => nibble(*high).zip(nibble(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_name_becomes_the_claim_whose_shape_it_has() {
        let claim_of =
            |name: &str| of_subject("s", &json!({"user_name": name})).into_keys().collect::<Vec<_>>();
        assert_eq!(claim_of("ann@example.com"), ["email"]);
        assert_eq!(claim_of("+43 316 12345"), ["phone_number"]);
        assert_eq!(claim_of("ann"), ["username"]);
        assert!(claim_of("").is_empty());
    }

    #[test]
    fn a_new_value_counts_only_when_it_was_taken_over() {
        let data =
            json!({"user_name": "old@example.com", "details": {"body": {"newEmail": "new@example.com"}}});
        assert_eq!(of_subject("sce", &data)["email"], "new@example.com");
        assert_eq!(of_subject("fce", &data)["email"], "old@example.com");
    }

    #[test]
    fn only_calls_about_an_account_tell_claims_of_it() {
        let body = json!({"email": "bob@example.com", "user_metadata": {"city": "Graz"}, "name": "x"});
        let data = json!({"user_id": "auth0|admin", "user_name": "admin@example.com",
            "details": {"response": {"body": body}, "request": {"body": {"given_name": "Bob"}}}});
        let at = |path: &str, has_worked| of_target(path, has_worked, &data);
        let whole = at("/api/v2/users/auth0%7C1", true);
        let expected = [
            ("email", "bob@example.com"),
            ("given_name", "Bob"),
            ("locality", "Graz"),
            ("user_id", "auth0|1"),
        ];
        assert_eq!(whole.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(at("/api/v2/users/auth0%7C1/roles", true).into_keys().collect::<Vec<_>>(), ["user_id"]);
        assert_eq!(at("/api/v2/users/auth0%7C1", false).into_keys().collect::<Vec<_>>(), ["user_id"]);
        assert!(at("/api/v2/clients/1", true).is_empty());
        assert!(!at("/api/v2/users", true).contains_key("user_id"));
    }

    #[test]
    fn every_built_in_claim_has_a_place_and_no_other_name_occurs() {
        let mut built_in = event::claims::BUILT_IN.map(|(_, name, _)| name);
        built_in.sort_unstable();
        assert_eq!(IN_ACCOUNT.map(|(claim, _)| claim), built_in);
        let others = IN_LOG.iter().chain(&IN_SCIM_USER).map(|(claim, _)| claim);
        for claim in others.chain(CHANGED.iter().map(|(_, claim, _)| claim)) {
            assert!(built_in.contains(claim), "{claim}");
        }
    }

    #[test]
    fn escapes_are_undone_and_other_percent_signs_stay() {
        assert_eq!(percent_decoded("auth0%7c1"), "auth0|1");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%4"), "%zz%4");
        assert_eq!(percent_decoded("%ff"), "%ff");
    }
}
