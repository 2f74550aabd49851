//! Who a request comes from, when proxies stand in between: a function of the connection, the headers and what is trusted.
//!
//! Each proxy adds whom it was called by at the right end. What stands further left was there before, and anybody can
//! have put it there. So the list is walked from the right, and believed only as long as the one who added an entry is
//! trusted: the first who is not is the client.

use std::net::{IpAddr, Ipv6Addr};

use base::Subnet;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

/// Most proxies in a row that are believed. More look like a mistake, or like somebody who wants us to be busy.
const MAX_HOPS: usize = 16;
/// Longest entry, in bytes: an address, a port, and what RFC 7239 allows beside them.
const MAX_ENTRY: usize = 512;

/// The proxies that are believed, and where they say who called them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trusted {
    /// Their addresses. None: nobody is believed.
    pub(crate) proxies: Vec<Subnet>,
    /// The header that they write. The other one is whatever a client has sent, as proxies pass it on.
    pub(crate) header: ForwardedHeader,
}

/// A header that tells the addresses of those that a request went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardedHeader {
    /// What most proxies write: addresses with commas between them.
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The one with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::XForwardedFor, Self::Forwarded]
            .into_iter()
            .find(|header| header.name().as_str().eq_ignore_ascii_case(name))
    }

    const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => FORWARDED,
        }
    }
}

impl Trusted {
    /// Whether this is one of the proxies.
    pub(crate) fn includes(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|subnet| subnet.contains(address))
    }
}

/// The client's address: the last one on the way back that somebody trusted vouches for. An entry that is malformed, or
/// hides whom it stands for, ends the way: whoever wrote it is the nearest that is known.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &Trusted) -> IpAddr {
    let mut known = peer.to_canonical();
    if !trusted.includes(known) {
        return known;
    }
    let mut n_hops = 0;
    for line in headers.get_all(trusted.header.name()).iter().rev() {
        // What is no text stands in entries that are no addresses: the others must not suffer from it.
        let line = String::from_utf8_lossy(line.as_bytes());
        let (mut rest, mut is_last) = (&*line, false);
        while !is_last {
            let entry;
            (rest, entry) = match cut_from_right(rest, ',') {
                Some((rest, entry)) => (rest, entry),
                None => ("", rest),
            };
            is_last = rest.is_empty();
            n_hops += 1;
            let address = match trusted.header {
                _ if n_hops > MAX_HOPS || entry.len() > MAX_ENTRY => None,
                ForwardedHeader::XForwardedFor => node(entry.trim()),
                ForwardedHeader::Forwarded => forwarded_for(entry),
            };
            let Some(address) = address else { return known };
            known = address;
            if !trusted.includes(known) {
                return known;
            }
        }
    }
    known
}

/// What stands before and behind the last `mark` that is in no quotes. Counted from the right: quotes that a client left
/// open do not reach into what a proxy added.
fn cut_from_right(text: &str, mark: char) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let at = text.rfind(|c: char| {
        is_quoted ^= c == '"';
        c == mark && !is_quoted
    })?;
    Some((text.get(..at)?, text.get(at + mark.len_utf8()..)?))
}

/// The address in the one `for` of an entry such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(entry: &str) -> Option<IpAddr> {
    let (mut rest, mut found) = (Some(entry), None);
    while let Some(pairs) = rest {
        let pair;
        (rest, pair) = match cut_from_right(pairs, ';') {
            Some((rest, pair)) => (Some(rest), pair),
            None => (None, pairs),
        };
        let Some((name, value)) = pair.trim().split_once('=') else { continue };
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    node(unquoted.unwrap_or(value))
}

/// An address, with or without a port. `None` for what hides it (`unknown`, `_name`) and for anything else.
fn node(text: &str) -> Option<IpAddr> {
    let is_port = |port: &str| {
        port.strip_prefix('_').map_or_else(
            || (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
            |name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
        )
    };
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_whole.then(|| IpAddr::V6(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.rsplit_once(':')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Whom a request from `peer` with these header lines is taken to come from, where 10.0.0.0/8 and fd00::/8 are proxies.
    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let lines = lines
            .iter()
            .map(|line| (HeaderName::from_static(name), HeaderValue::from_bytes(line.as_bytes()).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).into();
        client_address(peer.parse().unwrap(), &headers, &Trusted { proxies, header }).to_string()
    }

    #[test]
    fn addresses_in_x_forwarded_for_are_believed_as_far_as_proxies_vouch_for_them() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &["1.2.3.4"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("::ffff:10.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            // Two proxies; what stands left of the client is the client's own invention.
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["10.6.6.6 , 1.2.3.4"], "1.2.3.4"),
            // The request began at a proxy.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["1.2.3.4:55123"], "1.2.3.4"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            // What cannot be read, or hides who it was: the nearest that is known.
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.2.3.4, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.2.3.4,"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4:x"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4:123456"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4.5"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db8::1"], "10.0.0.1"),
            ("10.0.0.1", &["[1.2.3.4]"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4, é"], "10.0.0.1"),
            ("10.0.0.1", &["é, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["<script>"], "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn nodes_in_forwarded_are_believed_as_far_as_proxies_vouch_for_them() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &["for=1.2.3.4"][..], "203.0.113.9"),
            ("10.0.0.1", &["for=1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["For=\"1.2.3.4:4711\""], "1.2.3.4"),
            ("10.0.0.1", &["for=\"[2001:db8:cafe::17]:4711\";proto=https;by=10.0.0.1"], "2001:db8:cafe::17"),
            ("10.0.0.1", &["by=10.0.0.1; host=\"a;b,c\" ;for=1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["for=\"[::ffff:1.2.3.4]\""], "1.2.3.4"),
            ("10.0.0.1", &["for=\"1.2.3.4:_port\""], "1.2.3.4"),
            ("10.0.0.1", &["for=6.6.6.6, for=1.2.3.4;proto=https, for=10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["for=6.6.6.6", "for=1.2.3.4"], "1.2.3.4"),
            // A client that leaves quotes open does not swallow what the proxy says.
            ("10.0.0.1", &["for=\"6.6.6.6, for=1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["for=\"x\\\", for=\"[2001:db8::1]\""], "2001:db8::1"),
            ("10.0.0.1", &["for=_hidden"], "10.0.0.1"),
            ("10.0.0.1", &["for=\"_SEVKISEK\", for=10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["for=unknown"], "10.0.0.1"),
            ("10.0.0.1", &["proto=https"], "10.0.0.1"),
            ("10.0.0.1", &["for=1.2.3.4;for=6.6.6.6"], "10.0.0.1"),
            ("10.0.0.1", &["for=\"1.2.3.4"], "10.0.0.1"),
            ("10.0.0.1", &["for="], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedHeader::Forwarded, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_header_that_the_proxies_do_not_write_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", HeaderValue::from_static("for=6.6.6.6"));
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let trusted = Trusted { proxies, header: ForwardedHeader::XForwardedFor };
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &headers, &trusted), peer);
    }

    #[test]
    fn no_more_proxies_are_followed_than_anybody_has() {
        let long = format!("1.2.3.4{}", ", 10.0.0.2".repeat(MAX_HOPS - 1));
        assert_eq!(client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[&long]), "1.2.3.4");
        let longer = format!("1.2.3.4{}", ", 10.0.0.2".repeat(MAX_HOPS));
        assert_eq!(client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[&longer]), "10.0.0.2");
        let padded = format!("for=1.2.3.4;x=\"{}\"", "x".repeat(MAX_ENTRY));
        assert_eq!(client(ForwardedHeader::Forwarded, "10.0.0.1", &[&padded]), "10.0.0.1");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_client_sends_the_proxys_own_entry_decides(sent in "[ -~é]{0,80}", is_new_line: bool) {
            for (header, own) in
                [(ForwardedHeader::XForwardedFor, "1.2.3.4"), (ForwardedHeader::Forwarded, "for=1.2.3.4;by=_x")]
            {
                let joined = format!("{sent}, {own}");
                let lines = if is_new_line { vec![sent.as_str(), own] } else { vec![joined.as_str()] };
                proptest::prop_assert_eq!(client(header, "10.0.0.1", &lines), "1.2.3.4");
            }
        }
    }
}
