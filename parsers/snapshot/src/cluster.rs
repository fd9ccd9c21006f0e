//! What Kubernetes knows of its nodes, API objects and events: `kubectl cluster-info dump`, must-gather,
//! `kubectl get node -o json`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use facts::{Fact, Identity, Origin};
use serde_json::Value;

use crate::text::quote;

/// Most nodes that one list is read for.
const MOST: usize = 20_000;

/// The nodes of a `NodeList` or a single `Node` object: who each is, and its conditions (`node.condition`).
pub fn cluster_nodes(member: &str, object: &Value) -> Vec<(Identity, Vec<Fact>)> {
    match object.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().take(MOST).filter_map(|item| node(member, item)).collect(),
        None => node(member, object).into_iter().collect(),
    }
}

fn node(member: &str, item: &Value) -> Option<(Identity, Vec<Fact>)> {
    let kind = item.get("kind").and_then(Value::as_str);
    if !matches!(kind, None | Some("Node")) {
        return None;
    }
    let info = item.pointer("/status/nodeInfo")?;
    let text = |name: &str| info.get(name).and_then(Value::as_str).filter(|t| !t.is_empty() && t.len() < 300);
    let id = |name: &str| text(name).map(|t| t.replace('-', "").to_ascii_lowercase()).filter(|t| t.len() == 32);
    let name = item.pointer("/metadata/name").and_then(Value::as_str);
    let identity = Identity {
        host: name.map(str::to_owned),
        machine_id: id("machineID"),
        boot_id: id("bootID"),
        kernel: text("kernelVersion").map(str::to_owned),
        arch: text("architecture").map(|arch| match arch {
            "amd64" => "x86_64".to_owned(),
            "arm64" => "aarch64".to_owned(),
            other => other.to_owned(),
        }),
        ..Identity::default()
    };
    let mut facts = Vec::new();
    for condition in item.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten().take(100) {
        let value = |name: &str| condition.get(name).and_then(Value::as_str);
        let (Some(kind), Some(status)) = (value("type"), value("status")) else { continue };
        let quoted = format!("{} {kind}={status}: {}", name.unwrap_or_default(), value("message").unwrap_or_default());
        facts.push(
            Fact::new("node.condition", Origin::whole(member))
                .with("type", kind)
                .with("status", status)
                .with_opt("reason", value("reason"))
                .with_opt("message", value("message").map(quote))
                .with_opt("since", value("lastTransitionTime"))
                .quoting(quote(&quoted)),
        );
    }
    Some((identity, facts))
}

/// Most lines that one list of events is read for.
const MOST_LINES: usize = 200_000;

/// Warnings among events, as lines of a log that has those of all nodes: `TIME HOST kernel: message` for what
/// node-problem-detector found in a node's kernel log, `TIME HOST kubelet: message` for the others. An event that came
/// again has a line for its first time and one for its last.
pub fn cluster_events(object: &Value) -> String {
    let mut lines: BTreeSet<String> = BTreeSet::new();
    let single = std::slice::from_ref(object);
    let items = object.get("items").and_then(Value::as_array).map_or(single, Vec::as_slice);
    for item in items {
        if lines.len() >= MOST_LINES {
            break;
        }
        warning(item, &mut lines);
    }
    let mut log = String::new();
    lines.iter().for_each(|line| {
        let _ = writeln!(log, "{line}");
    });
    log
}

/// The lines of one event, of `v1` or of `events.k8s.io/v1`.
fn warning(item: &Value, lines: &mut BTreeSet<String>) {
    let text = |path: &str| item.pointer(path).and_then(Value::as_str).filter(|t| !t.is_empty());
    let either = |one: &str, other: &str| text(one).or_else(|| text(other));
    if text("/type").is_some_and(|kind| kind == "Normal") && text("/reason").is_none_or(|reason| reason != "Rebooted") {
        return;
    }
    let Some(message) = either("/message", "/note") else { return };
    let source = either("/source/component", "/reportingController").or_else(|| text("/deprecatedSource/component"));
    let source = source.unwrap_or_default();
    let about_node = either("/involvedObject/kind", "/regarding/kind") == Some("Node");
    let named = either("/involvedObject/name", "/regarding/name").filter(|_| about_node);
    let host = either("/source/host", "/deprecatedSource/host").or(named);
    let Some(host) = host.filter(|host| !host.contains(char::is_whitespace)) else { return };
    // Monitors of node-problem-detector that read the kernel's log, by their configurations.
    let of_kernel = ["kernel-monitor", "abrt-adaptor", "kernel"].iter().any(|monitor| source.starts_with(monitor));
    let unit = if of_kernel { "kernel" } else { "kubelet" };
    let times = [
        either("/firstTimestamp", "/deprecatedFirstTimestamp").or_else(|| text("/eventTime")),
        either("/lastTimestamp", "/deprecatedLastTimestamp").or_else(|| text("/series/lastObservedTime")),
    ];
    for time in times.into_iter().flatten().filter(|time| time.len() >= 19 && time.is_ascii()) {
        for line in message.lines().take(200) {
            let line: String = line.chars().take(4096).collect();
            lines.insert(format!("{time} {host} {unit}: {line}"));
        }
    }
}

/// Whether the first bytes of a text are those of nodes or events, whatever its name is.
pub fn is_cluster_objects(head: &[u8]) -> bool {
    // Nearly all texts are none by their first bytes.
    if !head.trim_ascii_start().starts_with(b"{") && !head.starts_with(b"apiV") && !head.starts_with(b"---\n") {
        return false;
    }
    let head = String::from_utf8_lossy(head);
    let json = head.trim_start().starts_with('{');
    let yaml = head.starts_with("apiVersion: ") || head.starts_with("---\napiVersion: ");
    let kinds: &[&str] = match (json, yaml) {
        (true, _) => &["\"kind\": \"Node", "\"kind\":\"Node", "\"kind\": \"Event", "\"kind\":\"Event"],
        (_, true) => &["kind: Node\n", "kind: NodeList\n", "kind: Event\n", "kind: EventList\n"],
        _ => return false,
    };
    kinds.iter().any(|kind| head.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_become_lines_of_their_nodes() {
        let list = serde_json::json!({"kind": "EventList", "items": [
            {"type": "Warning", "reason": "TaskHung", "message": "INFO: task docker:20744 blocked for more than 120 seconds.",
             "involvedObject": {"kind": "Node", "name": "w1"}, "source": {"component": "kernel-monitor", "host": "w1"},
             "firstTimestamp": "2024-01-05T10:11:12Z", "lastTimestamp": "2024-01-05T10:15:12Z", "count": 3},
            {"type": "Warning", "reason": "FailedCreatePodSandBox", "note": "mkdir /sys/fs/cgroup/memory/x: no space left on device",
             "regarding": {"kind": "Pod", "name": "p"}, "deprecatedSource": {"component": "kubelet", "host": "w2"},
             "eventTime": "2024-01-05T10:12:12.000001Z"},
            {"type": "Normal", "reason": "Pulled", "message": "x", "source": {"host": "w1"}, "firstTimestamp": "2024-01-05T10:11:12Z"},
            {"type": "Warning", "reason": "Failed", "message": "no host", "firstTimestamp": "2024-01-05T10:11:12Z"}]});
        let log = cluster_events(&list);
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(
            lines,
            [
                "2024-01-05T10:11:12Z w1 kernel: INFO: task docker:20744 blocked for more than 120 seconds.",
                "2024-01-05T10:12:12.000001Z w2 kubelet: mkdir /sys/fs/cgroup/memory/x: no space left on device",
                "2024-01-05T10:15:12Z w1 kernel: INFO: task docker:20744 blocked for more than 120 seconds.",
            ]
        );
        assert!(
            is_cluster_objects(b"{\n    \"kind\": \"NodeList\",")
                && is_cluster_objects(b"apiVersion: v1\nkind: Node\n")
        );
        assert!(!is_cluster_objects(b"{\"kind\": \"Pod\"") && !is_cluster_objects(b"kind: Node\n"));
    }

    #[test]
    fn nodes_have_an_identity_and_conditions() {
        let list = serde_json::json!({"kind": "NodeList", "items": [
            {"metadata": {"name": "w1"}, "status": {
                "nodeInfo": {"kernelVersion": "5.10.0-18-amd64", "bootID": "11111111-2222-3333-4444-555555555555",
                             "machineID": "0123456789abcdef0123456789abcdef", "architecture": "amd64"},
                "conditions": [{"type": "KernelDeadlock", "status": "True", "reason": "DockerHung", "message": "task docker:1"}]}},
            {"metadata": {"name": "w2"}}]});
        let nodes = cluster_nodes("nodes.json", &list);
        assert_eq!(nodes.len(), 1);
        let (identity, facts) = &nodes[0];
        assert_eq!(identity.boot_id.as_deref(), Some("11111111222233334444555555555555"));
        assert_eq!((identity.host.as_deref(), identity.arch.as_deref()), (Some("w1"), Some("x86_64")));
        assert_eq!(facts[0].text("reason"), Some("DockerHung"));
        assert!(crate::kinds::keeps_to_table(&facts[0]).is_ok());
    }
}
