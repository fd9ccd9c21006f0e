//! A folder on disk that is held open: its files are opened by their names in it, not by their whole paths. A report has
//! ten thousand files a dozen folders deep, and looking paths up from the top was a tenth of the time of reading one.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    Link,
    /// Device, pipe or socket.
    Special,
}

/// A folder. It may have no handle of its own: see [`Folder::below`].
pub(crate) struct Folder {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    handle: Option<rustix::fd::OwnedFd>,
}

impl Folder {
    /// A path's text in front of all names: opens nothing.
    pub(crate) fn named(path: &Path) -> Folder {
        Folder {
            path: path.to_owned(),
            #[cfg(target_os = "linux")]
            handle: None,
        }
    }

    pub(crate) fn path_of(&self, file: &OsStr) -> PathBuf {
        self.path.join(file)
    }
}

#[cfg(target_os = "linux")]
mod by_handle {
    use std::os::unix::ffi::OsStrExt as _;

    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};

    use super::*;

    /// Room for the entries that one call yields.
    const ROOM: usize = 32 << 10;

    impl Folder {
        /// Opens the folder at `path`.
        pub(crate) fn open(path: &Path) -> io::Result<Folder> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let handle = openat(CWD, path, flags, Mode::empty())?;
            Ok(Folder { path: path.to_owned(), handle: Some(handle) })
        }

        /// Opens a folder in this one; never through a link.
        pub(crate) fn below(&self, name: &OsStr) -> io::Result<Folder> {
            let path = self.path_of(name);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let handle = match &self.handle {
                Some(handle) => openat(handle, name, flags, Mode::empty()),
                None => openat(CWD, &path, flags, Mode::empty()),
            }?;
            Ok(Folder { path, handle: Some(handle) })
        }

        /// Gives the handle back: what is in it is found by its path from here on.
        pub(crate) fn release(&mut self) {
            self.handle = None;
        }

        /// Opens a file in this folder.
        pub(crate) fn file(&self, name: &OsStr) -> io::Result<File> {
            match &self.handle {
                Some(handle) => Ok(openat(handle, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into()),
                None => File::open(self.path_of(name)),
            }
        }

        /// Shows each entry; one whose kind cannot be told is an error that the others outlast.
        pub(crate) fn entries(&self, show: &mut dyn FnMut(io::Result<(OsString, Kind)>)) {
            let Some(handle) = &self.handle else { return };
            let mut room = Vec::with_capacity(ROOM);
            let mut entries = RawDir::new(handle, room.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => return show(Err(error.into())),
                };
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let name = OsStr::from_bytes(name);
                // Some file systems do not tell it in the folder.
                let kind = match entry.file_type() {
                    FileType::Unknown => match statat(handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                        Err(error) => {
                            show(Err(error.into()));
                            continue;
                        }
                    },
                    kind => kind,
                };
                show(Ok((
                    name.to_owned(),
                    match kind {
                        FileType::Directory => Kind::Folder,
                        FileType::RegularFile => Kind::File,
                        FileType::Symlink => Kind::Link,
                        _ => Kind::Special,
                    },
                )));
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod by_path {
    use std::fs;

    use super::*;

    impl Folder {
        /// The folder at `path`.
        pub(crate) fn open(path: &Path) -> io::Result<Folder> {
            fs::read_dir(path)?;
            Ok(Folder::named(path))
        }

        /// A folder in this one.
        pub(crate) fn below(&self, name: &OsStr) -> io::Result<Folder> {
            Folder::open(&self.path_of(name))
        }

        /// There is no handle to give back.
        pub(crate) fn release(&mut self) {}

        /// Opens a file in this folder.
        pub(crate) fn file(&self, name: &OsStr) -> io::Result<File> {
            File::open(self.path_of(name))
        }

        /// Shows each entry; one whose kind cannot be told is an error that the others outlast.
        pub(crate) fn entries(&self, show: &mut dyn FnMut(io::Result<(OsString, Kind)>)) {
            match fs::read_dir(&self.path) {
                Ok(entries) => entries.for_each(|entry| {
                    show(entry.and_then(|entry| {
                        let kind = match entry.file_type()? {
                            kind if kind.is_dir() => Kind::Folder,
                            kind if kind.is_file() => Kind::File,
                            kind if kind.is_symlink() => Kind::Link,
                            _ => Kind::Special,
                        };
                        Ok((entry.file_name(), kind))
                    }));
                }),
                Err(error) => show(Err(error)),
            }
        }
    }
}
