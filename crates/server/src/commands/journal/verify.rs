//! `idstream journal verify`: reads every stored event and checks it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use base::ByteSize;
use custody::heads;
use custody::verify::{Against, Heads, Verdict};
use journal::disk::RealDisk;
use journal::signing::{PublicKey, SignedHead, to_hex};
use serde_json::{Value, json};

use super::{Where, advance, bar, catalog, journal_in, told};
use crate::commands::{Failed, Failure};
use crate::output::{answer, counted, tell};

/// Longer lines of a file of heads are refused, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// Problems beyond are counted only.
const SHOWN: usize = 20;

#[derive(clap::Args)]
#[command(after_help = "\
Every block is checked against its checksum, its records against their digests, the blocks against the
hash chain, the chain against the heads that the server has signed. Nothing is changed; a server may be
running. Ends with 0 when everything is what was written, else with 1 and the first bad block.

Signed heads leave the machine as audit logs (entityType JournalHead). Export them from where they went
as lines of JSON, with or without envelopes, and name the file with --heads: then the journal is checked
against what nobody on this machine can change. Keep the output of idstream journal key elsewhere, too.

    idstream journal verify --heads heads.ndjson --key 5f0c…
")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Signed heads that were kept elsewhere, lines of JSON
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// The public key that must have signed [default: the one in the catalog]
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: Option<PublicKey>,
    /// Answers in JSON
    #[arg(long)]
    json: bool,
}

fn key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_text(text).ok_or_else(|| "a public key has 64 hex digits".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let data = arguments.place.data()?;
    let directory = journal_in(&data)?;
    let catalog = catalog(&data)?;
    let kept = arguments.heads.as_deref().map(read_heads).transpose()?;
    let stored_key = catalog.as_ref().map(custody::key::public_key).transpose()?.flatten();
    let against = Against {
        known: catalog.as_ref().map(heads::known).transpose()?.flatten(),
        key: arguments.key.or(stored_key),
        heads: kept.iter().flat_map(|kept| &kept.heads).copied().collect(),
        restores: catalog.as_ref().map(custody::verify::untold_restores).unwrap_or_default(),
    };
    let disk = RealDisk::open_read_only(&directory)?;
    let bar = bar()?;
    let verdict = custody::verify::verify(&disk, &against, &mut |done, total| advance(&bar, done, total));
    bar.finish_and_clear();
    let verdict =
        verdict.map_err(Failed::at(format!("cannot verify the journal in {}", directory.display())))?;
    if arguments.json {
        answer(serde_json::to_string_pretty(&as_json(&verdict, kept.as_ref()))?)?;
    } else {
        say(&directory, &verdict, kept.as_ref())?;
    }
    match first_fault(&verdict) {
        None => Ok(()),
        Some(what) => Err(format!("the journal is not what was written: {what}").into()),
    }
}

fn first_fault(verdict: &Verdict) -> Option<String> {
    let problem = verdict.survey.problems.first().map(ToString::to_string);
    let faults = || verdict.own.faults.first().or(verdict.elsewhere.faults.first()).cloned();
    problem.or_else(faults)
}

/// What a file of heads holds.
struct Kept {
    heads: Vec<SignedHead>,
    /// Documents that others posted, with something like a head in them.
    n_foreign: u64,
}

/// Heads from lines of JSON. Lines without a head are passed over, but a file without any is none.
fn read_heads(path: &Path) -> Result<Kept, Failure> {
    let cannot = |what: String| format!("cannot read heads from {}: {what}", path.display());
    let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
    let (mut reader, mut found) = (BufReader::new(file), BTreeMap::new());
    let (mut number, mut n_foreign) = (0, 0);
    loop {
        let mut line = Vec::new();
        let n = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if n.map_err(|error| cannot(error.to_string()))? == 0 {
            break;
        }
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = serde_json::from_slice(&line)
            .map_err(|error| cannot(format!("line {number} is not JSON: {error}")))?;
        n_foreign += heads::find(&value, &mut found);
    }
    if found.is_empty() {
        let left_out = if n_foreign > 0 { format!("; {}", foreign(n_foreign)) } else { String::new() };
        return Err(cannot(format!("there is no signed head in it{left_out}")).into());
    }
    Ok(Kept { heads: found.into_values().collect(), n_foreign })
}

fn foreign(n: u64) -> String {
    format!("not from idstream, left out: {n}")
}

fn say(directory: &Path, verdict: &Verdict, kept: Option<&Kept>) -> Result<(), Failure> {
    let survey = &verdict.survey;
    let size = ByteSize(survey.n_bytes);
    let blocks = match survey.next.checked_sub(survey.first) {
        None | Some(0) => "no blocks".to_owned(),
        Some(_) => format!("blocks {} to {}", survey.first, survey.next - 1),
    };
    let n = counted(survey.n_records, "event");
    answer(format_args!("{}: {blocks}, {n}, {} erased, {size}", directory.display(), survey.n_erased))?;
    answer(format_args!("chain: {}", if survey.problems.is_empty() { "intact" } else { "BROKEN" }))?;
    if let Some(anchor) = survey.anchor {
        let signed = match (anchor.signed_by, anchor.signed_at) {
            (Some(key), Some(at)) => format!("signed on {at} with {key}"),
            _ => "not signed: it was dropped before there was a key".to_owned(),
        };
        answer(format_args!("dropped by retention: up to block {}, {signed}", anchor.sequence))?;
    }
    answer(format_args!("heads in the journal: {}", counts(&verdict.own)))?;
    if let Some(Kept { n_foreign, .. }) = kept {
        let left_out = if *n_foreign > 0 { format!("; {}", foreign(*n_foreign)) } else { String::new() };
        answer(format_args!("heads from elsewhere: {}{left_out}", counts(&verdict.elsewhere)))?;
    }
    for key in &verdict.keys {
        answer(format_args!("signed with: {key}"))?;
    }
    for restored in &verdict.restores {
        answer(format_args!("restored from a backup on {}, up to block {}", restored.at, restored.up_to))?;
    }
    for gap in &survey.given_up {
        answer(format_args!("given up before: {}", told(gap)))?;
    }
    let bad = survey.bad_sidecars.len();
    answer(format_args!(
        "ids and filters: {} files, {bad} to be made again at the next start",
        survey.n_sidecars
    ))?;
    for problem in survey.problems.iter().take(SHOWN) {
        tell(format_args!("bad: {problem}"));
    }
    for gap in &survey.lost {
        tell(format_args!("lost: {}", told(gap)));
    }
    for fault in verdict.own.faults.iter().chain(&verdict.elsewhere.faults).take(SHOWN) {
        tell(format_args!("bad: {fault}"));
    }
    Ok(())
}

fn counts(heads: &Heads) -> String {
    let Heads { n_fit, n_dropped, n_replaced, n_passed, faults } = heads;
    let mut parts = vec![format!("{n_fit} fit")];
    for (n, what) in [
        (*n_dropped, "of blocks that retention has dropped"),
        (*n_replaced, "of blocks that a restore has replaced"),
        (*n_passed, "could not be compared"),
        (faults.len() as u64, "DO NOT FIT"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    parts.join(", ")
}

fn as_json(verdict: &Verdict, kept: Option<&Kept>) -> Value {
    let survey = &verdict.survey;
    let heads = |heads: &Heads| {
        json!({
            "fit": heads.n_fit,
            "dropped": heads.n_dropped,
            "replaced": heads.n_replaced,
            "notCompared": heads.n_passed,
            "faults": heads.faults,
        })
    };
    let gap = |gap: &journal::local::Gap| {
        json!({
            "fromBlock": gap.from,
            "untilBlock": gap.until,
            "events": gap.n_events(),
            "after": gap.after,
            "before": gap.before,
        })
    };
    let problem = |problem: &journal::local::Problem| {
        json!({
            "file": problem.file,
            "byte": problem.position,
            "block": problem.sequence,
            "what": problem.what,
        })
    };
    json!({
        "sound": verdict.is_sound(),
        "firstBlock": survey.first,
        "nextBlock": survey.next,
        "blockHash": to_hex(&survey.hash),
        "lastAppendedAt": survey.last_appended_at,
        "events": survey.n_records,
        "erased": survey.n_erased,
        "bytes": survey.n_bytes,
        "tornBytes": survey.torn_bytes,
        "anchor": survey.anchor.map(|anchor| json!({
            "block": anchor.sequence,
            "blockHash": to_hex(&anchor.hash),
            "signedBy": anchor.signed_by.map(|key| key.to_string()),
            "signedAt": anchor.signed_at,
        })),
        "problems": survey.problems.iter().map(problem).collect::<Vec<_>>(),
        "lost": survey.lost.iter().map(gap).collect::<Vec<_>>(),
        "givenUp": survey.given_up.iter().map(gap).collect::<Vec<_>>(),
        "restores": verdict.restores.iter().map(|restored| {
            json!({"upToBlock": restored.up_to, "restoredAt": restored.at})
        }).collect::<Vec<_>>(),
        "headsInJournal": heads(&verdict.own),
        "headsFromElsewhere": heads(&verdict.elsewhere),
        "headsNotFromIdstream": kept.map_or(0, |kept| kept.n_foreign),
        "keys": verdict.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sidecars": {"files": survey.n_sidecars, "bad": survey.bad_sidecars},
    })
}
