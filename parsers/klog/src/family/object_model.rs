//! The kernel's tree of objects, used wrongly by a driver: a name that is there already, a node that was given back too
//! often. Each prints a trace and no `WARNING` before it.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{between, has, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "object_model",
    anchors: &["annot create duplicate filename '", "Bad of_node_put() on ", "kobject_add_internal failed for "],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.object_model",
        "A driver adds a name that is there already, or gives a node back too often",
        &[
            field("what", FieldType::Text, "", "duplicate-name, node-put-too-often"),
            field("name", FieldType::Text, "", "the name"),
        ],
    ),
};

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |title: &str, what: &str, name: &str| {
        Event::new(FAMILY.name, class::WARNING, Severity::Report).titled(title).with("what", what).with("name", name)
    };
    // fs/sysfs/dir.c: sysfs_warn_dup(); up to 4.x a WARNING prints it.
    if text.starts_with("sysfs: cannot create duplicate filename '") {
        let name = between(text, "filename '", "'")?;
        return before
            .messages
            .is_empty()
            .then(|| Opened::trace(refused(new("sysfs: duplicate filename", "duplicate-name", name))))?;
    }
    if let Some((head, node)) = split(text, "Bad of_node_put() on ") {
        (head.starts_with("OF: ERROR: ") || head == "ERROR: ").then_some(())?;
        return Opened::trace(new("OF: bad of_node_put()", "node-put-too-often", node.trim()));
    }
    // What the caller says of the same, without the trace where the text has that.
    let name = between(text, "kobject_add_internal failed for ", " with -EEXIST")?;
    (before.current.is_none() && before.last.is_none_or(|last| !has(last, "sysfs"))).then_some(())?;
    Opened::line(refused(new("kobject: duplicate name", "duplicate-name", name)))
}

/// The kernel refuses the name and goes on: worth knowing, and not what a crash behind it is about.
fn refused(mut event: Event) -> Event {
    event.severity = Severity::Notice;
    event.with("consequence", "it was refused: the device or its attributes are not there")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_name_that_is_there_already_has_a_trace() {
        let text = "[ 5187.054662] sysfs: cannot create duplicate filename '/devices/virtual/block/bcache0/bcache'\n\
            [ 5187.054667] CPU: 2 PID: 567 Comm: bcache-register Not tainted 5.9.14-arch1-1 #1\n\
            [ 5187.054670] Call Trace:\n[ 5187.054681]  dump_stack+0x6b/0x83\n[ 5187.054686]  sysfs_warn_dup.cold+0x17/0x24\n\
            [ 5187.054723]  register_bdev+0x337/0x360 [bcache]\n\
            [ 5187.054800] kobject_add_internal failed for bcache with -EEXIST, don't try to register things with the same name in the same directory.\n";
        let found = events(text);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].stacks[0].functions().count(), 3);
        assert_eq!(fields(text, &["what", "name", "class"])[0], "duplicate-name");
        let node = "[    0.100000] OF: ERROR: Bad of_node_put() on /ocp/interconnect@4a000000/segment@0";
        assert_eq!(fields(node, &["what", "name"]), ["node-put-too-often", "/ocp/interconnect@4a000000/segment@0"]);
        assert!(events("[    1.100000] sysfs: /sys is mounted").is_empty());
    }
}
