//! A session: what makes a balancer and a receiver see that requests belong together. A receiver that acknowledges later
//! knows its ids only within one channel, and only where that channel's events went.

use std::fmt;

use base::{EventId, Random, Timestamp};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Most cookies that are kept, as in what browsers keep at least (RFC 6265 section 6.1).
const MAX_COOKIES: usize = 50;
/// Longest cookie that is kept, in bytes (the same section).
const MAX_COOKIE_BYTES: usize = 4096;

/// A channel, and the cookies that answers have set in it. Without a channel, requests belong to no session.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Session {
    channel: Option<EventId>,
    /// Name and value, in the order in which they came.
    cookies: Vec<(String, String)>,
}

impl fmt::Debug for Session {
    /// Cookies may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_cookies = self.cookies.len();
        f.debug_struct("Session").field("channel", &self.channel).field("n_cookies", &n_cookies).finish()
    }
}

impl Session {
    /// A new session, with a channel that nobody else has.
    pub fn draw(now: Timestamp, random: &Random) -> Self {
        Self { channel: Some(EventId::draw(now, random)), cookies: Vec::new() }
    }

    /// The channel, a GUID.
    pub const fn channel(&self) -> Option<EventId> {
        self.channel
    }

    /// Keeps the cookies that an answer sets. Their attributes are passed over, but for one that takes the cookie back:
    /// all requests of a session go to one host, and it lasts as long as the worker.
    pub fn learn(&mut self, answer: &HeaderMap) {
        if self.channel.is_none() {
            return;
        }
        for value in answer.get_all(SET_COOKIE) {
            let Some((name, value, is_taken_back)) = value.to_str().ok().and_then(read) else { continue };
            let known = self.cookies.iter().position(|(known, _)| known == name);
            match known {
                Some(at) if is_taken_back => drop(self.cookies.remove(at)),
                Some(at) => {
                    if let Some((_, kept)) = self.cookies.get_mut(at) {
                        value.clone_into(kept);
                    }
                }
                None if is_taken_back || self.cookies.len() >= MAX_COOKIES => {}
                None => self.cookies.push((name.to_owned(), value.to_owned())),
            }
        }
    }

    /// Adds the cookies to a request's headers.
    pub(crate) fn dress(&self, headers: &mut HeaderMap) {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Ok(mut value) = HeaderValue::from_str(&pairs.join("; "))
            && !pairs.is_empty()
        {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }
}

/// Name, value, and whether the cookie is taken back. `None`: no cookie that is kept.
fn read(text: &str) -> Option<(&str, &str, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_taken_back = parts.filter_map(|part| part.split_once('=')).any(|(key, value)| {
        key.trim().eq_ignore_ascii_case("max-age") && value.trim().parse::<i64>().is_ok_and(|age| age <= 0)
    });
    (!name.is_empty() && text.len() <= MAX_COOKIE_BYTES).then_some((name, value, is_taken_back))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (SET_COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    fn sent(session: &Session) -> Option<String> {
        let mut headers = HeaderMap::new();
        session.dress(&mut headers);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_are_sent_back_until_they_are_taken_back() {
        let mut session = Session::draw(Timestamp::default(), &Random::from_seed(1));
        assert_eq!(sent(&session), None);
        session.learn(&answer(&["AWSALB=a1; Expires=Thu, 01 Jan 2030 00:00:00 GMT; Path=/", "b=2;Secure"]));
        session.learn(&answer(&["AWSALB=a2; Path=/", "no cookie", "=x"]));
        assert_eq!(sent(&session).as_deref(), Some("AWSALB=a2; b=2"));
        session.learn(&answer(&["b=; Max-Age=0", "c=3; max-age=-1"]));
        assert_eq!(sent(&session).as_deref(), Some("AWSALB=a2"));
        assert!(!format!("{session:?}").contains("a2"));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut session = Session::draw(Timestamp::default(), &Random::from_seed(1));
        let many: Vec<String> = (0..200).map(|number| format!("c{number}=x")).collect();
        session.learn(&answer(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        session.learn(&answer(&[&format!("long={}", "x".repeat(5000))]));
        assert_eq!(session.cookies.len(), MAX_COOKIES);
    }

    #[test]
    fn requests_of_no_session_keep_no_cookies() {
        let mut session = Session::default();
        session.learn(&answer(&["a=1"]));
        assert_eq!((sent(&session), session.channel()), (None, None));
    }
}
