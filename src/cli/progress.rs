//! Progress of long work: on standard error, only on a terminal, only past half a second.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A spinner that names what is being done. It clears itself when dropped.
pub struct Progress(ProgressBar, String);

impl Progress {
    /// Starts to count time; nothing is drawn in the first half second.
    pub fn start(what: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        if std::io::stderr().is_terminal() {
            let later = bar.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(500));
                if !later.is_finished() {
                    later.set_draw_target(ProgressDrawTarget::stderr());
                    later.enable_steady_tick(Duration::from_millis(100));
                }
            });
        }
        Progress(bar, what.to_owned())
    }
}

impl Progress {
    /// How much is done of how much.
    pub fn at(&self, done: u64, total: u64) {
        self.0.set_message(format!("{}, {}%", self.1, done.saturating_mul(100) / total.max(1)));
    }

    /// Clears it before output is printed.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
