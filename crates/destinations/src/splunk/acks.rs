//! Asking the collector which of its acknowledgement ids are acknowledged, and what its answer proves.
//!
//! Measured on Splunk 10.4.3 and Splunk Cloud: ids count from 0 in each channel; one that is acknowledged is answered
//! `true` once and forgotten; an unknown one, also of another channel or indexer, is answered `false`. So `true` is proof
//! and `false` is none.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use crate::reason::Hush;
use crate::seam::{AckVerdict, Answer};
use crate::session::Session;

/// What an operator can do about a token without acknowledgement.
const SWITCH_ON: &str =
    "switch indexer acknowledgement (useACK) on for the token, or set acknowledgement to auto or off";

#[derive(Deserialize)]
struct Acks {
    acks: HashMap<String, bool>,
}

#[derive(Deserialize)]
struct Said {
    code: u32,
    #[serde(default)]
    text: String,
}

/// Where acknowledgements are asked for, beside the event endpoint.
pub(super) fn endpoint(events: &Url, session: &Session) -> Url {
    let mut endpoint = events.clone();
    let path = events.path().trim_end_matches('/');
    let collector = path.strip_suffix("/event/1.0").or_else(|| path.strip_suffix("/event")).unwrap_or(path);
    endpoint.set_path(&format!("{collector}/ack"));
    if let Some(channel) = session.channel() {
        endpoint.query_pairs_mut().append_pair("channel", &channel.to_string());
    }
    endpoint
}

/// `{"acks":[0,1]}`
pub(super) fn body(acks: &[u64]) -> Bytes {
    let list: Vec<String> = acks.iter().map(u64::to_string).collect();
    Bytes::from(format!("{{\"acks\":[{}]}}", list.join(",")))
}

pub(super) fn classify(asked: &[u64], answer: &Answer, hush: &Hush) -> AckVerdict {
    if answer.status == 200
        && let Ok(Acks { acks }) = serde_json::from_slice(&answer.body)
    {
        let is_true = |ack: &u64| acks.get(&ack.to_string()).copied().unwrap_or(false);
        return AckVerdict::Acknowledged(asked.iter().copied().filter(is_true).collect());
    }
    let said: Option<Said> = serde_json::from_slice(&answer.body).ok();
    let reason = match &said {
        Some(said) => hush.reason(&format!("HEC code {}: {}", said.code, said.text)),
        None => hush.unknown(answer.status, &answer.body),
    };
    match (answer.status, said.map(|said| said.code)) {
        (400..=499, Some(14)) => AckVerdict::Off { reason: format!("{reason}: {SWITCH_ON}") },
        (400..=499, Some(1..=4 | 10 | 11 | 16 | 21 | 22 | 28)) | (401 | 403, _) => {
            AckVerdict::Hold { reason }
        }
        (_, Some(code)) if code != 0 => AckVerdict::Unanswered { reason },
        _ => AckVerdict::Lost { reason },
    }
}

#[cfg(test)]
mod tests {
    use base::{Random, Timestamp};

    use super::*;

    #[test]
    fn the_endpoint_stands_beside_the_one_for_events() {
        let session = Session::draw(Timestamp::default(), &Random::from_seed(1));
        let channel = session.channel().unwrap();
        for (events, asked) in [
            ("https://s/services/collector/event", "https://s/services/collector/ack?channel="),
            ("https://s/services/collector/event/1.0", "https://s/services/collector/ack?channel="),
            ("https://gateway/hec/?tenant=7", "https://gateway/hec/ack?tenant=7&channel="),
        ] {
            let endpoint = endpoint(&Url::parse(events).unwrap(), &session);
            assert_eq!(endpoint.as_str(), format!("{asked}{channel}"));
        }
        assert_eq!(&body(&[0, 7])[..], br#"{"acks":[0,7]}"#);
    }
}
