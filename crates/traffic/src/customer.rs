//! One made-up customer: who it is, and what it may do at this point of the story.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::application::Application;
use crate::dice::{Dice, Uuid};

const GIVEN_NAMES: [&str; 24] = [
    "Adalin", "Brisa", "Corvin", "Delphi", "Elowen", "Fenric", "Galatea", "Hollis", "Isaria", "Jorun",
    "Kestrel", "Lumen", "Merrin", "Nerys", "Osric", "Perrin", "Quilla", "Rowena", "Soren", "Tamsin", "Ulric",
    "Vesper", "Wystan", "Zephyra",
];
/// Family names are composed of two parts, so that none is anybody's.
const FAMILY_FRONTS: [&str; 16] = [
    "Amber", "Bramble", "Copper", "Dapple", "Ember", "Fern", "Gossamer", "Heather", "Ivory", "Juniper",
    "Kindle", "Lantern", "Mossy", "Nettle", "Otter", "Pebble",
];
const FAMILY_BACKS: [&str; 16] = [
    "bank", "crest", "dale", "fold", "garth", "hollow", "kettle", "lock", "mere", "quill", "reed", "stone",
    "thorpe", "vane", "whistle", "yard",
];
const MAIL_DOMAINS: [&str; 4] = ["example.com", "example.org", "mail.example.com", "post.example.org"];
const TIERS: [&str; 4] = ["basic", "silver", "gold", "platinum"];

/// A town where customers live. Degrees of longitude and latitude (WGS 84), to two places.
#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    /// ISO 3166-1.
    pub(crate) country: &'static str,
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

const fn town(
    name: &'static str,
    region: &'static str,
    country: &'static str,
    (longitude, latitude): (f64, f64),
) -> Town {
    Town { name, region, country, longitude, latitude }
}

static TOWNS: [Town; 12] = [
    town("Graz", "Steiermark", "AT", (15.44, 47.07)),
    town("Köln", "Nordrhein-Westfalen", "DE", (6.96, 50.94)),
    town("Zürich", "Zürich", "CH", (8.54, 47.37)),
    town("Lyon", "Auvergne-Rhône-Alpes", "FR", (4.84, 45.76)),
    town("Bologna", "Emilia-Romagna", "IT", (11.34, 44.49)),
    town("Debrecen", "Hajdú-Bihar", "HU", (21.63, 47.53)),
    town("Utrecht", "Utrecht", "NL", (5.12, 52.09)),
    town("Bristol", "England", "GB", (-2.59, 51.45)),
    town("Boston", "Massachusetts", "US", (-71.06, 42.36)),
    town("Portland", "Oregon", "US", (-122.68, 45.52)),
    town("São Paulo", "São Paulo", "BR", (-46.63, -23.55)),
    town("札幌市", "北海道", "JP", (141.35, 43.06)),
];

const BROWSERS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
];

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Registered, its address not yet confirmed.
    New,
    /// In order.
    Active,
    /// Too many wrong passwords; until it is reset.
    Locked,
    /// By an administrator; until enabled again.
    Disabled,
    /// Deleted. Its place is free.
    Gone,
}

/// An open login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) application: &'static Application,
}

/// A customer with its account.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: Uuid,
    pub(crate) given_name: &'static str,
    family_name: (&'static str, &'static str),
    domain: &'static str,
    /// Makes the mail address the only one of its kind.
    number: u64,
    pub(crate) tier: &'static str,
    pub(crate) town: &'static Town,
    pub(crate) ip: IpAddr,
    pub(crate) browser: &'static str,
    pub(crate) standing: Standing,
    /// Asked for a new password and has not set it yet.
    pub(crate) awaits_reset: bool,
    /// Wrong passwords in a row.
    pub(crate) n_failures: u8,
    pub(crate) has_mfa: bool,
    pub(crate) session: Option<Session>,
}

impl Customer {
    /// A new customer, registered just now. `number` is its alone.
    pub(crate) fn new(number: u64, dice: &mut Dice) -> Self {
        Self {
            id: dice.uuid(),
            given_name: dice.pick(&GIVEN_NAMES),
            family_name: (dice.pick(&FAMILY_FRONTS), dice.pick(&FAMILY_BACKS)),
            domain: dice.pick(&MAIL_DOMAINS),
            number,
            tier: dice.pick(&TIERS),
            town: &TOWNS[dice.index(TOWNS.len())],
            ip: home_address(dice),
            browser: dice.pick(&BROWSERS),
            standing: Standing::New,
            awaits_reset: false,
            n_failures: 0,
            has_mfa: false,
            session: None,
        }
    }

    /// The family name, in full.
    pub(crate) fn family_name(&self) -> String {
        let (front, back) = self.family_name;
        let mut name = String::with_capacity(front.len() + back.len());
        name.push_str(front);
        name.push_str(back);
        name
    }

    /// The mail address, which is also the user name.
    pub(crate) fn mail(&self) -> String {
        let (front, back) = self.family_name;
        let mut mail = String::with_capacity(48);
        let _infallible = write!(mail, "{}.{front}{back}{}@{}", self.given_name, self.number, self.domain);
        mail.make_ascii_lowercase();
        mail
    }
}

/// An address of 192.0.2.0/24 (from .32 on), 198.51.100.0/24 or 2001:db8::/32. 203.0.113.0/24 is the attackers'.
fn home_address(dice: &mut Dice) -> IpAddr {
    match dice.below(4) {
        0 => Ipv4Addr::new(192, 0, 2, dice.between(32, 254) as u8).into(),
        1 => Ipv4Addr::new(198, 51, 100, dice.between(1, 254) as u8).into(),
        _ => {
            let [a, b, c, d] = [(); 4].map(|()| dice.below(1 << 16) as u16);
            Ipv6Addr::new(0x2001, 0xdb8, a, b & 0xff00, 0, 0, c, d | 1).into()
        }
    }
}
