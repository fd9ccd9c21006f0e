//! Prints the texts that the log reader searches for, one a line: `benches/grep/run` gives them to another program.
//!
//! `cargo run --example anchors`

fn main() {
    for text in klog::Anchors::texts() {
        println!("{text}");
    }
}
