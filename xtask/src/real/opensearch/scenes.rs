//! What must hold with data streams and our templates.

use ::http::Method;
use base::{EventId, Random};
use serde_json::{Value, json};

use super::search::stored;
use super::{JSON, Node, end, install_templates};
use crate::Failure;
use crate::process::{STREAMING, text_field};
use crate::real::cut::Cut;
use crate::real::ground::Ground;
use crate::real::scene::Scenes;
use crate::real::{Stage, kills};

/// All of our data streams.
const STREAMS: &str = "logs-idstream.*";

/// Every scene.
pub(in crate::real) fn run(stage: &Stage<'_>, scenes: &mut Scenes) -> Result<(), Failure> {
    let mut node = Node::start(stage)?;
    let about = node.web.json(Method::GET, "/", None)?;
    let version = about.pointer("/version/number").and_then(Value::as_str).unwrap_or("?");
    scenes.name(format!("opensearch {version}"));
    let ground = Ground::new(stage)?;
    install_templates(stage.program, &node, &[])?;
    let id = ground.configure("streams", "elasticsearch", json!({"url": node.url(), "apiKey": ""}))?;
    let mut all = Vec::new();
    scenes.hold("data streams, our templates", || {
        all.extend(ground.post(stage.events)?);
        let n = ground.delivered(&id, "confirmed")?;
        let n_streams = node.backing_indices()?.len();
        Ok(format!("{}, {n} confirmed, {n_streams} data streams", held(&ground, &node, &all)?))
    })?;
    for (block, what) in [("read_only_allow_delete", "a full disk's block"), ("write", "a block of writes")] {
        scenes.hold(&format!("read-only by {what}, then not"), || {
            read_only(stage, &ground, &node, &id, &mut all, block)
        })?;
    }
    scenes
        .hold("an index of one's own, and answers that get lost", || lost_answers(stage, &ground, &node))?;
    scenes.hold("a mapping conflict", || mapping_conflict(&ground, &node))?;
    scenes.hold(&format!("the node killed in mid-stream, {} times", stage.kills), || {
        let random = Random::from_seed(stage.seed);
        let posted = kills::under_posting(&ground, &id, &random, stage.kills, || {
            node.kill();
            node.begin()
        })?;
        all.extend(posted);
        ground.delivered(&id, "confirmed")?;
        held(&ground, &node, &all)
    })?;
    end(scenes, node, ground)
}

/// Everything is in the data streams, once.
fn held(ground: &Ground, node: &Node, all: &[EventId]) -> Result<String, Failure> {
    Ok(ground.proven(all, &node.found(STREAMS, "eventID")?, stored)?.without_copies()?.to_string())
}

fn read_only(
    stage: &Stage<'_>,
    ground: &Ground,
    node: &Node,
    id: &str,
    all: &mut Vec<EventId>,
    block: &str,
) -> Result<String, Failure> {
    let indices = node.backing_indices()?.join(",");
    let set = |value: Value| {
        let settings = json!({format!("index.blocks.{block}"): value}).to_string();
        node.web.text(Method::PUT, &format!("/{indices}/_settings"), JSON, settings)
    };
    set(json!(true))?;
    all.extend(ground.post(stage.events / 4)?);
    let is_blocked =
        |status: &Value| text_field(status, "reason").is_ok_and(|it| it.contains("cluster_block"));
    let status = ground.until(id, "it says that the index is blocked", is_blocked)?;
    if status.pointer("/books/quarantined") != Some(&json!(0)) {
        return Err(format!("something is in quarantine: {status}").into());
    }
    set(Value::Null)?;
    ground.delivered(id, "confirmed")?;
    Ok(format!("{} meanwhile; {}", text_field(&status, "state")?, held(ground, node, all)?))
}

/// Each connection loses its third answer; what is sent again is refused, because it is there.
fn lost_answers(stage: &Stage<'_>, ground: &Ground, node: &Node) -> Result<String, Failure> {
    let index = "identity-events";
    install_templates(stage.program, node, &["--index", index])?;
    let cut = Cut::before(node.port)?;
    let batch = json!({"maxEvents": 50});
    let configuration = json!({"url": cut.url(), "apiKey": "", "index": index, "batch": batch});
    let id = ground.configure("lost answers", "elasticsearch", configuration)?;
    let posted = ground.post(stage.events)?;
    let n = ground.delivered(&id, "confirmed")?;
    if cut.n_cut() == 0 {
        return Err("no answer was lost".into());
    }
    let counts = ground.proven(&posted, &node.found(index, "eventID")?, stored)?.without_copies()?;
    ground.remove(&id)?;
    Ok(format!("{} answers lost; {counts}, {n} confirmed", cut.n_cut()))
}

/// An index without a template, whose mapping comes from its first document.
fn mapping_conflict(ground: &Ground, node: &Node) -> Result<String, Failure> {
    /// Good events before and after the odd one.
    const GOOD: usize = 100;
    let index = "real-audit";
    let configuration = json!({"url": node.url(), "apiKey": "", "index": index});
    // idstream's own audit logs have changes of every kind.
    let other = json!({
        "accountEventStreaming": {"enabled": false, "nativeClaims": []},
        "eventHookLogStreaming": {"enabled": false},
        "filter": {"exclude": {"sources": ["idstream"]}},
    });
    let id = ground.configure_with("conflict", "elasticsearch", configuration, other)?;
    let first = [ground.audit_log(json!(12))?];
    let mut good = ground.post_lines(&first)?;
    ground.delivered(&id, "confirmed")?;
    let mut lines = (0..=2 * GOOD).map(|n| ground.audit_log(json!(n))).collect::<Result<Vec<_>, _>>()?;
    if let Some(odd) = lines.get_mut(GOOD) {
        *odd = ground.audit_log(json!({"an": "object"}))?;
    }
    good.extend(ground.post_lines(&lines)?);
    let odd = good.remove(1 + GOOD);
    ground.settled(&id)?;
    let list = ground.call("GET", &format!("{STREAMING}/{id}/quarantine?standing=quarantined"), None)?;
    let content = list.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
    let [entry] = content.as_slice() else { return Err(format!("in quarantine is not one: {list}").into()) };
    if text_field(entry, "eventID")? != odd.to_string() {
        return Err(format!("in quarantine is not {odd}: {entry}").into());
    }
    let counts = ground.proven(&good, &node.found(index, "eventID.keyword")?, stored)?.without_copies()?;
    ground.remove(&id)?;
    let cause = text_field(entry, "reason")?;
    let kind = cause.split([':', ' ']).next().unwrap_or_default();
    Ok(format!("{counts}, 1 quarantined ({kind})"))
}
