//! Does this kernel have that fix?
//!
//! [`Release::parse`] reads a kernel release string (and the banner, when there is one) into what it says about the
//! tree the kernel was built from. [`status()`] answers, for one commit and one release, whether the fix is *missing*,
//! *present*, *not needed* or *unknown*, with a sentence that a person can check. [`catalogue`] lists the commits on
//! record; they stand in `data/curated.yaml`.
//!
//! ```
//! use vmcoroner::fixes::{Release, State, status};
//! let release = Release::parse("3.10.0-957.21.3.el7.x86_64", None, None);
//! let answer = status("ee60ad219f5c", &release, &[]);
//! assert_eq!(answer.state, State::Missing);
//! ```

mod banner;
mod build;
mod curated;
mod evidence;
mod grammar;
mod mainline;
mod printed;
mod release;
mod status;
mod version;

pub use build::{Build, Line};
pub use curated::{
    Confidence, Curated, CuratedError, Elsewhere, Fix, Introduced, Proof, Proves, Role, StableFirst, VendorLine,
};
pub use evidence::{KINDS, probes};
pub use mainline::Date;
pub use release::{Family, Release, Tree};
pub use status::{State, Status, status, status_in, status_without_release};
pub use version::Version;

/// The subject of a commit on record, by a prefix of at least 8 hex digits of its id.
pub fn subject(sha: &str) -> Option<&'static str> {
    Curated::embedded().find(sha).map(|fix| fix.subject.as_str())
}

/// Every commit on record, in the order of the data file.
pub fn catalogue() -> impl Iterator<Item = &'static Fix> {
    Curated::embedded().fixes.iter()
}
