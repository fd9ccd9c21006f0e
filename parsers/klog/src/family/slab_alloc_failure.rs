//! `SLUB: Unable to allocate memory on node -1 (gfp=0x80d0)` with its cache and node lines, and SLAB's form.

use std::collections::BTreeMap;

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_finish};
use crate::cursor::{Cursor, has, number_after};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "slab_alloc_failure",
    anchors: &["Unable to allocate memory on "],
    from: From::Kernel,
    open,
    body,
    finish: no_finish,
    kind: kind(
        "log.slab_alloc_failure",
        "The slab allocator could not get memory for an object",
        &[
            field("allocator", FieldType::Text, "", "SLUB or SLAB"),
            field("node", FieldType::Int, "", "node asked for; -1 is any"),
            field("gfp", FieldType::Int, "", "allocation flags"),
            field("gfp_names", FieldType::Text, "", "their names, where the kernel prints them"),
            field("on_cpu", FieldType::Int, "", "CPU that asked (6.12 and later)"),
            field("cache", FieldType::Text, "", "cache as printed"),
            field(
                "root_cache",
                FieldType::Text,
                "",
                "cache without the memory-cgroup part; only for per-cgroup caches",
            ),
            field(
                "memcg_id",
                FieldType::Int,
                "",
                "number in the parenthesis: kmem id (3.10) or css serial number (4.x)",
            ),
            field("memcg_name", FieldType::Text, "", "directory name of the memory cgroup"),
            field("object_size", FieldType::Int, "bytes", "object size"),
            field("buffer_size", FieldType::Int, "bytes", "object with its debug data"),
            field("order", FieldType::Int, "", "default order"),
            field("min_order", FieldType::Int, "", "minimum order"),
            field("nodes", FieldType::List, "", "per node: node, slabs, objs, free"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let mut c = Cursor::new(line.text());
    let allocator = if c.take("SLUB: ") {
        "SLUB"
    } else if c.take("SLAB: ") {
        "SLAB"
    } else {
        return None;
    };
    if !c.take("Unable to allocate memory on ") {
        return None;
    }
    let mut event = Event::new(FAMILY.name, class::SLAB_ALLOC_FAILURE, Severity::Failure).with("allocator", allocator);
    if c.take("CPU ") {
        event = event.with_opt("on_cpu", c.number());
        c.skip_past(" on ");
    }
    if !c.take("node ") {
        return None;
    }
    event = event.with("node", c.int()?);
    if c.skip_past("gfp=") {
        event = event.with_opt("gfp", c.hex());
        if c.take("(") {
            event = event.with_opt("gfp_names", c.until(")"));
        }
    }
    event.title = format!("{allocator}: unable to allocate memory");
    Opened::lines(event)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let mut c = Cursor::new(text);
    let event = &mut report.event;
    if c.take("cache: ") {
        let Some(cache) = c.until(", object size: ") else { return Step::Pass };
        event.set("cache", cache);
        if let Some((root, id, name)) = memcg_cache(cache) {
            event.set("root_cache", root);
            event.set("memcg_id", id);
            event.set("memcg_name", name);
        }
        event.title = format!("{} for {}", event.title, memcg_cache(cache).map_or(cache, |(root, ..)| root));
        for (name, label) in [
            ("object_size", "object size: "),
            ("buffer_size", "buffer size: "),
            ("order", "default order: "),
            ("min_order", "min order: "),
        ] {
            if let Some(n) = number_after(text, label) {
                event.set(name, n);
            }
        }
        return Step::Take;
    }
    if c.take("node ") {
        let Some(node) = c.number() else { return Step::Pass };
        if !c.take(": slabs: ") {
            return Step::Pass;
        }
        let mut record = BTreeMap::from([("node".to_owned(), Value::from(node))]);
        for (name, label) in [("slabs", "slabs: "), ("objs", "objs: "), ("free", "free: ")] {
            if let Some(n) = number_after(text, label) {
                record.insert(name.to_owned(), n.into());
            }
        }
        match event.fields.get_mut("nodes") {
            // 1024 is the most nodes a kernel can have.
            Some(Value::List(nodes)) if nodes.len() < 1024 => nodes.push(Value::Record(record)),
            Some(_) => {}
            None => event.set("nodes", vec![record]),
        }
        return Step::Take;
    }
    if has(text, "debugging increased min order") {
        return Step::Take;
    }
    // The next failure begins.
    if has(text, "Unable to allocate memory on ") { Step::Stop } else { Step::Pass }
}

/// `dentry(123:id)`: root cache, id, cgroup.
fn memcg_cache(cache: &str) -> Option<(&str, u64, &str)> {
    let (root, inside) = cache.split_once('(')?;
    let (id, name) = inside.strip_suffix(')')?.split_once(':')?;
    Some((root, id.parse().ok()?, name))
}
