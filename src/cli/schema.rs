//! `vmcoroner schema`: the JSON schema of a verdict.

use super::{Outcome, print};

/// Runs it.
pub fn run() -> Outcome {
    print(&format!("{}\n", serde_json::to_string_pretty(&crate::verdict::schema())?))?;
    Ok(std::process::ExitCode::SUCCESS)
}
