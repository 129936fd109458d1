//! `as` of a group: the ASes in which its peers are, as they are named.

use crate::{
    diagnostic::{Report, Span, Spanned},
    limits,
    shape::group::POPULATED as CHOICE,
    yaml::{Node, Value},
};

/// What stands for every AS with a population.
pub(crate) const POPULATED: &str = "populated";

/// Where a group's peers are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Homes {
    /// In one AS.
    One(Spanned<String>),
    /// In these, each of them once.
    Several(Spanned<Vec<Spanned<String>>>),
    /// In every AS with a population; where regions are named, in those alone.
    Populated { regions: Option<Vec<Spanned<String>>>, span: Span },
}

impl Homes {
    /// Whether it is one AS, whatever the topology.
    pub(crate) fn is_one(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Several(names) => names.value.len() == 1,
            Self::Populated { .. } => false,
        }
    }

    /// Reads a name, a list of names, `populated`, or the regions whose populated ASes are meant.
    pub(crate) fn decode(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::List(_) => {
                let value = read_names(node, "ASes", report)?;
                Some(Self::Several(Spanned { value, span: node.span }))
            }
            Value::Map(_) => {
                let fields = report.map(node, &CHOICE)?;
                let regions = read_names(fields.get("regions")?, "regions", report)?;
                Some(Self::Populated { regions: Some(regions), span: node.span })
            }
            Value::Scalar { text, .. } if text == POPULATED => Some(Self::Populated { regions: None, span: node.span }),
            Value::Scalar { .. } => report.name(node, 63).map(Self::One),
        }
    }
}

/// A list of names without repetitions, at least one.
fn read_names(node: &Node, of: &str, report: &mut Report) -> Option<Vec<Spanned<String>>> {
    let items = report.bounded_list(node, of, (1, limits::ASES))?;
    let names: Vec<Option<Spanned<String>>> = items.iter().map(|node| report.name(node, 63)).collect();
    let names: Vec<Spanned<String>> = names.into_iter().collect::<Option<_>>()?;
    let before = report.errors();
    for (index, name) in names.iter().enumerate() {
        if names[..index].iter().any(|other| other.value == name.value) {
            report.error(name.span, format!("`{}` is named twice", name.value)).help("name each once");
        }
    }
    (report.errors() == before).then_some(names)
}
