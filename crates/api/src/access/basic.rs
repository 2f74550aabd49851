//! `Authorization: Basic`: an API client's id and secret, as OAuth clients and browsers send them.

use base::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalog::{Catalog, Keyring};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::admission::{Denied, admit, live, of_token};
use super::client::{ApiClient, authenticate};

/// What `WWW-Authenticate` says where id and secret are taken.
pub(crate) const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"idstream\", charset=\"UTF-8\"");

/// The client of a request to a page: by a bearer token, or by what a browser asks its user for. Who has a token only
/// gives it as the password, under any user name.
pub(crate) fn admit_to_page(
    headers: &HeaderMap,
    catalog: &Catalog,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<ApiClient, Denied> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((id, secret)) = header.and_then(basic) else {
        return admit(headers, None, catalog, keyring, now);
    };
    let client = match authenticate(catalog, &id, &secret)? {
        Ok(client) => Ok(client),
        Err(attempt) => of_token(&secret, catalog, keyring)?.map_err(|_| attempt),
    };
    live(client, now)
}

/// Id and secret (both parts form-encoded, RFC 6749 section 2.3.1).
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded_and_cut_at_the_first_colon() {
        for (text, expected) in [
            ("id:secret", Some(("id", "secret"))),
            ("id:se:cret", Some(("id", "se:cret"))),
            ("a%20b:c%3Ad", Some(("a b", "c:d"))),
            ("id", None),
        ] {
            let header = format!("basic {}", STANDARD.encode(text));
            let expected = expected.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
            assert_eq!(basic(&header), expected, "{text}");
        }
        for header in ["Bearer x", "Basic", "Basic ###", ""] {
            assert_eq!(basic(header), None, "{header}");
        }
    }
}
