//! The address of a forward proxy.

use url::{Host, Url};

use crate::address;
use crate::fields::{Fields, REFUSED};

/// Longest address, in characters.
const MAX: usize = 2048;
/// The port that is called when the address names none; the scheme's own, as for any URL.
const DEFAULT_PORT: u16 = 80;

/// A proxy that may be called, and how its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxyAddress {
    text: String,
    url: Url,
}

impl ProxyAddress {
    /// As its owner wrote it: what the API answers.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed form.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }
}

/// `host:port`, as errors name it.
pub(super) fn name(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(DEFAULT_PORT))
}

pub(super) fn parse(fields: &mut Fields<'_>) -> Option<ProxyAddress> {
    let text = fields.text("proxy", 1, MAX)?;
    match checked(text) {
        Ok(url) => Some(ProxyAddress { text: text.to_owned(), url }),
        Err(message) => {
            fields.complain("proxy", message);
            None
        }
    }
}

fn checked(text: &str) -> Result<Url, &'static str> {
    const FORM: &str = "must be http://host:port";
    let url = Url::parse(text).map_err(|_| FORM)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password: use proxyCredential");
    }
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if url.scheme() != "http" || matches!(url.host(), None | Some(Host::Domain(""))) || !is_bare {
        return Err(FORM);
    }
    if address::names_refused(&url) {
        return Err(REFUSED);
    }
    Ok(url)
}
