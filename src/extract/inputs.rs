//! Walks the inputs and hands each member to its parser.

use std::path::{Path, PathBuf};

use bundle::{ContentKind, Flow, Limits, Member, Source};
use dump::Dump;
use facts::Gap;

use super::piece::Piece;
use super::{Options, dump as dumps, join, log};
use crate::case::Case;

/// The largest text member that is read. A log beyond it is read to here, and the rest is a gap.
const MAX_TEXT: usize = 1 << 30;
/// The largest member of the node's state that is read.
const MAX_STATE: usize = 16 << 20;
/// The largest dump that is read from inside an archive into memory.
const MAX_DUMP_IN_MEMORY: usize = 2 << 30;

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
        "expected a dump, a kernel log or a support bundle, found nothing that can be read in {0}; \
         `vmcoroner info` names the format of a file"
    )]
    Nothing(String),
}

/// A dump found among the inputs.
pub struct Opened {
    /// Its name.
    pub member: String,
    /// The dump.
    pub dump: Dump,
}

/// Everything found so far.
#[derive(Default)]
struct Found {
    pieces: Vec<Piece>,
    dump_paths: Vec<PathBuf>,
    dumps: Vec<Opened>,
    saved: Vec<Case>,
    gaps: Vec<Gap>,
    errors: Vec<Error>,
    streams: usize,
    members: usize,
    dumps_only: bool,
}

/// Reads all inputs (`-` is standard input) and joins them to cases, the one to report first in front.
pub fn gather(inputs: &[PathBuf], options: &Options) -> Result<Vec<Case>, Error> {
    let mut found = walk_all(inputs, false)?;
    let mut pieces = std::mem::take(&mut found.pieces);
    for opened in &found.dumps {
        pieces.push(dumps::read(&opened.dump, &opened.member, options));
    }
    if pieces.is_empty() && found.saved.is_empty() {
        let names: Vec<String> = inputs.iter().map(|p| p.display().to_string()).collect();
        return Err(found.errors.into_iter().next().unwrap_or(Error::Nothing(names.join(", "))));
    }
    let mut cases = join::cases(pieces);
    cases.extend(found.saved);
    if let Some(first) = cases.first_mut() {
        first.gaps.extend(found.gaps);
        for error in found.errors {
            first.gaps.push(Gap::new("an input", "", error.to_string(), ""));
        }
    }
    Ok(cases)
}

/// The case of one opened dump.
pub fn dump_case(opened: &Opened, options: &Options) -> Case {
    join::cases(vec![dumps::read(&opened.dump, &opened.member, options)]).pop().unwrap_or_default()
}

/// The cases of one text.
pub fn text_cases(member: &str, bytes: &[u8]) -> Vec<Case> {
    join::cases(log::read_text(member, bytes, 1))
}

/// The dumps among the inputs, nothing else.
pub fn dump_members(inputs: &[PathBuf]) -> Result<Vec<Opened>, Error> {
    let mut found = walk_all(inputs, true)?;
    if found.dumps.is_empty() {
        let names: Vec<String> = inputs.iter().map(|p| p.display().to_string()).collect();
        return Err(found.errors.pop().unwrap_or(Error::Nothing(names.join(", "))));
    }
    Ok(found.dumps)
}

fn walk_all(inputs: &[PathBuf], dumps_only: bool) -> Result<Found, Error> {
    let mut found = Found { dumps_only, ..Found::default() };
    for input in inputs {
        let single = !input.is_dir();
        let gaps = if input == Path::new("-") {
            let mut stdin = std::io::stdin().lock();
            bundle::walk(Source::Reader(&mut stdin, "stdin"), &Limits::default(), &mut |m| found.member(m, single))
        } else {
            bundle::walk(Source::Path(input), &Limits::default(), &mut |m| found.member(m, single))
        }?;
        found.gaps.extend(gaps);
    }
    found.open_dump_files();
    Ok(found)
}

impl Found {
    fn member(&mut self, mut member: Member<'_>, single: bool) -> Flow {
        self.members += 1;
        let name = member.name().to_owned();
        let nested = name.contains('!');
        // In a bundle the name decides first: what nobody wants is never decompressed.
        let path = member.path().to_owned();
        let state = false;
        if !(single && !nested) && !state && !looks_like_log(&path) && !looks_like_dump(&path) {
            return Flow::Continue;
        }
        let content = member.content();
        if content.is_dump() || matches!(content, ContentKind::OtherDump(_)) {
            self.dump(member, &name);
            return Flow::Skip;
        }
        if content.is_archive() || self.dumps_only {
            return Flow::Continue;
        }
        match content {
            ContentKind::Text | ContentKind::Utf16 | ContentKind::Binary => {
                if matches!(content, ContentKind::Binary) && !looks_like_log(&path) && !(single && !nested) {
                    return Flow::Skip;
                }
                self.text(member, &name, state);
                Flow::Skip
            }
            _ => Flow::Skip,
        }
    }

    fn dump(&mut self, mut member: Member<'_>, name: &str) {
        if !member.is_compressed()
            && let Some(path) = member.disk_path()
        {
            self.dump_paths.push(path.to_owned());
            return;
        }
        let bytes = member.read(MAX_DUMP_IN_MEMORY);
        if !bytes.whole {
            self.gaps.push(Gap::new(
                format!("the end of {name}"),
                name,
                format!("reading stopped after {} bytes", bytes.data.len()),
                "unpack the dump and give it as a file",
            ));
        }
        match Dump::from_bytes(vec![(name.to_owned(), bytes.data)]) {
            Ok(dump) => self.dumps.push(Opened { member: name.to_owned(), dump }),
            Err(error) => self.errors.push(Error::Dump { member: name.to_owned(), error }),
        }
    }

    /// Opens the dump files: together as the parts of one dump if they are that, else one by one.
    fn open_dump_files(&mut self) {
        let paths = std::mem::take(&mut self.dump_paths);
        let member = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if paths.len() > 1
            && let Ok(dump) = Dump::open(&paths)
        {
            let names: Vec<String> = paths.iter().map(|p| member(p)).collect();
            self.dumps.push(Opened { member: names.join("+"), dump });
            return;
        }
        for path in paths {
            match Dump::open(&[&path]) {
                Ok(dump) => self.dumps.push(Opened { member: member(&path), dump }),
                Err(error) => self.errors.push(Error::Dump { member: path.display().to_string(), error }),
            }
        }
    }

    fn text(&mut self, mut member: Member<'_>, name: &str, state: bool) {
        let limit = if state { MAX_STATE } else { MAX_TEXT };
        let bytes = member.read(limit);
        if !bytes.whole && bytes.data.len() >= limit {
            self.gaps.push(Gap::new(
                format!("the end of {name}"),
                name,
                format!("only the first {limit} bytes are read"),
                "",
            ));
        }
        if Case::is_saved(&bytes.data) {
            match Case::from_json(&String::from_utf8_lossy(&bytes.data)) {
                Ok(case) => self.saved.push(case),
                Err(error) => self.errors.push(Error::Case { member: name.to_owned(), error }),
            }
            return;
        }
        self.streams += 1;
        self.pieces.extend(log::read_text(name, &bytes.data, self.streams));
    }
}

/// Names under which kernel logs reach a support desk.
fn looks_like_log(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    const WORDS: [&str; 14] = [
        "dmesg",
        "messages",
        "syslog",
        "kern.log",
        "kernel.log",
        "console",
        "journal",
        "oops",
        "panic",
        "crash",
        "netconsole",
        "boot.msg",
        "warn",
        ".log",
    ];
    WORDS.iter().any(|word| name.contains(word))
}

/// Names under which dumps lie.
fn looks_like_dump(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    ["vmcore", "dump", ".elf", "core"].iter().any(|word| name.contains(word))
}
