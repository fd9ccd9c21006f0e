//! The verdict: the one model that every report prints, and the public JSON interface.
//!
//! Every field may be absent or empty, because the evidence of a crash is best effort. Addresses are strings:
//! JSON numbers lose digits above 2^53 in many readers. Within a schema version changes are additive.

use std::collections::BTreeMap;

use facts::{Gap, Identity, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the JSON interface.
pub const SCHEMA: u32 = 1;

/// What is known about one case, findings in causal order: `findings[0]` is the verdict.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Version of this interface; [`SCHEMA`].
    pub schema: u32,
    /// `vmcoroner x.y.z`.
    pub tool: String,
    /// The machine and boot.
    #[schemars(with = "IdentitySchema")]
    pub identity: Identity,
    /// How the kernel was started and how it stands, read from memory. Only for a dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// What was found, the root cause first, then consequences, conditions, information.
    pub findings: Vec<Finding>,
    /// How the boots of this machine ended, oldest first, as far as its logs tell.
    #[serde(default)]
    pub boots: Vec<BootEnd>,
    /// Bugs that fit the symptom but cannot be the cause here.
    pub ruled_out: Vec<RuledOut>,
    /// Commits proposed by similarity where no rule knew the bug.
    pub candidates: Vec<Candidate>,
    /// Rules that could not be evaluated, and for want of what.
    pub not_evaluated: Vec<NotEvaluated>,
    /// What could not be read or decided.
    #[schemars(with = "Vec<GapSchema>")]
    pub gaps: Vec<Gap>,
    /// What to collect next, the most telling first.
    pub next: Vec<Next>,
    /// What the registers of the oops point at in the dump's memory; the fault address first. Only for a dump.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Register>,
}

/// How the kernel was started and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its command line.
    pub command_line: Option<String>,
    /// Seconds since boot.
    pub uptime_s: Option<i64>,
    /// Taint letters, `OE`; empty when it is not tainted.
    pub taint: Option<String>,
    /// CPUs present.
    pub cpus: Option<i64>,
}

/// A register of an oops, and what it points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Register {
    /// Function of the oops.
    pub function: String,
    /// Name as printed, `RDI` or `X0`; `fault address`.
    pub register: String,
    /// What it held, hex.
    pub value: String,
    /// What that is: `slab kmalloc-512 object 0xffff... + 0x10, free`.
    pub what: String,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BootEnd {
    /// `requested`, `panic`, `crash-requested`, `watchdog`, `fenced`, `hypervisor`, `power`, `thermal`, `hardware`,
    /// `kexec`, `reset-by-hand`, `hung`, `silent-reset`; from `last` alone `clean` or `unclean`.
    pub ended: String,
    /// False when it is inferred from the lack of a word.
    pub sure: bool,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Boot id.
    pub boot_id: Option<String>,
    /// Wall clock of the last line, of an unknown zone, and without a year where the log has none.
    pub time: Option<String>,
    /// Of a panic: `given` (among the inputs), `saved`, `partial`, `absent`, `unknown`.
    pub dump: Option<String>,
    /// Why the dump is partial or absent.
    pub dump_why: Option<String>,
    /// The line that says so; of an inferred end the last line.
    pub evidence: Evidence,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Only the precondition holds.
    Exposed,
    /// The symptom fits.
    Consistent,
    /// A symptom and a discriminator that look-alikes lack.
    Probable,
    /// Proved, from memory or by an equally direct datum.
    Confirmed,
}

impl Grade {
    /// All grades, the highest first.
    pub const DESCENDING: [Grade; 4] = [Grade::Confirmed, Grade::Probable, Grade::Consistent, Grade::Exposed];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Exposed => "exposed",
            Grade::Consistent => "consistent",
            Grade::Probable => "probable",
            Grade::Confirmed => "confirmed",
        }
    }
}

/// What a finding is to the failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A root cause, or the best-known start of the chain.
    #[default]
    Cause,
    /// Explained by another finding.
    Consequence,
    /// Made the failure possible.
    Condition,
    /// No defect.
    Information,
}

impl Role {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Role::Cause => "cause",
            Role::Consequence => "consequence",
            Role::Condition => "condition",
            Role::Information => "information",
        }
    }
}

/// A rule that matched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Name of the rule; `generic-CLASS` where no rule knows the bug.
    pub rule: String,
    /// One sentence.
    pub title: String,
    /// Cause class, or the event class in generic findings.
    pub class: String,
    /// How sure; absent for information.
    pub grade: Option<Grade>,
    /// What it is to the failure.
    pub role: Role,
    /// Named values of this match.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub captures: BTreeMap<String, Value>,
    /// The facts it rests on.
    pub evidence: Vec<Evidence>,
    /// The gravest report it rests on, where one holds frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Commands of crash and drgn that show the same.
    pub recheck: Vec<String>,
    /// Fix commits and whether this kernel has them.
    pub fixes: Vec<Fix>,
    /// Modules that may be guilty.
    pub suspects: Vec<Suspect>,
    /// What to do, and how to verify that it took.
    pub remedies: Vec<Remedy>,
    /// What to keep in mind: disputes, limits.
    pub caveats: Vec<String>,
    /// The rule of the finding that explains this one.
    pub explained_by: Option<String>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Where it comes from.
    pub origin: String,
    /// What it says.
    pub text: String,
}

/// The report behind a finding: who ran, the functions to look at, the frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// Where the report stands.
    pub origin: String,
    /// Which of its stacks is shown: `call trace`, `freed by`, ...
    pub name: String,
    /// CPU.
    pub cpu: Option<i64>,
    /// Process.
    pub pid: Option<i64>,
    /// Its command name.
    pub comm: Option<String>,
    /// Functions an engineer would open, the first one first; at most three.
    pub blamed: Vec<Blamed>,
    /// What a faulting access was after, in a sentence.
    pub fault: Option<String>,
    /// Frames further in that are left out: of the report itself and the interrupt it was made in.
    #[serde(default)]
    pub above: usize,
    /// Frames that are sure, innermost first: `function+0x1d [module]`.
    pub frames: Vec<String>,
    /// How many more there are behind them.
    pub left_out: usize,
}

/// A function to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blamed {
    /// Its name.
    pub function: String,
    /// Its module; absent for the kernel itself.
    pub module: Option<String>,
    /// Why this one.
    pub reason: String,
}

/// A fix commit for this kernel.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// Commit id, 12 hex digits or more.
    pub sha: String,
    /// Its subject.
    pub subject: String,
    /// `missing`, `present`, `not-needed` or `unknown`.
    pub status: String,
    /// Why.
    pub why: String,
}

/// A module that may be guilty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suspect {
    /// Module name.
    pub module: String,
    /// Why.
    pub why: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remedy {
    /// What to do.
    #[serde(rename = "do")]
    pub action: String,
    /// How to verify that it took.
    pub verify: String,
}

/// A bug that fits but cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuledOut {
    /// Name of the rule.
    pub rule: String,
    /// The commit whose presence rules it out, if one does.
    pub sha: Option<String>,
    /// Why.
    pub why: String,
}

/// A commit proposed by similarity.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Commit id.
    pub sha: String,
    /// `match`, `likely` or `weak`.
    pub rating: String,
    /// Score, comparable within one verdict only.
    pub score: f64,
    /// Why.
    pub why: String,
}

/// A rule that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotEvaluated {
    /// Name of the rule.
    pub rule: String,
    /// What was missing.
    pub missing: String,
}

/// Something to collect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    /// What it would tell.
    pub datum: String,
    /// How to get it.
    pub command: String,
}

/// The shape of [`Identity`] for the schema; the facts crate depends on serde alone.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct IdentitySchema {
    host: Option<String>,
    machine_id: Option<String>,
    boot_id: Option<String>,
    boot_time: Option<String>,
    kernel: Option<String>,
    banner: Option<String>,
    arch: Option<String>,
    model: Option<String>,
}

/// The shape of [`Gap`] for the schema.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct GapSchema {
    what: String,
    r#where: String,
    why: String,
    closes: String,
}

/// The JSON schema of [`Verdict`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Verdict).to_value()
}
