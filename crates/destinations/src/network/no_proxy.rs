//! Which hosts are called without the proxy.

use base::Subnet;
use serde_json::Value;
use url::{Host, Url};

use crate::fields::Fields;

/// Most entries.
const MAX: usize = 100;
/// Longest entry, in characters: no name is longer (RFC 1035 section 2.3.4).
const MAX_CHARS: usize = 253;

/// Hosts and networks, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct NoProxy {
    entries: Vec<(String, Entry)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Entry {
    /// A host and all below it.
    Name(String),
    /// An address, or a range of them.
    Network(Subnet),
}

impl NoProxy {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// As it was given.
    pub(super) fn to_json(&self) -> Value {
        self.entries.iter().map(|(text, _)| text.as_str()).collect()
    }

    /// Whether `url` is called without the proxy. A network covers hosts that are written as addresses; names are not
    /// resolved for it.
    pub(super) fn covers(&self, url: &Url) -> bool {
        self.entries.iter().any(|(_, entry)| match (entry, url.host()) {
            (Entry::Name(name), Some(Host::Domain(host))) => {
                let host = host.trim_end_matches('.');
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (Entry::Network(subnet), Some(Host::Ipv4(v4))) => subnet.contains(v4.into()),
            (Entry::Network(subnet), Some(Host::Ipv6(v6))) => subnet.contains(v6.into()),
            _ => false,
        })
    }
}

pub(super) fn parse(fields: &mut Fields<'_>) -> NoProxy {
    let texts = fields.texts("noProxy", MAX).unwrap_or_default();
    let mut entries = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        match entry(text) {
            Some(entry) => entries.push((text.to_owned(), entry)),
            None => fields.complain(
                &format!("noProxy[{at}]"),
                "must be a host (example.com), an address (10.0.0.1) or a network (10.0.0.0/8)",
            ),
        }
    }
    NoProxy { entries }
}

fn entry(text: &str) -> Option<Entry> {
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return None;
    }
    if let Ok(subnet) = text.parse() {
        return Some(Entry::Network(subnet));
    }
    // As a URL's host is written, so that both are compared in one form.
    let name = text.strip_prefix('.').unwrap_or(text);
    match Host::parse(name).ok()? {
        Host::Domain(name) if !name.is_empty() && !name.contains('*') => {
            Some(Entry::Name(name.trim_end_matches('.').to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn covers(entries: &[&str], url: &str) -> bool {
        let value = json!({ "noProxy": entries });
        let mut fields = Fields::of(&value);
        let no_proxy = parse(&mut fields);
        fields.finish(Some(())).unwrap();
        no_proxy.covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_host_stands_for_itself_and_all_below_it() {
        for entry in ["example.com", ".example.com", "EXAMPLE.com", "example.com."] {
            assert!(covers(&[entry], "https://example.com/"), "{entry}");
            assert!(covers(&[entry], "https://a.b.Example.com:9200/"), "{entry}");
            assert!(!covers(&[entry], "https://badexample.com/"), "{entry}");
            assert!(!covers(&[entry], "https://example.com.evil.org/"), "{entry}");
        }
        assert!(covers(&["localhost"], "http://localhost:9200/"));
    }

    #[test]
    fn a_network_stands_for_hosts_written_as_its_addresses() {
        assert!(covers(&["10.0.0.0/8"], "https://10.255.1.2/"));
        assert!(covers(&["10.0.0.0/8"], "https://[::ffff:10.1.2.3]/"));
        assert!(!covers(&["10.0.0.0/8"], "https://11.0.0.1/"));
        assert!(
            covers(&["192.168.1.7"], "http://192.168.1.7/")
                && !covers(&["192.168.1.7"], "http://192.168.1.8/")
        );
        assert!(covers(&["0.0.0.0/0"], "http://8.8.8.8/") && !covers(&["0.0.0.0/0"], "http://[::1]/"));
        assert!(covers(&["fd00::/8"], "http://[fd12::1]/") && !covers(&["fd00::/8"], "http://[fe00::1]/"));
        assert!(covers(&["::/0"], "http://[::1]/") && !covers(&["10.0.0.0/8"], "https://host.example/"));
    }

    proptest::proptest! {
        #[test]
        fn a_network_covers_the_addresses_that_differ_behind_its_bits_only(
            first: u32, other: u32, bits in 0_u32..=32,
        ) {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let (first, other) = (std::net::Ipv4Addr::from(first), std::net::Ipv4Addr::from(other));
            let network = format!("{first}/{bits}");
            let is_within = first.to_bits() & mask == other.to_bits() & mask;
            proptest::prop_assert_eq!(covers(&[&network], &format!("http://{other}/")), is_within);
            let near = std::net::Ipv4Addr::from(first.to_bits() & mask | other.to_bits() & !mask);
            let is_near_within = covers(&[&network], &format!("http://{near}/"));
            proptest::prop_assert!(is_near_within);
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.example.com",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "example.com/8",
            "http://h/",
            "a b",
            "::/129",
        ] {
            assert_eq!(entry(text), None, "{text}");
        }
    }
}
