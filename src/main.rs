//! The `vmcoroner` command.
fn main() {}
