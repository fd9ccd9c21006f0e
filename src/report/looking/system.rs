//! `sys` as text.

use std::fmt::Write as _;

use crate::look::SystemView;
use crate::report::table::{address, gaps};
use crate::report::{printable, uptime};

/// The machine at a glance, with crash's names of the rows. A terminal gets wrapped lines.
pub fn system(view: &SystemView, width: Option<usize>) -> String {
    let mut page = Page { out: String::new(), width };
    let dump = &view.dump;
    for (nth, file) in dump.files.iter().enumerate() {
        page.row(if nth == 0 { "DUMPFILE" } else { "" }, file);
    }
    let mut format = vec![dump.format.clone()];
    if !dump.compression.is_empty() {
        format.push(dump.compression.join(", "));
    }
    if dump.incomplete {
        format.push("INCOMPLETE".to_owned());
    }
    page.row("FORMAT", &format.join(", "));
    if !dump.left_out.is_empty() {
        page.row("LEFT OUT", &format!("{} (by the filter)", dump.left_out.join(", ")));
    }
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
    page.row("RELEASE", &known(&view.release));
    page.row("VERSION", &known(&view.version));
    page.row("BUILD-ID", &known(&view.build_id));
    page.row("MACHINE", &format!("{}, pages of {} bytes", known(&view.machine), view.page_size));
    page.row("TYPES", &if view.types.is_empty() { "not known".to_owned() } else { view.types.join(", ") });
    page.row("NODENAME", &known(&view.nodename));
    let cpus = &view.cpus;
    let mut line = cpus.present.to_string();
    if cpus.stopped > 0 {
        let _ = write!(line, " ({} online, {} stopped by the panic or before)", cpus.online, cpus.stopped);
    } else if cpus.online == 0 {
        line.push_str(" (how many were online is not known)");
    } else if cpus.online != cpus.present {
        let _ = write!(line, " ({} online)", cpus.online);
    }
    page.row("CPUS", &line);
    page.row("DATE", &known(&view.date));
    let up = |ns: u64| uptime(ns / 1_000_000_000);
    let told = match (view.uptime_ns, view.log_ends_ns) {
        (Some(ns), _) => up(ns),
        (None, Some(ns)) => format!("not known; the log ends at {}", up(ns)),
        (None, None) => "not known".to_owned(),
    };
    page.row("UPTIME", &told);
    if let Some(load) = &view.load {
        page.row("LOAD AVERAGE", &format!("{:.2}, {:.2}, {:.2}", load.one, load.five, load.fifteen));
    }
    let states: Vec<String> = view.states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    match view.tasks {
        0 => page.row("TASKS", "not known"),
        n => page.row("TASKS", &format!("{n} ({})", states.join(", "))),
    }
    page.row(
        "MEMORY",
        &view
            .memory_bytes
            .map_or_else(|| "not known".to_owned(), |bytes| format!("{} that the kernel manages", size(bytes))),
    );
    page.row("COMMAND LINE", &known(&view.command_line));
    match view.taints.as_deref() {
        None => page.row("TAINT", "not known"),
        Some([]) => page.row("TAINT", "none"),
        Some(taints) => {
            for (nth, taint) in taints.iter().enumerate() {
                page.row(if nth == 0 { "TAINT" } else { "" }, &format!("{}  {}", taint.letter, taint.meaning));
            }
            let modules: Vec<String> =
                view.taint_modules.iter().map(|m| format!("{} ({})", m.name, m.taints)).collect();
            if !modules.is_empty() {
                page.row("", &format!("by {}", modules.join(", ")));
            }
        }
    }
    match (&view.panic, view.crashed) {
        (Some(panic), _) => page.row("PANIC", panic),
        (None, true) => page.row("PANIC", "its message is not in the log"),
        // Neither CPUs nor tasks could be read: nobody knows.
        (None, false) if view.cpus.online == 0 || view.tasks == 0 => page.row("PANIC", "not known"),
        (None, false) => page.row("PANIC", "none: a snapshot of a running machine"),
    }
    if let Some(oops) = &view.oops {
        page.row("OOPS", oops);
    }
    if let Some(task) = &view.crashed_task {
        if let (Some(pid), Some(comm), Some(state)) = (task.pid, &task.comm, task.state) {
            page.row("PID", &format!("{pid}  \"{comm}\"  ST: {state}"));
        }
        if let Some(at) = task.task {
            page.row("TASK", &address(at));
        }
        page.row("CPU", &format!("{}  CRASHED", task.cpu));
    }
    gaps(&mut page.out, &view.gaps);
    page.out
}

/// Columns of the names.
const NAMES: usize = 14;

struct Page {
    out: String,
    width: Option<usize>,
}

impl Page {
    fn row(&mut self, name: &str, value: &str) {
        let value = printable(value);
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(NAMES).max(20));
        let mut line = String::new();
        let mut lines = Vec::new();
        for word in value.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        for (nth, line) in lines.iter().enumerate() {
            let _ = writeln!(self.out, "{:NAMES$}{line}", if nth == 0 { name } else { "" });
        }
    }
}

fn size(bytes: u64) -> String {
    let (mib, gib) = (bytes as f64 / f64::from(1 << 20), bytes as f64 / f64::from(1 << 30));
    if gib >= 1.0 { format!("{gib:.1} GiB") } else { format!("{mib:.1} MiB") }
}
