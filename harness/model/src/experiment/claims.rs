//! `claims`: what an experiment is to show, from where that is, and what would show it.

use crate::{
    diagnostic::Report,
    experiment::expect::{self, Expected, Which},
    plan::{self, Basis},
    shape::expect::CLAIM,
    yaml::Node,
};

/// The most claims of one experiment.
const CLAIMS: usize = 64;
/// The most characters of one of a claim's texts.
const TEXT: usize = 2_000;

/// A claim as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    sentence: String,
    source: Option<String>,
    says: Option<String>,
    basis: Basis,
    shown_by: Result<Vec<Expected>, String>,
}

impl Claim {
    /// The arms that it compares others with, and those that it names.
    fn named<'a>(&'a self, arms: &[Which<'a>]) -> Vec<String> {
        let tests = self.shown_by.iter().flatten();
        let mut names: Vec<String> = Vec::new();
        for test in tests {
            let concerned: Vec<&Which<'_>> = arms.iter().filter(|arm| test.concerns(arm)).collect();
            let others = concerned.iter().filter_map(|arm| test.other(arm));
            let mut found: Vec<String> = concerned.iter().map(|arm| arm.name.to_owned()).chain(others).collect();
            if found.is_empty() {
                // None of them is here: at this scale, or of this name.
                found.extend(test.arm.clone());
            }
            for name in found {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// What would show it.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &Expected> {
        self.shown_by.iter().flatten()
    }

    /// What of it is about one arm, of a plan with so many downloads; `arms` are all that there are.
    pub(crate) fn resolve(&self, arm: &Which<'_>, arms: &[Which<'_>], downloads: usize) -> plan::Claim {
        let of_arm = || self.shown_by.iter().flatten().filter(|test| test.concerns(arm));
        plan::Claim {
            claim: self.sentence.clone(),
            source: self.source.clone(),
            says: self.says.clone(),
            basis: self.basis,
            untestable: self.shown_by.as_ref().err().cloned(),
            expect: of_arm().filter_map(|test| test.resolve(arm, downloads)).collect(),
            trends: of_arm().filter_map(Expected::trend).collect(),
            arms: self.named(arms),
        }
    }
}

/// Reads the list.
pub(crate) fn decode(node: &Node, known: expect::Known<'_>, report: &mut Report) -> Vec<Claim> {
    let items = report.bounded_list(node, "claims", (0, CLAIMS)).unwrap_or_default();
    items.iter().filter_map(|node| decode_one(node, known, report)).collect()
}

/// Text that says something, and no more than a table has room for.
fn read_text(node: &Node, report: &mut Report) -> Option<String> {
    let text = report.text(node)?;
    let length = text.chars().count();
    if text.trim().is_empty() {
        report.error(node.span, "this text is empty").help("write a sentence, or leave the key out");
        return None;
    }
    if length > TEXT {
        let message = format!("this text has {length} characters");
        report.error(node.span, message).help(format!("at most {TEXT} are allowed"));
        return None;
    }
    Some(text)
}

fn decode_one(node: &Node, known: expect::Known<'_>, report: &mut Report) -> Option<Claim> {
    let fields = report.map(node, &CLAIM)?;
    let before = report.errors();
    let mut text = |key| fields.get(key).and_then(|node| read_text(node, report));
    let (claim, source, says, untestable) = (text("claim"), text("source"), text("says"), text("untestable"));
    let words = [("paper", Basis::Paper), ("recalled", Basis::Recalled), ("ours", Basis::Ours)];
    let basis = fields.get("basis").and_then(|node| report.word(node, &words));
    let shown_by = match (fields.get("shown_by"), untestable) {
        // What is wrong with the text is in the report.
        (None, None) if fields.get("untestable").is_some() => None,
        (Some(node), None) if fields.get("untestable").is_none() => {
            let tests = expect::decode(node, known, report);
            if tests.is_empty() && report.errors() == before {
                report
                    .error(node.span, "nothing shows this claim")
                    .help("say what would, or why nothing here can: `untestable`");
            }
            Some(Ok(tests))
        }
        (None, Some(why)) => Some(Err(why)),
        (shown_by, _) => {
            let message = if shown_by.is_some() {
                "a claim is shown by something or untestable, not both"
            } else {
                "a claim needs `shown_by` or `untestable`"
            };
            report
                .error(node.span, message)
                .help("write `shown_by: [{arm: hybrid, peer_efficiency: {at_least: 70%}}]`, or `untestable: \"why\"`");
            None
        }
    };
    if let (Some(Basis::Paper | Basis::Recalled), None) = (basis, fields.get("source")) {
        report
            .error(node.span, "this claim does not say its source")
            .help("write `source: Figure 6`, or `basis: ours`");
    }
    if report.errors() > before {
        return None;
    }
    Some(Claim { sentence: claim?, source, says, basis: basis?, shown_by: shown_by? })
}
