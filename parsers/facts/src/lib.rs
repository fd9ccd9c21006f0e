//! The vocabulary that all parsers of vmcoroner share.
//!
//! A parser turns bytes into [`Fact`]s: one typed observation each, with its [`Origin`]. What could not be
//! read or decided becomes a [`Gap`], never silence. Facts of one machine and one boot share an [`Identity`].
//! A parser exports the table of the kinds it makes as [`KindDef`]s; rule lint, schema and documentation are
//! generated from those tables, so that a new kind touches one crate.
//!
//! ```
//! use facts::{Fact, Origin};
//! let fact = Fact::new("log.unregister_netdevice", Origin::lines("dmesg", 12, 12))
//!     .with("device", "eth0")
//!     .with("usage", 2u32);
//! assert_eq!(fact.text("device"), Some("eth0"));
//! ```
#![forbid(unsafe_code)]

mod fact;
mod gap;
mod identity;
mod kinds;
mod origin;
mod stack;
mod time;
mod value;

pub use fact::Fact;
pub use gap::Gap;
pub use identity::Identity;
pub use kinds::{FieldDef, FieldType, KindDef, field, plain_field};
pub use origin::{Origin, Place};
pub use stack::{Context, Ended, Found, Frame, Stack};
pub use time::{Stamp, span};
pub use value::{Address, Value};
