//! How a misbehaviour is written: `WHEN=WHAT`, for command lines.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base::EventId;

use super::{Items, Misbehaviour, What, When};

/// Every form, for help texts. A test reads it: each form that stands here is understood.
pub const FORMS: &str = "\
WHEN
  always       every request
  first:N      the first N requests
  every:N      each N-th request

WHAT, for any protocol
  status:CODE[,retry-after:SECONDS][,body:TEXT]
               this is answered, and nothing taken
  hang         nothing is taken, and no answer comes
  take-and-hang
               all is taken, but no answer comes
  close        nothing is taken, and the connection is closed
  take-and-close
               all is taken, but the connection is closed in the middle of the answer
  slow:TIME    all is taken, and answered after this time, such as 200ms or 3s

WHAT, for HEC
  hec:CODE     this code is answered; 0, 24 and 25 take the events, others nothing
  hec-bad-event:N
               event N of the request, counted from 0, is refused; only those before it are taken
  hec-wrong-index:N
               the same because of its index: code 7 names the event after it
  never-stored
               all is taken, with an acknowledgement id, and never stored

WHAT, for the bulk API
  items:STATUS[,every:N][,id:EVENTID][,kind:TYPE]
               items are refused with this status: all, each N-th, or the one with this id; TYPE is the
               error's type, which follows from the status when it is not given
  item-too-many
               all is taken, and one item more is answered than was sent";

/// A text that is no misbehaviour: which, what is wrong with it, and what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misspelt {
    what: String,
}

impl fmt::Display for Misspelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\nA misbehaviour is written WHEN=WHAT.\n\n{FORMS}", self.what)
    }
}

impl std::error::Error for Misspelt {}

impl FromStr for Misbehaviour {
    type Err = Misspelt;

    fn from_str(text: &str) -> Result<Self, Misspelt> {
        let parsed = text
            .split_once('=')
            .ok_or_else(|| "there is no = between WHEN and WHAT".to_owned())
            .and_then(|(when, what)| Ok(Self { when: parse_when(when)?, what: parse_what(what)? }));
        parsed.map_err(|what| Misspelt { what })
    }
}

fn parse_when(text: &str) -> Result<When, String> {
    match text.split_once(':') {
        None if text == "always" => Ok(When::Always),
        Some(("first", n)) => Ok(When::First(positive(n)?)),
        Some(("every", n)) => Ok(When::Every(positive(n)?)),
        _ => Err(format!("there is no WHEN {text:?}")),
    }
}

fn parse_what(text: &str) -> Result<What, String> {
    match text.split_once(':') {
        None => match text {
            "hang" => Ok(What::Hang),
            "take-and-hang" => Ok(What::TakeAndHang),
            "close" => Ok(What::Close),
            "take-and-close" => Ok(What::TakeAndCloseMidAnswer),
            "never-stored" => Ok(What::NeverStored),
            "item-too-many" => Ok(What::ItemTooMany),
            _ => Err(format!("there is no WHAT {text:?}")),
        },
        Some(("status", rest)) => parse_answer(rest),
        Some(("slow", time)) => Ok(What::Slow(parse_time(time)?)),
        Some(("hec", code)) => Ok(What::Hec(number(code)?)),
        Some(("hec-bad-event", at)) => Ok(What::HecBadEvent(number(at)?)),
        Some(("hec-wrong-index", at)) => Ok(What::HecWrongIndex(number(at)?)),
        Some(("items", rest)) => Ok(What::Items(parse_items(rest)?)),
        Some(_) => Err(format!("there is no WHAT {text:?}")),
    }
}

fn parse_answer(text: &str) -> Result<What, String> {
    // A body may hold commas: it is the rest.
    let (head, body) = text.split_once(",body:").unwrap_or((text, ""));
    let (status, options) = head.split_once(',').map_or((head, None), |(status, rest)| (status, Some(rest)));
    let mut retry_after = None;
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        match option.split_once(':') {
            Some(("retry-after", seconds)) => retry_after = Some(number(seconds)?),
            _ => return Err(format!("status has no option {option:?}")),
        }
    }
    Ok(What::Answer { status: parse_status(status, 200)?, retry_after, body: body.to_owned() })
}

fn parse_items(text: &str) -> Result<Items, String> {
    let mut parts = text.split(',');
    let status = parse_status(parts.next().unwrap_or_default(), 400)?;
    let (mut every, mut only, mut kind) = (1, None, Cow::Borrowed(usual_kind(status)));
    for option in parts {
        match option.split_once(':') {
            Some(("every", n)) => every = positive(n)?,
            Some(("id", id)) => {
                only = Some(EventId::parse(id).map_err(|error| format!("{id:?} is {error}"))?);
            }
            Some(("kind", name)) if !name.is_empty() => kind = Cow::Owned(name.to_owned()),
            _ => return Err(format!("items has no option {option:?}")),
        }
    }
    Ok(Items::new(status, kind, move |number, id| {
        number.is_multiple_of(every) && only.is_none_or(|only| only == id)
    }))
}

/// What a cluster calls an error of this status most often.
const fn usual_kind(status: u16) -> &'static str {
    match status {
        400 => "mapper_parsing_exception",
        401 | 403 => "security_exception",
        404 => "index_not_found_exception",
        409 => "version_conflict_engine_exception",
        429 => "es_rejected_execution_exception",
        503 => "unavailable_shards_exception",
        _ => "exception",
    }
}

fn parse_status(text: &str, least: u16) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (least..=599).contains(status));
    status.ok_or_else(|| format!("{text:?} is not a status from {least} to 599"))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let whole =
        |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let time = match text.strip_suffix("ms") {
        Some(digits) => whole(digits).map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(whole).map(Duration::from_secs),
    };
    time.ok_or_else(|| format!("{text:?} is not a time such as 200ms or 3s"))
}

fn positive(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{text:?} is not a number from 1 on"))
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number that fits"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The form that makes each kind. A kind that is added without one does not compile.
    fn form_of(what: &What) -> &'static str {
        match what {
            What::Answer { .. } => "status:",
            What::Hec(_) => "hec:",
            What::HecBadEvent(_) => "hec-bad-event:",
            What::HecWrongIndex(_) => "hec-wrong-index:",
            What::NeverStored => "never-stored",
            What::ItemTooMany => "item-too-many",
            What::Items(_) => "items:",
            What::Hang => "hang",
            What::TakeAndHang => "take-and-hang",
            What::Close => "close",
            What::TakeAndCloseMidAnswer => "take-and-close",
            What::Slow(_) => "slow:",
        }
    }

    fn parse(text: &str) -> Misbehaviour {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_form_of_the_help_text_is_understood() {
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        let mut n_forms = 0;
        for line in FORMS.lines() {
            let Some(line) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else { continue };
            let form = line.split("  ").next().unwrap_or_default().trim();
            let example = form
                .replace(['[', ']'], "")
                .replace("CODE", "503")
                .replace("STATUS", "429")
                .replace("SECONDS", "3")
                .replace("EVENTID", id)
                .replace("TYPE", "some_exception")
                .replace("TEXT", "a, b")
                .replace("TIME", "200ms")
                .replace(":N", ":2");
            let is_when = parse_when(&example).is_ok();
            if !is_when {
                let parsed = parse(&format!("always={example}"));
                assert!(example.starts_with(form_of(&parsed.what)), "{form}: {parsed:?}");
            }
            n_forms += 1;
        }
        assert_eq!(n_forms, 15);
    }

    #[test]
    fn a_misbehaviour_is_what_it_says() {
        assert_eq!(parse("every:3=hang").when, When::Every(3));
        assert_eq!(parse("first:10=hang").when, When::First(10));
        assert_eq!(parse("always=hang").when, When::Always);
        for (text, expected) in [
            ("status:503", r#"Answer { status: 503, retry_after: None, body: "" }"#),
            ("status:429,retry-after:7", r#"Answer { status: 429, retry_after: Some(7), body: "" }"#),
            (
                "status:200,body:{\"a\":1,\"b\":2}",
                r#"Answer { status: 200, retry_after: None, body: "{\"a\":1,\"b\":2}" }"#,
            ),
            ("hec:9", "Hec(9)"),
            ("hec-bad-event:0", "HecBadEvent(0)"),
            ("slow:200ms", "Slow(200ms)"),
            ("slow:3s", "Slow(3s)"),
        ] {
            assert_eq!(format!("{:?}", parse(&format!("always={text}")).what), expected, "{text}");
        }
    }

    #[test]
    fn items_are_all_each_nth_or_one() {
        let (a, b) = (EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16]));
        let items = |text: &str| match parse(&format!("always={text}")).what {
            What::Items(items) => items,
            other => panic!("{other:?}"),
        };
        let hits = |text: &str| (1..=4).map(|number| items(text).hit(number, a)).collect::<Vec<_>>();
        assert_eq!(hits("items:429"), [true; 4]);
        assert_eq!(hits("items:429,every:2"), [false, true, false, true]);
        let only = items(&format!("items:400,id:{a}"));
        assert!(only.hit(1, a) && !only.hit(1, b));
        assert_eq!(items("items:429").kind, "es_rejected_execution_exception");
        assert_eq!(items("items:400,kind:document_parsing_exception").kind, "document_parsing_exception");
    }

    #[test]
    fn a_wrong_form_is_told_with_all_that_is_known() {
        for (text, wrong) in [
            ("hang", "no = between"),
            ("sometimes=hang", "no WHEN \"sometimes\""),
            ("every:0=hang", "\"0\" is not a number from 1 on"),
            ("always=explode", "no WHAT \"explode\""),
            ("always=explode:1", "no WHAT \"explode:1\""),
            ("always=status:99", "\"99\" is not a status from 200 to 599"),
            ("always=status:503,later:1", "status has no option \"later:1\""),
            ("always=items:200", "\"200\" is not a status from 400 to 599"),
            ("always=items:429,id:x", "\"x\" is not a UUID"),
            ("always=slow:200", "\"200\" is not a time"),
            ("always=slow:-1s", "\"-1s\" is not a time"),
            ("always=hec:x", "\"x\" is not a number"),
        ] {
            let told = text.parse::<Misbehaviour>().unwrap_err().to_string();
            assert!(told.contains(wrong), "{text}: {told}");
            assert!(told.ends_with(FORMS), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn foreign_texts_never_panic(text in "(always=|every:3=)?(status|items|slow|hec)?[:,]?\\PC*") {
            let _whatever = text.parse::<Misbehaviour>();
        }
    }
}
