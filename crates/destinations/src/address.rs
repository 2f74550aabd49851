//! Which addresses idstream never calls: those where a machine talks to itself about its credentials.
//!
//! Checked where a configuration is parsed (a literal address) and again after every resolution (a name that points
//! there). Private and loopback addresses are allowed: destinations live there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Metadata services outside the link-local ranges: Alibaba Cloud; Azure's platform address; AWS and Google over IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254),
];
/// The well-known prefix of NAT64, 96 bits (RFC 6052 section 2.1).
const NAT64: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether `address` is link-local or a cloud's metadata service, in any way of writing an IPv4 address as IPv6.
pub fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || METADATA_V6.contains(&v6)
                || embedded(v6).is_some_and(|v4| is_refused(IpAddr::V4(v4)))
        }
    }
}

/// Whether the host of `url` is written as such an address. A name is looked at when it is resolved.
pub(crate) fn names_refused(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => is_refused(v4.into()),
        Some(Host::Ipv6(v6)) => is_refused(v6.into()),
        Some(Host::Domain(_)) | None => false,
    }
}

/// The IPv4 address within a mapped, compatible or NAT64 IPv6 address.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let nat64 = v6.octets().strip_prefix(&NAT64).and_then(|last| <[u8; 4]>::try_from(last).ok());
    nat64.map(Ipv4Addr::from).or_else(|| v6.to_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "100.100.100.200",
            "::ffff:168.63.129.16",
        ] {
            assert!(is_refused(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_called() {
        for text in
            ["127.0.0.1", "::1", "10.0.0.8", "192.168.1.1", "8.8.8.8", "fd00::1", "fec0::1", "64:ff9b::a00:1"]
        {
            assert!(!is_refused(text.parse().unwrap()), "{text}");
        }
    }
}
