//! The commands that look around in a dump, against what drgn and crash found in it (`testdata/vmcores`).

mod addresses;
mod given;
mod machine;
mod page;
mod tasks;

use assert_cmd::Command;
use serde_json::Value;

const NETDEV: &str = "testdata/vmcores/netdev-leak.kdump";
const ABBA: &str = "testdata/vmcores/deadlock-abba.kdump";

fn vmcoroner(args: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("vmcoroner").expect("the binary is built");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().expect("it runs")
}

fn json(args: &[&str]) -> Value {
    let output = vmcoroner(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text(args: &[&str]) -> String {
    let output = vmcoroner(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name} in {value:#}"))
}
