//! Walks the inputs and hands each member to its parser.

mod logs;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use bundle::{ContentKind, Flow, Limits, Member, Source};
use dump::Dump;
use facts::Gap;

use super::layouts::{self, Role};
use super::naming::{self, Naming};
use super::piece::Piece;
use super::temporary::Temporary;
use super::{Options, apport, cluster, dump as dumps, hosts, join, log, pstore, recognise};
use crate::case::Case;

/// The largest journal or saved case that is read. Logs are read to their end, in pieces.
const MAX_TEXT: usize = 1 << 30;
/// The largest member of the node's state that is read.
const MAX_STATE: usize = 16 << 20;
/// The largest text of unknown name that is searched for pasted output.
const MAX_PASTED: usize = 4 << 20;
/// The largest dump that is read from inside an archive into memory, and into a temporary file.
const MAX_DUMP_IN_MEMORY: usize = 2 << 30;
const MAX_DUMP_ON_DISK: u64 = 256 << 30;

/// Endings of texts that are programs: they hold the words of the kernel, and report nothing.
const SOURCES: &[&str] = &[
    "c", "h", "S", "s", "cc", "cpp", "hpp", "rs", "py", "pl", "sh", "go", "js", "ts", "java", "rb", "lua", "awk",
    "css", "svg", "diff", "patch", "toml", "lock", "spec", "mk",
];

/// Why nothing could be analysed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input could not be opened.
    #[error(transparent)]
    Open(#[from] bundle::Error),
    /// A dump could not be opened.
    #[error("{member}: {error}")]
    Dump {
        /// The dump.
        member: String,
        /// Why.
        error: dump::Error,
    },
    /// No temporary file could be made for a dump.
    #[error("{member}: no file can be made in {directory}: {error}; --temp-dir DIR names another directory")]
    Temporary {
        /// The dump.
        member: String,
        /// The directory that was named.
        directory: String,
        /// Why.
        error: std::io::Error,
    },
    /// The directory for temporary files is none.
    #[error("{0} is no directory that files can be made in; --temp-dir DIR names one that is there")]
    NoTemporary(String),
    /// A saved case could not be loaded.
    #[error("{member}: {error}")]
    Case {
        /// The file.
        member: String,
        /// Why.
        error: crate::case::LoadError,
    },
    /// Nothing in the inputs is of any known kind.
    #[error(
        "expected a dump, a kernel log or a support bundle, found nothing that can be read in {0}; `file` may say what it \
         is"
    )]
    Nothing(String),
}

/// A dump found among the inputs.
pub struct Opened {
    /// Its name.
    pub member: String,
    /// The dump.
    pub dump: Dump,
    /// The folder it lies in, unless it was unpacked from an archive.
    pub folder: Option<PathBuf>,
}

/// Everything found so far.
#[derive(Default)]
struct Found {
    pieces: Vec<Piece>,
    /// Root of the member at hand with the state of its node, and the folder for which the root was found out.
    root: String,
    node: snapshot::Node,
    folder: String,
    /// State of the other nodes by the roots of their reports.
    nodes: BTreeMap<String, snapshot::Node>,
    /// It is one of `/proc` or `/sys`, and not the one of pstore's records.
    is_virtual: bool,
    /// Dump files on disk, and their names.
    dump_paths: Vec<(PathBuf, String)>,
    /// Files that dumps of archives were unpacked to; each goes when the dump is open.
    temporary: Vec<Temporary>,
    temp_dir: Option<PathBuf>,
    dumps: Vec<Opened>,
    saved: Vec<Case>,
    pstore: Vec<pstore::Part>,
    gaps: Vec<Gap>,
    errors: Vec<Error>,
    streams: usize,
    members: usize,
    /// Full name and path of a member: buffers.
    names: (String, String),
    /// Bytes of a text: a buffer.
    buffer: Vec<u8>,
    texts: usize,
    dumps_only: bool,
}

/// Reads all inputs (`-` is standard input) and joins them to cases, the one to report first in front.
pub fn gather(inputs: &[PathBuf], options: &Options) -> Result<Vec<Case>, Error> {
    cases_of(inputs, options, |pieces| join::concluded(join::cases(pieces, false)))
}

/// The same without what follows from the facts, for those who want to see the facts alone.
pub fn gather_facts(inputs: &[PathBuf], options: &Options) -> Result<Vec<Case>, Error> {
    cases_of(inputs, options, |pieces| join::cases(pieces, options.log_only))
}

fn cases_of(
    inputs: &[PathBuf],
    options: &Options,
    join: impl FnOnce(Vec<Piece>) -> Vec<Case>,
) -> Result<Vec<Case>, Error> {
    let mut found = walk_all(inputs, false, options.temp_dir.as_deref())?;
    let mut pieces = std::mem::take(&mut found.pieces);
    for opened in &found.dumps {
        pieces.push(dumps::read(opened, options));
    }
    if pieces.is_empty() && found.saved.is_empty() && found.texts == 0 {
        let names: Vec<String> = inputs.iter().map(|p| p.display().to_string()).collect();
        return Err(found.errors.into_iter().next().unwrap_or(Error::Nothing(names.join(", "))));
    }
    let mut cases = join(pieces);
    cases.extend(found.saved);
    if cases.is_empty() {
        // Text was read, and nothing in it is of note: that is an answer too.
        cases.push(Case { sources: std::iter::once("log".to_owned()).collect(), ..Case::default() });
    }
    if let Some(first) = cases.first_mut() {
        first.gaps.extend(found.gaps);
        for error in found.errors {
            first.gaps.push(Gap::new("an input", "", error.to_string(), "an undamaged copy of it"));
        }
    }
    Ok(cases)
}

/// The case of one opened dump.
pub fn dump_case(opened: &Opened, options: &Options) -> Case {
    let cases = join::cases(vec![dumps::read(opened, options)], false);
    join::concluded(cases).pop().unwrap_or_default()
}

/// The cases of one text.
pub fn text_cases(member: &str, bytes: &[u8]) -> Vec<Case> {
    join::concluded(join::cases(log::read_text(member, bytes, 1), false))
}

/// The dumps among the inputs, nothing else. `temp_dir` as in [`Options`].
pub fn dump_members(inputs: &[PathBuf], temp_dir: Option<&Path>) -> Result<Vec<Opened>, Error> {
    let mut found = walk_all(inputs, true, temp_dir)?;
    if found.dumps.is_empty() {
        let names: Vec<String> = inputs.iter().map(|p| p.display().to_string()).collect();
        return Err(found.errors.pop().unwrap_or(Error::Nothing(names.join(", "))));
    }
    Ok(found.dumps)
}

fn walk_all(inputs: &[PathBuf], dumps_only: bool, temp_dir: Option<&Path>) -> Result<Found, Error> {
    if let Some(directory) = temp_dir.filter(|directory| !directory.is_dir()) {
        return Err(Error::NoTemporary(directory.display().to_string()));
    }
    let mut found = Found { dumps_only, temp_dir: temp_dir.map(Path::to_owned), ..Found::default() };
    let mut left_out = String::new();
    for input in inputs {
        let single = !input.is_dir();
        let mut naming = Naming::of(input, inputs.len() > 1);
        let before = found.pieces.len();
        let mut visit = |m: Member<'_>| found.member(m, &mut naming, single);
        let gaps = if input == Path::new("-") {
            let mut stdin = std::io::stdin().lock();
            bundle::walk(Source::Reader(&mut stdin, "stdin"), &Limits::default(), &mut visit)
        } else {
            bundle::walk(Source::Path(input), &Limits::default(), &mut visit)
        }?;
        found.gaps.extend(gaps);
        // An archive holds its files in any order.
        found.pieces.get_mut(before..).unwrap_or_default().sort_by(|a, b| a.member.cmp(&b.member));
        if inputs.len() == 1 {
            naming.left_out().clone_into(&mut left_out);
        }
    }
    found.open_dump_files(&left_out);
    found.finish();
    found.pieces.iter_mut().for_each(|piece| naming::shorten(piece, &left_out));
    found.gaps.iter_mut().for_each(|gap| naming::shorten_gap(gap, &left_out));
    found.gaps.sort();
    Ok(found)
}

/// What the name of a member says it is.
#[derive(Clone, Copy)]
struct Promise {
    role: Option<Role>,
    /// A file that `snapshot` reads.
    state: bool,
    /// It is the input, and no part of one.
    alone: bool,
}

impl Found {
    fn member(&mut self, member: Member<'_>, naming: &mut Naming, single: bool) -> Flow {
        self.members += 1;
        // One buffer for all names: most members are passed over by name.
        let (mut name, mut path) = std::mem::take(&mut self.names);
        naming.name(member.name(), &mut name);
        member.path().clone_into(&mut path);
        let flow = self.named(member, &name, &path, naming, single);
        self.names = (name, path);
        flow
    }

    fn named(&mut self, mut member: Member<'_>, name: &str, path: &str, naming: &Naming, single: bool) -> Flow {
        self.place(name);
        self.node().seen(path);
        // In a bundle the name decides first: what nobody wants is never decompressed.
        let alone = single && !name.contains('!');
        // Most files of a bundle are of /proc and /sys, where the name tells what a file holds.
        let of_kernel = self.is_virtual && !alone && !path.ends_with("/vmcore");
        if of_kernel && layouts::is_unread(path) {
            return Flow::Skip;
        }
        let role = if of_kernel { None } else { layouts::role(path) };
        let state =
            snapshot::wants(path) || matches!(role, Some(Role::Sections | Role::CaptureLog | Role::ClusterObjects));
        // A name that reminds of a dump promises nothing but one: `systemd-analyze_dump` is a megabyte of settings.
        let named = alone
            || state
            || role.is_some()
            || !of_kernel
                && (recognise::looks_like_log(path)
                    || recognise::looks_like_dump(path) && !matches!(member.content(), ContentKind::Text));
        if !named && (of_kernel || !self.recognised(&mut member, path, naming.depth(path))) {
            return Flow::Continue;
        }
        let content = member.content();
        if content.is_dump() || matches!(content, ContentKind::OtherDump(_)) {
            self.dump(member, name);
            return Flow::Skip;
        }
        if content.is_archive() || self.dumps_only {
            return Flow::Continue;
        }
        match content {
            ContentKind::Journal => {
                let bytes = self.bytes(&mut member, name, MAX_TEXT);
                self.journal(name, &bytes);
            }
            // A file without bytes is an answer too: `memory.kmem.slabinfo` of later kernels.
            ContentKind::Empty if state => {
                self.node().add(path, name, b"");
            }
            ContentKind::Text | ContentKind::Utf16 => self.text(member, name, path, Promise { role, state, alone }),
            // Serial consoles hold bytes that are no text.
            ContentKind::Binary if alone || recognise::looks_like_log(path) => {
                self.text(member, name, path, Promise { role, state, alone });
            }
            _ => {}
        }
        Flow::Skip
    }

    /// Sets the root of a member: that of its folder, and the members of a folder come together.
    fn place(&mut self, name: &str) {
        let folder = name.rfind(['/', '!']).and_then(|end| name.get(..=end)).unwrap_or_default();
        if self.folder != folder {
            folder.clone_into(&mut self.folder);
            self.set_root(layouts::node_root(folder));
            let inner = folder.rsplit_once('!').map_or(folder, |(_, inner)| inner);
            self.is_virtual = snapshot::is_virtual(inner) && !inner.contains("pstore");
        }
    }

    /// Whether the first bytes of a member of unknown name are something that is read. Only plain names are opened:
    /// what a name says to be a program or a picture is left alone.
    fn recognised(&mut self, member: &mut Member<'_>, path: &str, depth: usize) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let plain = name.rsplit_once('.').is_none_or(|(_, ending)| {
            matches!(ending, "txt" | "out" | "log" | "folded" | "raw" | "data" | "json" | "yaml" | "yml")
        });
        // A plain heap of files, not a bundle's depths: whatever is text is looked at, and the parts of a split dump have
        // any names.
        let heap = depth <= 1;
        if heap && member.content().is_dump() {
            return true;
        }
        let source = name.rsplit_once('.').is_some_and(|(_, ending)| SOURCES.contains(&ending));
        if self.dumps_only || !(plain || heap && !source) {
            return false;
        }
        member.content() == ContentKind::Text
            && (heap
                || snapshot::recognises(member.head())
                || snapshot::is_cluster_objects(member.head())
                || recognise::looks_like_kernel_text(member.head()))
    }

    /// The node whose report the member at hand belongs to.
    fn node(&mut self) -> &mut snapshot::Node {
        &mut self.node
    }

    fn set_root(&mut self, root: &str) {
        if self.root != root {
            let node = std::mem::replace(&mut self.node, self.nodes.remove(root).unwrap_or_default());
            self.nodes.insert(std::mem::replace(&mut self.root, root.to_owned()), node);
        }
    }

    /// The bytes of a member up to a limit; a limit that is hit is a gap.
    fn bytes(&mut self, member: &mut Member<'_>, name: &str, limit: usize) -> Vec<u8> {
        let bytes = member.read(limit);
        if !bytes.whole && bytes.data.len() >= limit {
            let why = format!("only the first {limit} bytes are read");
            self.gaps.push(Gap::new("the end of a file", name, why, "a smaller piece of it"));
        }
        bytes.data
    }

    fn dump(&mut self, mut member: Member<'_>, name: &str) {
        if !member.is_compressed()
            && let Some(path) = member.disk_path()
        {
            self.dump_paths.push((path.to_owned(), name.to_owned()));
            return;
        }
        if let Some(directory) = &self.temp_dir {
            match Temporary::of(member.reader(), directory, MAX_DUMP_ON_DISK) {
                Ok((file, cut)) => {
                    if let Some(why) = cut {
                        self.gaps.push(Gap::new(
                            "the end of a dump",
                            name,
                            why,
                            "unpack the dump and give it as a file",
                        ));
                    }
                    self.dump_paths.push((file.path().to_owned(), name.to_owned()));
                    self.temporary.push(file);
                }
                Err(error) => {
                    let directory = directory.display().to_string();
                    self.errors.push(Error::Temporary { member: name.to_owned(), directory, error });
                }
            }
            return;
        }
        let bytes = member.read(MAX_DUMP_IN_MEMORY);
        if !bytes.whole {
            let why = format!("reading into memory stopped after {} bytes", bytes.data.len());
            let closes = "--temp-dir DIR unpacks it to a file there; or unpack the dump and give it as a file";
            self.gaps.push(Gap::new("the end of a dump", name, why, closes));
        }
        match Dump::from_bytes(vec![(name.to_owned(), bytes.data)]) {
            Ok(dump) => self.dumps.push(Opened { member: name.to_owned(), dump, folder: None }),
            Err(error) => self.errors.push(Error::Dump { member: name.to_owned(), error }),
        }
    }

    /// Opens the dump files: together as the parts of one dump if they are that, else one by one. `left_out` is
    /// what names do without.
    fn open_dump_files(&mut self, left_out: &str) {
        let mut files = std::mem::take(&mut self.dump_paths);
        files.iter_mut().for_each(|(_, name)| naming::strip(name, left_out));
        self.dumps.iter_mut().for_each(|opened| naming::strip(&mut opened.member, left_out));
        let unpacked: Vec<PathBuf> = self.temporary.iter().map(|file| file.path().to_owned()).collect();
        let folder = |path: &PathBuf| match unpacked.contains(path) {
            true => None,
            // The folder of a bare name is the current one.
            false => path
                .parent()
                .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.to_owned()),
        };
        let paths: Vec<&PathBuf> = files.iter().map(|(path, _)| path).collect();
        if paths.len() > 1
            && let Ok(dump) = Dump::open(&paths)
        {
            let names: Vec<&str> = files.iter().map(|(_, name)| name.as_str()).collect();
            let folder = paths.first().and_then(|path| folder(path));
            self.dumps.push(Opened { member: names.join("+"), dump, folder });
            self.temporary.clear();
            return;
        }
        for (path, member) in files {
            match Dump::open(&[&path]) {
                Ok(dump) => self.dumps.push(Opened { member, dump, folder: folder(&path) }),
                Err(error) => self.errors.push(Error::Dump { member, error }),
            }
        }
        self.temporary.clear();
        self.dumps.sort_by(|a, b| a.member.cmp(&b.member));
    }

    fn text(&mut self, member: Member<'_>, name: &str, path: &str, promise: Promise) {
        // One buffer for all texts: fresh memory for each costs more than what is done with most of them.
        let mut bytes = std::mem::take(&mut self.buffer);
        self.text_with(member, name, path, promise, &mut bytes);
        if bytes.capacity() <= 2 * MAX_PASTED {
            bytes.clear();
            self.buffer = bytes;
        }
    }

    fn text_with(&mut self, mut member: Member<'_>, name: &str, path: &str, promise: Promise, bytes: &mut Vec<u8>) {
        let Promise { role, state, alone } = promise;
        let head = member.head().to_vec();
        if apport::is_report(&head) {
            self.texts += 1;
            self.apport(&mut member, name, path);
            return;
        }
        let by_name = state && !matches!(role, Some(Role::KernelLog | Role::NodeLog));
        // A short text ends with its head; how long another will be is only told by what holds it.
        let hint = if head.len() < 4096 { head.len() + 1 } else { member.size().map_or(0, |size| size as usize) };
        bytes.reserve(hint.min(MAX_PASTED) + 1);
        // An error is a gap of the walk; what was read before it counts.
        let _ = member.reader().take(MAX_STATE as u64).read_to_end(bytes);
        let mut whole = bytes.len() < MAX_STATE;
        let journal = role == Some(Role::Journal) || bundle::journal::sniff(&head).is_some();
        if !whole && (journal || Case::is_saved(bytes)) {
            bytes.extend(self.bytes(&mut member, name, MAX_TEXT));
            whole = true;
        }
        if !whole && (by_name || role == Some(Role::Pstore)) {
            let why = format!("only the first {MAX_STATE} bytes are read");
            self.gaps.push(Gap::new("the end of a file", name, why, "a smaller piece of it"));
        }
        self.texts += 1;
        if Case::is_saved(bytes) {
            match Case::from_json(&String::from_utf8_lossy(bytes)) {
                Ok(case) => self.saved.push(case),
                Err(error) => self.errors.push(Error::Case { member: name.to_owned(), error }),
            }
            return;
        }
        if journal {
            self.journal(name, bytes);
            return;
        }
        if role == Some(Role::Pstore) {
            self.pstore.push(pstore::Part::read(name, bytes));
            return;
        }
        if role == Some(Role::ClusterObjects) || role.is_none() && snapshot::is_cluster_objects(&head) {
            let told = cluster::read(name, bytes, self.streams + 1);
            self.streams += told.streams;
            self.gaps.extend(told.gaps);
            self.pieces.extend(told.pieces);
            return;
        }
        // What an engineer pasted has no name to go by: small texts are shown to the readers of pasted output, and a
        // text that was given alone may be a ticket with files and tool outputs in it.
        let pasted = || {
            role.is_none() && whole && (alone || bytes.len() <= MAX_PASTED) && !recognise::is_plain_log(&head, bytes)
        };
        let understood = (state || pasted() || snapshot::recognises(&head)) && self.node().add(path, name, bytes);
        // Sections hold logs among other files. What stands in `/proc` and `/sys` is what its name says; another name
        // promises a table, and never that no log stands beside it.
        if understood && by_name && role != Some(Role::Sections) {
            if role.is_none() && (alone || !self.is_virtual) {
                self.log_beside(name, bytes, member.reader());
            }
            return;
        }
        match role {
            Some(Role::Sections) if self.sections(name, bytes, member.reader()) => {}
            Some(Role::ManyHosts) => {
                let (pieces, machines) =
                    hosts::read(name, &mut bytes.as_slice().chain(member.reader()), self.streams + 1);
                self.streams += machines;
                self.pieces.extend(pieces);
            }
            _ => {
                let before = self.pieces.len();
                self.log(name, bytes, member.reader(), role == Some(Role::CaptureLog));
                // Bytes that are no text and hold no line of a kernel are nothing that was read.
                if member.content() == ContentKind::Binary && self.pieces.len() == before && !understood {
                    self.texts -= 1;
                }
            }
        }
    }

    /// What can only be said when every member was seen.
    fn finish(&mut self) {
        self.set_root("");
        self.folder.clear();
        for (name, text) in pstore::join(std::mem::take(&mut self.pstore)) {
            self.log(&name, &text, &mut std::io::empty(), false);
        }
        self.nodes.insert(std::mem::take(&mut self.root), std::mem::take(&mut self.node));
        for (root, node) in std::mem::take(&mut self.nodes) {
            let identity = node.identity();
            // What dmesg printed when the bundle was collected is of the boot whose state was collected.
            let of_collection = |p: &&mut Piece| p.stream.is_some() && p.root == root && p.of_collection;
            for piece in self.pieces.iter_mut().filter(of_collection) {
                if piece.identity.conflict(&identity).is_none() {
                    piece.identity.fill(&identity);
                }
            }
            let (facts, gaps) = node.finish();
            if facts.is_empty() && gaps.is_empty() {
                continue;
            }
            let sources = facts.iter().filter_map(|f| f.kind.split('.').next()).map(str::to_owned).collect();
            let member = if root.is_empty() { naming::NODE_STATE.to_owned() } else { root.clone() };
            let version_signature = facts.iter().find_map(|f| f.text("version_signature")).map(str::to_owned);
            let of_collection = true;
            let piece = Piece {
                identity,
                facts,
                gaps,
                sources,
                member,
                version_signature,
                root,
                of_collection,
                ..Piece::default()
            };
            self.pieces.push(piece);
        }
    }
}
