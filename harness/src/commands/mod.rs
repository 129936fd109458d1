//! The commands of the program, one module each: arguments in, exit code out.

pub(crate) mod calibrate;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod ls;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod up;

use anyhow::bail;
use peerbed_model::Experiment;

use crate::runtime::Unmet;

/// Refuses what this machine cannot carry, with everything that it lacks and the remedies.
pub(crate) fn refuse_unmet(name: &str, unmet: &[Unmet]) -> anyhow::Result<()> {
    let unmet: Vec<_> = unmet.iter().map(ToString::to_string).collect();
    if !unmet.is_empty() {
        bail!("this machine cannot carry `{name}`:\n  {}", unmet.join("\n  "));
    }
    Ok(())
}

/// The arm of this name, or the first one if none is named.
pub(crate) fn choose_arm<'a>(experiment: &'a Experiment, wanted: Option<&str>) -> anyhow::Result<&'a str> {
    let mut arms = experiment.arms();
    let found = match wanted {
        Some(wanted) => arms.find(|arm| *arm == wanted),
        None => arms.next(),
    };
    let Some(found) = found else {
        let known: Vec<&str> = experiment.arms().collect();
        let wanted = wanted.unwrap_or_default().escape_debug();
        bail!("experiment `{}` has no arm `{wanted}`; it has: {}", experiment.name(), known.join(", "));
    };
    Ok(found)
}
