//! What engineers paste: several files or tool outputs in one text.
//!
//! A paste is cut into sections at the marks that tools and people leave (`==> file <==`, `# cat file`, the headers
//! of supportconfig, the `path:value` lines of grep); each section goes to the reader of the file it names. Tool
//! outputs are recognised by their own header lines wherever they stand.

pub(crate) mod crash;
mod described;
mod marks;
pub(crate) mod profile;
pub(crate) mod slabtop;
pub(crate) mod stacks;
pub(crate) mod strace;
mod timed;
mod tracers;

use memchr::memmem;

use crate::node::{Input, Node};
use marks::Mark;

/// Longest text that is searched for sections.
const MOST: usize = 64 << 20;

/// Reads a text of unknown name. Returns whether anything in it was understood.
pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    if input.text.len() > MOST {
        let why = format!("a text of more than {MOST} bytes is not searched for pasted files");
        node.gap("pasted files", input.member, &why, "the sections alone");
        return false;
    }
    let counts = |node: &Node| (node.facts.len(), node.groups.by_path.len(), node.groups.controllers.len());
    let before = counts(node);
    sections(node, input);
    for (words, reader) in READERS {
        if words.iter().all(|any| any.iter().any(|word| occurs(input.text, word))) {
            reader(node, input);
        }
    }
    counts(node) != before
}

type Reader = fn(&mut Node, &Input<'_>);

/// The readers of tool outputs, each behind the words without which it finds nothing: one of each group. Most texts have
/// none of them, and a search for words is far cheaper than a look at each line.
const READERS: &[(&[&[&str]], Reader)] = &[
    (&[&["\ntime ", "  time ", "\ttime ", "# time ", "$ time ", "sudo time ", "/time "]], timed::read),
    (&[&["% time ", " = -1 E", ">"], &["usecs/call", " = "]], strace::read),
    (&[&[";"]], profile::folded),
    (&[&["# Overhead", "# Children", "flat%"]], profile::tables),
    (&[&["PeriodType:"], &["Samples:"]], profile::raw),
    (&[&["OBJS ACTIVE"]], slabtop::in_text),
    (&[&["NODENAME: ", "   RELEASE: ", "DUMPFILE: ", "     PANIC: "]], crash::banner),
    (&[&["OBJSIZE"]], crash::kmem),
    (&[&["PPID"]], crash::tasks),
    (&[&["PID: "], &["TASK: "]], crash::backtraces),
    (&[&["[<0>] ", "/stack", "#0  ", "#1  ", "\n#0 ", "\n#1 ", "\n#2 "]], stacks::read),
    (&[&[" us ", " RVAL FUNC"], &["/* ", "LAT("]], tracers::funcslower),
    (&[&["COMM"], &["PID"], &["FD FILE", "FD  ", "FD ERR"]], tracers::opensnoop),
    (&[&["%usr"]], tracers::pidstat),
    (&[&["Kernel Version: "]], described::read),
];

/// Whether a word occurs; one that begins a line also at the start of the text.
fn occurs(text: &str, word: &str) -> bool {
    memmem::find(text.as_bytes(), word.as_bytes()).is_some()
        || word.strip_prefix('\n').is_some_and(|word| text.starts_with(word))
}

/// Whether a line says that a cgroup control file, or its value, follows.
pub(crate) fn names_control_file(line: &str) -> bool {
    match marks::of(line) {
        Some(Mark::File(path) | Mark::Value(path, _)) => path.contains('/') && crate::cgroup::File::is(path),
        _ => false,
    }
}

/// Cuts at the marks and hands each piece to the reader of its path.
fn sections(node: &mut Node, input: &Input<'_>) {
    let root = relative_root(input.text);
    let in_tree = |path: &str| match (root, path.strip_prefix("./")) {
        (Some(root), Some(below)) => format!("{root}/{below}"),
        _ => path.to_owned(),
    };
    let mut open: Option<(String, usize, u64)> = None;
    let mut grep: Vec<(String, String, u64)> = Vec::new();
    let mut at = 0;
    for (index, line) in input.text.split_inclusive('\n').enumerate() {
        let start = at;
        at += line.len();
        let plain = line.trim_end_matches(['\n', '\r']);
        match marks::of(plain) {
            Some(Mark::File(path)) => {
                close(node, input, open.take(), start);
                open = Some((in_tree(path), at, index as u64 + 1));
            }
            Some(Mark::End) => close(node, input, open.take(), start),
            Some(Mark::Value(path, value)) => {
                close(node, input, open.take(), start);
                let path = in_tree(path);
                if grep.last().is_some_and(|(p, _, _)| *p == path) {
                    if let Some((_, text, _)) = grep.last_mut() {
                        text.push('\n');
                        text.push_str(value);
                    }
                } else {
                    flush(node, input, &mut grep);
                    grep.push((path, value.to_owned(), index as u64));
                }
            }
            Some(Mark::Directory(path)) => {
                if let Some((tree, inside)) = crate::cgroup::tree::split(path) {
                    crate::cgroup::tree::add_directory(&mut node.groups, &tree, &inside, input.member);
                }
            }
            None => {}
        }
    }
    flush(node, input, &mut grep);
    close(node, input, open, input.text.len());
}

/// The hierarchy whose root a dump with relative names was made in: `./cgroup.sane_behavior` stands only at the root of
/// a v1 hierarchy, `./cgroup.subtree_control` without `./cgroup.events` only at that of v2.
fn relative_root(text: &str) -> Option<&'static str> {
    let starts = |name: &str| {
        memmem::find_iter(text.as_bytes(), name).any(|at| at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))
    };
    memmem::find(text.as_bytes(), b"./")?;
    let memory = starts("./memory.stat") || starts("==> ./memory.stat <==");
    if (starts("./cgroup.sane_behavior:") || starts("./release_agent:")) && memory {
        return Some("sys/fs/cgroup/memory");
    }
    let v2 = starts("./cgroup.subtree_control:") && starts("./cgroup.controllers:") && !starts("./cgroup.events:");
    v2.then_some("sys/fs/cgroup")
}

fn flush(node: &mut Node, input: &Input<'_>, grep: &mut Vec<(String, String, u64)>) {
    for (path, text, before) in grep.drain(..) {
        piece(node, input, &path, &text, before);
    }
}

fn close(node: &mut Node, input: &Input<'_>, open: Option<(String, usize, u64)>, end: usize) {
    let Some((path, start, before)) = open else { return };
    piece(node, input, &path, input.text.get(start..end).unwrap_or_default(), before);
}

fn piece(node: &mut Node, input: &Input<'_>, path: &str, text: &str, before: u64) {
    // A piece is never searched for pieces again: its place before the first line keeps `take` from it.
    let piece = Input { path, member: input.member, text, before: input.before + before.max(1) };
    node.seen(path);
    node.take(&piece);
}
