//! A range of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The addresses whose first bits are the same: `10.0.0.0/8`, or one of them, `10.0.0.1`. An IPv4 address that is written as
/// an IPv6 one (`::ffff:10.0.0.1`) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subnet {
    first: IpAddr,
    bits: u32,
}

/// Not an address nor a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address such as 10.0.0.1, or a network such as 10.0.0.0/8 or fd00::/8")]
pub struct SubnetError;

impl Subnet {
    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let starts_alike = |a: u128, b: u128, length: u32| {
            let rest = length.saturating_sub(self.bits);
            a.checked_shr(rest).unwrap_or(0) == b.checked_shr(rest).unwrap_or(0)
        };
        match (address.to_canonical(), self.first) {
            (IpAddr::V4(a), IpAddr::V4(b)) => starts_alike(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => starts_alike(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether it holds every address of its family.
    pub const fn is_everything(&self) -> bool {
        self.bits == 0
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| SubnetError)?;
        let most = if written.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) if is_number(bits) => bits.parse().map_err(|_| SubnetError)?,
            Some(_) => return Err(SubnetError),
        };
        if bits > most {
            return Err(SubnetError);
        }
        match written.to_canonical() {
            first @ IpAddr::V4(_) if written.is_ipv6() && bits >= 96 => Ok(Self { first, bits: bits - 96 }),
            first if first.is_ipv4() == written.is_ipv4() => Ok(Self { first, bits }),
            _ => Ok(Self { first: written, bits }),
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(subnet: &str, address: &str) -> bool {
        subnet.parse::<Subnet>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_subnet_holds_the_addresses_that_begin_alike() {
        assert!(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3/8", "10.9.9.9"), "bits behind the first ones do not count");
        assert!(holds("192.168.1.7", "192.168.1.7") && !holds("192.168.1.7", "192.168.1.8"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe00::1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "::1") && !holds("::/0", "8.8.8.8"));
    }

    #[test]
    fn an_ipv4_address_is_the_same_in_both_notations() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3") && holds("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!holds("::ffff:10.0.0.0/104", "11.1.2.3") && holds("::ffff:10.0.0.1", "10.0.0.1"));
        assert_eq!("::ffff:10.0.0.0/104".parse::<Subnet>().unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_range_of_addresses_is_refused() {
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "[::1]",
            "10.0.0.1:80",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
