//! The limits as a function of time.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::addresses::MAX_ADDRESSES;
use super::*;

const START: &str = "2026-01-31T12:00:00Z";

fn start() -> Timestamp {
    Timestamp::parse(START).unwrap()
}

fn counts(limits: RateLimits) -> Counts {
    Counts { limits, second: Window::default(), minute: Window::default(), addresses: Addresses::default() }
}

fn origin(n: u32) -> Origin {
    Origin::of(IpAddr::V4(Ipv4Addr::from_bits(n)))
}

fn after(ms: u64) -> Timestamp {
    start().plus(Duration::from_millis(ms))
}

fn remaining(verdict: &Verdict) -> Vec<u32> {
    verdict.buckets.iter().map(|bucket| bucket.remaining).collect()
}

#[test]
fn a_call_is_taken_from_every_bucket_and_a_refused_one_from_none() {
    let mut counts = counts(RateLimits::default());
    assert_eq!(remaining(&counts.take(Some(origin(1)), start())), [49, 499, 9, 99]);
    for _ in 0..9 {
        assert_eq!(counts.take(Some(origin(1)), after(100)).refused, None);
    }
    let refused = counts.take(Some(origin(1)), after(200));
    assert_eq!(remaining(&refused), [40, 490, 0, 90]);
    let why = refused.refused.unwrap();
    assert_eq!((why.is_by_address, why.quota.most, why.wait), (true, 10, 1));
    assert_eq!(
        remaining(&counts.take(Some(origin(2)), after(300))),
        [39, 489, 9, 99],
        "another is not held up"
    );
    assert_eq!(remaining(&counts.take(Some(origin(1)), after(1000))), [49, 488, 9, 89], "a second later");
}

#[test]
fn who_is_out_of_both_windows_waits_for_the_later_one() {
    let limits = RateLimits { address_per_second: 1, address_per_minute: 2, ..RateLimits::OFF };
    let mut counts = counts(limits);
    assert_eq!(counts.take(Some(origin(1)), start()).refused, None);
    assert_eq!(counts.take(Some(origin(1)), after(1500)).refused, None);
    let refused = counts.take(Some(origin(1)), after(1600)).refused.unwrap();
    assert_eq!((refused.quota.most, refused.wait), (1, 59), "58.4 s are left of the minute");
    assert_eq!(counts.take(Some(origin(1)), after(60_000)).refused, None);
}

#[test]
fn all_addresses_of_one_ipv6_network_are_one() {
    let of = |text: &str| Origin::of(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(of("::ffff:203.0.113.7"), of("203.0.113.7"));
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let mut counts = counts(RateLimits { address_per_minute: 1, ..RateLimits::OFF });
    assert_eq!(counts.take(Some(origin(1)), after(3_600_000)).refused, None);
    assert!(counts.take(Some(origin(1)), after(3_600_001)).refused.is_some());
    assert_eq!(counts.take(Some(origin(1)), start()).refused, None);
}

#[test]
fn who_is_not_known_to_come_from_anywhere_has_the_instances_buckets_only() {
    let mut counts = counts(RateLimits::default());
    assert_eq!(remaining(&counts.take(None, start())), [49, 499]);
    assert_eq!(counts.failed(origin(1), start()), None);
}

#[test]
fn many_addresses_neither_grow_the_table_nor_escape_the_instances_limit() {
    let mut counts =
        counts(RateLimits { instance_per_minute: 20_000, address_per_minute: 5, ..RateLimits::OFF });
    let mut n_taken = 0;
    for n in 0..30_000 {
        n_taken += u32::from(counts.take(Some(origin(n)), start()).refused.is_none());
        assert!(counts.addresses.len() <= MAX_ADDRESSES);
    }
    assert_eq!(n_taken, 20_000);
}

#[test]
fn room_is_made_by_those_of_whom_nothing_counts_any_more() {
    let mut counts = counts(RateLimits { address_per_minute: 5, ..RateLimits::OFF });
    for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() {
        counts.take(Some(origin(n)), start());
    }
    counts.take(Some(origin(7)), after(1000));
    counts.take(Some(origin(u32::MAX)), after(60_000));
    assert_eq!(counts.addresses.len(), 1);
}

#[test]
fn wrong_credentials_are_told_apart_only_until_there_are_too_many() {
    let mut counts = counts(RateLimits { failures_per_minute: 2, ..RateLimits::OFF });
    assert_eq!([counts.failed(origin(1), start()), counts.failed(origin(1), after(1000))], [None, None]);
    assert_eq!(counts.failed(origin(1), after(2000)), Some(58));
    assert_eq!(counts.failed(origin(2), after(2000)), None, "another address");
    assert_eq!(counts.failed(origin(1), after(60_000)), None, "another minute");
}

proptest! {
    #[test]
    fn in_no_window_more_is_taken_than_allowed(
        steps in proptest::collection::vec((0_u64..700, 0_u32..4), 1..400),
    ) {
        let limits = RateLimits {
            instance_per_second: 5, instance_per_minute: 40, address_per_second: 3, address_per_minute: 20,
            failures_per_minute: 0,
        };
        let mut counts = counts(limits);
        let mut at = 0;
        let mut taken: Vec<(u64, u32)> = Vec::new();
        for (step, who) in steps {
            at += step;
            let verdict = counts.take(Some(origin(who)), after(at));
            if verdict.refused.is_none() {
                taken.push((at, who));
            }
            // A window begins with a call, so that two of them lie within any stretch of a period at most.
            let within = |ms: u64, who: Option<u32>| {
                let is_of = |each: &&(u64, u32)| each.0 + ms > at && who.is_none_or(|who| each.1 == who);
                taken.iter().filter(is_of).count()
            };
            prop_assert!(within(1000, None) <= 10 && within(60_000, None) <= 80);
            prop_assert!(within(1000, Some(who)) <= 6 && within(60_000, Some(who)) <= 40);
        }
    }
}
