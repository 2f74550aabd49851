//! Elasticsearch's part of a configuration.

use event::Stream;
use serde_json::{Map, Value};
use url::Url;

use super::lookup;
use crate::fields::{Address, Fields};
use crate::registry::SettingsError;
use crate::streams::short_name;

/// What is kept of an answer: one short entry for every item, in order, and nothing of the documents.
const FILTER: &str = "filter_path=took,errors,items.*._id,items.*.status,items.*.error.type,items.*.error.reason,\
                      items.*.error.caused_by.reason,items.*.failure_store";

/// How the credential is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthScheme {
    /// An API key: `id:key`, or already encoded.
    #[default]
    ApiKey,
    /// `user:password`.
    Basic,
    /// A token.
    Bearer,
}

const SCHEMES: [(&str, AuthScheme); 3] =
    [("apiKey", AuthScheme::ApiKey), ("basic", AuthScheme::Basic), ("bearer", AuthScheme::Bearer)];

impl AuthScheme {
    /// The scheme with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        SCHEMES.iter().find(|(each, _)| *each == name).map(|(_, scheme)| *scheme)
    }
}

/// Where to, and into which index. Lengths in characters, from the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The cluster's address, or a full endpoint that ends in `_bulk`. Its query, such as `pipeline=…`, is kept.
    pub url: Address,
    /// The index or data stream, 1 to 200. When absent: the one that the endpoint names, else a data stream for each
    /// stream, `logs-idstream.{account|audit|hook}-default`.
    pub index: Option<String>,
    /// How the credential is presented.
    pub auth_scheme: AuthScheme,
}

impl Settings {
    pub(crate) fn parse(configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        let mut fields = Fields::of(configuration);
        let url = fields.url();
        let index = fields.text("index", 1, 200);
        if let Some(message) = index.and_then(unfit) {
            fields.complain("index", message);
        }
        let auth_scheme = fields.choice("authScheme", &SCHEMES);
        let made = url.zip(auth_scheme).map(|(url, auth_scheme)| Self {
            url,
            index: index.map(ToOwned::to_owned),
            auth_scheme,
        });
        fields.finish(made)
    }

    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("url".to_owned(), self.url.as_str().into());
        if let Some(index) = &self.index {
            object.insert("index".to_owned(), index.as_str().into());
        }
        if self.auth_scheme != AuthScheme::default() {
            let name = SCHEMES.iter().find(|(_, scheme)| *scheme == self.auth_scheme).map(|(name, _)| *name);
            object.insert("authScheme".to_owned(), name.into());
        }
        object
    }

    /// The bulk endpoint: completed when the address ends before it, with the filter that keeps answers short.
    pub(crate) fn endpoint(&self) -> Url {
        let mut endpoint = self.url.url().clone();
        let path = self.url.url().path().trim_end_matches('/').to_owned();
        endpoint.set_path(&if names_bulk(&path) { path } else { format!("{path}/_bulk") });
        let own = endpoint.query().unwrap_or_default().split('&');
        let kept: Vec<&str> = own
            .filter(|pair| !pair.is_empty() && !pair.starts_with("filter_path="))
            .chain([FILTER])
            .collect();
        endpoint.set_query(Some(&kept.join("&")));
        endpoint
    }

    /// Where the stored events of a stream are searched for: in the index or data stream that they are sent to. `None` when
    /// its name depends on the day.
    pub(crate) fn search(&self, stream: Stream) -> Option<Url> {
        if self.has_date_math() {
            return None;
        }
        let mut search = self.url.url().clone();
        let path = search.path().trim_end_matches('/');
        let above = path.strip_suffix("/_bulk").unwrap_or(path).to_owned();
        search.set_path(&match self.index_of(stream) {
            Some(index) if self.url_names_index() => {
                // The action names another index than the endpoint, and is the one that counts.
                let (above, _) = above.rsplit_once('/').unwrap_or_default();
                format!("{above}/{index}/_search")
            }
            Some(index) => format!("{above}/{index}/_search"),
            None => format!("{above}/_search"),
        });
        search.set_query(Some(lookup::QUERY));
        Some(search)
    }

    /// Whether the name of the index depends on the day.
    pub(crate) fn has_date_math(&self) -> bool {
        self.index.as_deref().is_some_and(is_date_math)
    }

    /// The index or data stream that the actions of a stream name; `None` where the endpoint does.
    pub(super) fn index_of(&self, stream: Stream) -> Option<String> {
        match &self.index {
            Some(index) => Some(index.clone()),
            None if self.url_names_index() => None,
            None => Some(format!("logs-idstream.{}-default", short_name(stream))),
        }
    }

    /// Whether the endpoint itself names the index (`/index/_bulk`), so that actions need not.
    pub(crate) fn url_names_index(&self) -> bool {
        let path = self.url.url().path().trim_end_matches('/');
        names_bulk(path) && path != "/_bulk"
    }
}

fn is_date_math(index: &str) -> bool {
    index.starts_with('<') && index.ends_with('>')
}

fn names_bulk(path: &str) -> bool {
    path.ends_with("/_bulk")
}

/// What is wrong with an index name. Date math (`<logs-{now/d}>`) is left to the cluster.
pub(super) fn unfit(index: &str) -> Option<&'static str> {
    if is_date_math(index) {
        return None;
    }
    let forbidden = |c: char| c.is_whitespace() || "\\/*?\"<>|,#:".contains(c);
    if index.chars().any(char::is_uppercase) {
        Some("must be lower case")
    } else if index.starts_with(['-', '_', '+']) || matches!(index, "." | "..") || index.contains(forbidden) {
        Some("must not start with - _ + nor contain spaces or any of \\ / * ? \" < > | , # :")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_completed_and_an_endpoint_kept() {
        for (given, endpoint, names_index) in [
            ("https://e:9200", "https://e:9200/_bulk", false),
            ("https://e/_bulk", "https://e/_bulk", false),
            ("https://e/_bulk/", "https://e/_bulk", false),
            ("https://gateway/search/", "https://gateway/search/_bulk", false),
            ("https://e/audit/_bulk", "https://e/audit/_bulk", true),
        ] {
            let settings = Settings::parse(&json!({ "url": given })).unwrap();
            assert_eq!(settings.endpoint().as_str(), format!("{endpoint}?{FILTER}"));
            assert_eq!(settings.url_names_index(), names_index, "{given}");
        }
    }

    #[test]
    fn events_are_searched_for_where_they_are_sent() {
        for (given, searched) in [
            (json!({"url": "https://e:9200"}), "https://e:9200/logs-idstream.audit-default/_search"),
            (json!({"url": "https://e/", "index": "i"}), "https://e/i/_search"),
            (json!({"url": "https://e/_bulk?pipeline=p", "index": "i"}), "https://e/i/_search"),
            (json!({"url": "https://g/search/"}), "https://g/search/logs-idstream.audit-default/_search"),
            (json!({"url": "https://e/audit/_bulk"}), "https://e/audit/_search"),
            (json!({"url": "https://g/x/audit/_bulk", "index": "i"}), "https://g/x/i/_search"),
        ] {
            let search = Settings::parse(&given).unwrap().search(Stream::AuditLog).unwrap();
            assert_eq!(search.as_str(), format!("{searched}?{}", lookup::QUERY));
        }
        let dated = json!({"url": "https://e/", "index": "<audit-{now/d}>"});
        assert_eq!(
            Settings::parse(&dated).unwrap().search(Stream::AuditLog),
            None,
            "yesterday's is elsewhere"
        );
    }

    #[test]
    fn a_query_is_kept_but_for_another_filter() {
        let given = json!({"url": "https://e/?pipeline=geo&filter_path=items"});
        let endpoint = Settings::parse(&given).unwrap().endpoint();
        assert_eq!(endpoint.as_str(), format!("https://e/_bulk?pipeline=geo&{FILTER}"));
    }

    #[test]
    fn names_that_no_index_can_have_are_refused() {
        for index in ["Upper", "a b", "a,b", "-a", "_a", "a*", "", "a\"b"] {
            let errors = Settings::parse(&json!({"url": "https://e/", "index": index})).unwrap_err();
            assert_eq!(errors[0].field, "index", "{index}");
        }
        for index in ["logs-idstream.audit-default", "<audit-{now/d}>", "a_b-c.d"] {
            assert!(Settings::parse(&json!({"url": "https://e/", "index": index})).is_ok(), "{index}");
        }
    }

    #[test]
    fn the_response_shape_is_read_back() {
        for given in [
            json!({"url": "https://e/"}),
            json!({"url": "https://e/", "index": "i", "authScheme": "basic"}),
            json!({"url": "https://e/", "authScheme": "bearer"}),
        ] {
            assert_eq!(Settings::parse(&given).unwrap().to_json(), *given.as_object().unwrap());
        }
        assert!(Settings::parse(&json!({"url": "https://e/", "authScheme": "sigv4"})).is_err());
    }
}
