//! Every metric by name: its unit, which direction is an improvement, and its definition. `docs/results.md` has this list; a
//! test writes and compares it.

mod balance;
mod classes;
mod control;
mod downloads;
mod traffic;

use super::Better;

/// What a metric is, whatever a run made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// The unit of its values: `Mbit/s`, `ms`, `B`, `share` (0 to 1), `1` for plain numbers.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
    /// How it is computed, in Markdown.
    pub doc: &'static str,
}

const fn higher(name: &'static str, unit: &'static str, doc: &'static str) -> Definition {
    Definition { name, unit, better: Better::Higher, doc }
}

const fn lower(name: &'static str, unit: &'static str, doc: &'static str) -> Definition {
    Definition { name, unit, better: Better::Lower, doc }
}

const fn neither(name: &'static str, unit: &'static str, doc: &'static str) -> Definition {
    Definition { name, unit, better: Better::Neither, doc }
}

/// Every metric, in the order of the documentation.
pub fn definitions() -> impl Iterator<Item = &'static Definition> {
    let groups = [
        downloads::DEFINITIONS,
        classes::DEFINITIONS,
        traffic::DEFINITIONS,
        balance::DEFINITIONS,
        control::DEFINITIONS,
    ];
    groups.into_iter().flatten()
}

/// The definition of a metric. That there is one is a matter of this crate: anything else panics.
pub(super) fn definition(name: &str) -> &'static Definition {
    let found = definitions().find(|definition| definition.name == name);
    found.unwrap_or_else(|| panic!("the metric {name} has no definition"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_defined_once_in_one_line() {
        let names: BTreeSet<&str> = definitions().map(|definition| definition.name).collect();
        assert_eq!(names.len(), definitions().count());
        for Definition { name, doc, .. } in definitions() {
            assert!(!doc.is_empty() && !doc.contains(['\n', '|']), "{name} would break the table of the documentation");
        }
    }
}
