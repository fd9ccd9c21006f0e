//! What Kubernetes knows of its nodes: `kubectl cluster-info dump`, must-gather, `kubectl get node -o json`.

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

#[cfg(test)]
mod tests {
    use super::*;

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
