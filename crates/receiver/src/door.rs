//! Who may come in: any credential, or one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Why a request stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// No credential.
    Missing,
    /// Not of the collector's form.
    Invalid,
    /// Another credential.
    Wrong,
}

impl Outside {
    pub(crate) const fn hec_code(self) -> u32 {
        match self {
            Self::Missing => 2,
            Self::Invalid => 3,
            Self::Wrong => 4,
        }
    }
}

/// Checks a collector's `Authorization: Splunk TOKEN`.
pub(crate) fn hec(headers: &HeaderMap, token: Option<&str>) -> Result<(), Outside> {
    let Some(token) = token else { return Ok(()) };
    let sent = headers.get(AUTHORIZATION).ok_or(Outside::Missing)?.to_str().map_err(|_| Outside::Invalid)?;
    let sent = sent.strip_prefix("Splunk ").ok_or(Outside::Invalid)?;
    if sent == token { Ok(()) } else { Err(Outside::Wrong) }
}

/// Checks any other server's credential: the token, plain or in base64, alone or after a scheme, in any header.
pub(crate) fn other(headers: &HeaderMap, token: Option<&str>) -> Result<(), Outside> {
    let Some(token) = token else { return Ok(()) };
    let encoded = STANDARD.encode(token);
    let fits = |sent: &str| sent == token || sent == encoded;
    let sent = headers.values().filter_map(|value| value.to_str().ok());
    if sent.into_iter().any(|sent| fits(sent) || sent.split_once(' ').is_some_and(|(_, sent)| fits(sent))) {
        Ok(())
    } else {
        Err(Outside::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_collector_wants_the_word_splunk() {
        let check = |value: &str| hec(&headers("authorization", value), Some("t1"));
        assert_eq!(check("Splunk t1"), Ok(()));
        assert_eq!(check("Bearer t1"), Err(Outside::Invalid));
        assert_eq!(check("Splunk t2"), Err(Outside::Wrong));
        assert_eq!(hec(&HeaderMap::new(), Some("t1")), Err(Outside::Missing));
        assert_eq!(hec(&HeaderMap::new(), None), Ok(()));
    }

    #[test]
    fn other_servers_take_the_token_in_any_of_its_forms() {
        for (name, value) in
            [("authorization", "ApiKey aWQ6a2V5"), ("authorization", "Bearer id:key"), ("x-key", "id:key")]
        {
            assert_eq!(other(&headers(name, value), Some("id:key")), Ok(()), "{value}");
        }
        assert_eq!(other(&headers("x-key", "id"), Some("id:key")), Err(Outside::Wrong));
    }
}
