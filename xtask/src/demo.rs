//! `cargo xtask demo`: runs the README's demo to its end and holds it to its word, that what was accepted has arrived.

use std::process::Stdio;

use serde_json::Value;

use crate::{Failure, say, workspace};

/// How much the demo does.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Events of the demo's traffic
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: u64,
}

/// Runs `cargo run --release -- demo --events N --exit --json` and checks its figures.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let events = arguments.events.to_string();
    let mut command = workspace::cargo(&["run", "--release", "--locked", "--", "demo", "--exit", "--json"]);
    let output = command.args(["--events", &events]).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    say(text.trim());
    if !output.status.success() {
        return Err("the demo failed".into());
    }
    check(&serde_json::from_str(&text)?, arguments.events)
}

fn check(result: &Value, events: u64) -> Result<(), Failure> {
    let count = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    if count(result, "accepted") != Some(events) {
        return Err(format!("{events} events were sent, but not all accepted").into());
    }
    let destinations = result.get("destinations").and_then(Value::as_array).ok_or("no destinations")?;
    let vendors: Vec<&str> = destinations.iter().filter_map(|one| one.get("type")?.as_str()).collect();
    if vendors != ["splunk", "elasticsearch"] {
        return Err(format!("the destinations are {vendors:?}").into());
    }
    for destination in destinations {
        for (name, expected) in
            [("delivered", events), ("distinct", events), ("quarantined", 0), ("pending", 0)]
        {
            if count(destination, name) != Some(expected) {
                return Err(format!("{name} is not {expected} in {destination}").into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_figure_counts() {
        let leg = |vendor: &str| json!({"type": vendor, "delivered": 5, "distinct": 5, "quarantined": 0, "pending": 0});
        let good = json!({"accepted": 5, "destinations": [leg("splunk"), leg("elasticsearch")]});
        assert!(check(&good, 5).is_ok());
        assert!(check(&good, 6).is_err());
        for name in ["type", "delivered", "distinct", "quarantined", "pending"] {
            let mut bad = good.clone();
            bad["destinations"][1][name] = json!(4);
            assert!(check(&bad, 5).is_err(), "{name}");
        }
        assert!(check(&json!({"accepted": 5, "destinations": []}), 5).is_err());
    }
}
