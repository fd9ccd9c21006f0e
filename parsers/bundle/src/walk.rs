//! The walk: files, directories, archives, and archives in them.

use std::fs;
use std::io::Read;
use std::path::Path;

use facts::Gap;

use crate::archive;
use crate::archive::folder::Folder;
use crate::content::ContentKind;
use crate::limits::{Account, Limits, Taken};
use crate::member::{Lazy, Member, Peeked, Place, Raw};
use crate::names;

/// What is walked.
pub enum Source<'s> {
    /// A file or a directory.
    Path(&'s Path),
    /// A stream, standard input for instance, and the name its single member gets.
    Reader(&'s mut dyn Read, &'s str),
}

/// What the caller wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on. A member that is an archive and was not read by the caller is entered.
    Continue,
    /// Go on without entering this member.
    Skip,
    /// End the walk.
    Stop,
}

/// Nothing at all could be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path cannot be opened.
    #[error("expected a readable file or directory at {path}, found: {why}; check the path and the permissions")]
    Open {
        /// The path as given.
        path: String,
        /// The reason the system gave.
        why: std::io::Error,
    },
}

/// The callback of a walk.
pub(crate) type Visit<'v> = dyn FnMut(Member<'_>) -> Flow + 'v;

/// Walks a file, a directory or a stream, and calls `visit` for each member, names before bytes.
///
/// Directories are walked in sorted order and symbolic links in them are not followed; archives are walked in their
/// own order, in one pass. A file that is no archive is its own single member. An archive member is entered when its
/// name promises an archive, or when the caller looked at its [`Member::content`] and it is one; the callback is
/// called for it first. What could not be read is in the returned gaps.
///
/// # Errors
/// Only when the path itself cannot be opened.
pub fn walk(source: Source<'_>, limits: &Limits, visit: &mut dyn FnMut(Member<'_>) -> Flow) -> Result<Vec<Gap>, Error> {
    let account = Account::new(limits);
    match source {
        Source::Path(path) => {
            let open = |why| Error::Open { path: path.display().to_string(), why };
            let meta = fs::metadata(path).map_err(open)?;
            if meta.is_dir() {
                fs::read_dir(path).map_err(open)?;
                crate::archive::directory::walk(path, &account, visit);
            } else {
                let file = fs::File::open(path).map_err(open)?;
                let raw = path.file_name().unwrap_or(path.as_os_str());
                let (name, _) = names::clean(raw.as_encoded_bytes(), limits.name_bytes);
                top_file(path, file, name.into_owned(), meta.len(), &account, visit);
            }
        }
        Source::Reader(reader, name) => {
            let stream = Box::new(Taken { inner: reader, account: &account });
            let lazy = Lazy::new(name.to_owned(), None, &account, Raw::Stream(stream));
            top(lazy, &account, visit);
        }
    }
    Ok(account.into_gaps())
}

/// The input itself: entered at once when it is an archive.
fn top_file<'x>(
    path: &Path,
    mut file: fs::File,
    name: String,
    size: u64,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) {
    // A zip file's directory stands at its end: a file can seek there, a stream cannot.
    if Peeked::new(Box::new(&mut file)).kind() == ContentKind::Zip {
        archive::zip::walk_file(file, &name, 1, account, visit);
        return;
    }
    let place = Place { folder: Folder::named(Path::new("")).into(), file: path.into() };
    let lazy = Lazy::new(name, Some(size), account, Raw::Input(place));
    top(lazy, account, visit);
}

fn top<'x>(mut lazy: Lazy<'x>, account: &'x Account<'x>, visit: &mut Visit<'_>) {
    use crate::member::Entry;
    if lazy.content().is_archive() {
        let (name, kind, layers, stream) = lazy.into_stream();
        enter(kind, stream, &name, layers + 1, account, visit);
    } else {
        member(lazy, 0, account, visit);
    }
}

/// Shows one member to the caller and enters it when it is an archive.
pub(crate) fn member<'x>(mut lazy: Lazy<'x>, depth: u32, account: &'x Account<'x>, visit: &mut Visit<'_>) -> Flow {
    if !account.count_member() {
        let why = format!("more than {} members", account.limits.members);
        account.gap("further members", &name_of(&lazy), why, "a smaller selection of files");
        return Flow::Stop;
    }
    match visit(Member { entry: &mut lazy }) {
        Flow::Stop => return Flow::Stop,
        Flow::Skip => return Flow::Continue,
        Flow::Continue => {}
    }
    if lazy.was_read() || !lazy.may_be_archive() {
        return Flow::Continue;
    }
    let (name, kind, layers, stream) = lazy.into_stream();
    if kind.is_archive() {
        return enter(kind, stream, &name, depth + layers + 1, account, visit);
    }
    if let ContentKind::OtherArchive(format) = kind {
        let why = format!("{format} is recognised but not read");
        account.gap("archive", &name, why, "the files packed as tar or zip");
    }
    Flow::Continue
}

fn name_of(lazy: &Lazy<'_>) -> String {
    use crate::member::Entry;
    lazy.name().to_owned()
}

/// Walks an opened archive.
pub(crate) fn enter<'x>(
    kind: ContentKind,
    stream: Box<dyn Read + 'x>,
    name: &str,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> Flow {
    if depth > account.limits.depth {
        let why = format!("archives are nested deeper than {}", account.limits.depth);
        account.gap("archive", name, why, "the inner archive alone");
        return Flow::Continue;
    }
    match kind {
        ContentKind::Tar => archive::tar::walk(stream, name, depth, account, visit),
        ContentKind::Cpio => archive::cpio::walk(stream, name, depth, account, visit),
        ContentKind::Zip => archive::zip::walk_stream(stream, name, depth, account, visit),
        _ => Flow::Continue,
    }
}
