//! Which kernel, which machine.
