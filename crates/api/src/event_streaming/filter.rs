//! The filter of a configuration, read from a request. It is shown as it is kept. And the presets, listed.

use event::filter::{Criterion, Filter, LeftOut, Lists, MAX_VALUE_CHARS, MAX_VALUES, Preset};
use event::model::AccountEventType;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::call::{self, Answer, Call};
use crate::fields::{Complaints, Fields};

/// A preset as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresetOut {
    name: &'static str,
    reason: &'static str,
    /// Account events, unless their `outcome` is `failure`.
    leaves_out: &'static [LeftOut],
}

/// What a filter may name as a preset, and what each leaves out. An addition to the contract.
pub(crate) async fn presets(_: Call) -> Answer {
    let content = Preset::ALL.map(|preset| PresetOut {
        name: preset.name(),
        reason: preset.reason(),
        leaves_out: preset.leaves_out(),
    });
    call::json(StatusCode::OK, &serde_json::json!({ "content": content }))
}

/// Reads the field `filter`. Absent, it lets every event pass.
pub(crate) fn filter(fields: &Fields<'_>, complaints: &mut Complaints) -> Filter {
    let Some(fields) = fields.optional_object("filter", complaints) else { return Filter::default() };
    fields.only(&["presets", "include", "exclude"], complaints);
    Filter {
        presets: chosen_presets(&fields, complaints),
        include: lists(&fields, "include", complaints),
        exclude: lists(&fields, "exclude", complaints),
    }
}

fn chosen_presets(fields: &Fields<'_>, complaints: &mut Complaints) -> Vec<Preset> {
    let named = |name: &&str| Preset::ALL.into_iter().find(|preset| preset.name() == *name);
    let fits = |name: &str| match named(&name) {
        Some(_) => Ok(()),
        None => Err(format!("must be one of: {}", Preset::ALL.map(Preset::name).join(", "))),
    };
    let names = values(fields, "presets", fits, complaints);
    names.iter().filter_map(|name| named(&name.as_str())).collect()
}

fn lists(fields: &Fields<'_>, side: &str, complaints: &mut Complaints) -> Lists {
    let Some(fields) = fields.optional_object(side, complaints) else { return Lists::default() };
    fields.only(&Criterion::ALL.map(Criterion::name), complaints);
    let list = |criterion: Criterion| {
        (criterion, values(&fields, criterion.name(), |value| fits(criterion, value), complaints))
    };
    Criterion::ALL.map(list).into_iter().filter(|(_, values)| !values.is_empty()).collect()
}

/// The texts of a list: few enough to be read, each once.
fn values(
    fields: &Fields<'_>,
    list: &str,
    fits: impl Fn(&str) -> Result<(), String>,
    complaints: &mut Complaints,
) -> Vec<String> {
    let elements = fields.list(list, complaints).unwrap_or_default();
    if elements.len() > MAX_VALUES {
        fields.complain(list, format!("must have at most {MAX_VALUES} values"), complaints);
        return Vec::new();
    }
    let mut values: Vec<String> = Vec::with_capacity(elements.len());
    for (at, element) in elements.iter().enumerate() {
        let checked = match element {
            Value::String(text) if values.contains(text) => Err("must not be given twice".to_owned()),
            Value::String(text) => is_readable(text).and_then(|()| fits(text)).map(|()| text),
            _ => Err("must be a string".to_owned()),
        };
        match checked {
            Ok(text) => values.push(text.clone()),
            Err(message) => fields.complain(&format!("{list}[{at}]"), message, complaints),
        }
    }
    values
}

fn is_readable(text: &str) -> Result<(), String> {
    let has_room = (1..=MAX_VALUE_CHARS).contains(&text.chars().count());
    if has_room && text.trim() == text && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("must have 1 to {MAX_VALUE_CHARS} printable characters, without spaces around them"))
}

/// What can never match is a mistake.
fn fits(criterion: Criterion, value: &str) -> Result<(), String> {
    let is_outcome = |word: &str| matches!(word, "success" | "failure");
    match criterion {
        Criterion::Types if serde_json::from_value::<AccountEventType>(value.into()).is_err() => {
            Err("must be a type of account events, such as customerFlow; a platform's own codes belong into \
                 sourceEventTypes"
                .to_owned())
        }
        Criterion::Labels if !value.split_once(':').is_some_and(|(word, _)| is_outcome(word)) => {
            Err("must be success: or failure: and a name".to_owned())
        }
        _ => Ok(()),
    }
}
