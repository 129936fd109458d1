//! CAIDA's files of AS relationships, read: `serial-1` (`<provider>|<customer>|-1`, `<peer>|<peer>|0`) and `serial-2`, the same with a
//! fourth field for the source. Comments begin with `#`.

use super::graph::{Edge, Graph};
use crate::{
    diagnostic::{Diagnostics, Report, Span},
    source::Source,
    topology::Relation,
    yaml::shorten,
};

/// What the lines look like, for remedies.
const LINES: &str =
    "a line is `<provider>|<customer>|-1` or `<peer>|<peer>|0`, and in serial-2 files has `|<source>` behind it";

/// A graph of ASes from a file of relationships.
#[derive(Debug, Clone)]
pub struct Relations {
    pub(crate) graph: Graph,
    /// What the file said of the same pair twice, and nothing else that is remarkable.
    warnings: Diagnostics,
}

/// A link as a line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    /// The lower and the higher number.
    pair: (u32, u32),
    /// Its first byte.
    at: u32,
    /// From 1.
    line: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Peers,
    LowPays,
    HighPays,
}

impl Relations {
    /// Reads the text of a file; both forms may stand in one. Says everything that is wrong with it: lines that are none, and pairs of
    /// which two lines say different things. A pair of which two lines say the same is a warning.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let mut report = Report::new(vec![source.clone()]);
        let mut said: Vec<Said> = Vec::new();
        let text = source.text().strip_prefix('\u{feff}').unwrap_or(source.text());
        let mut at = source.text().len() - text.len();
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let text = line.trim_end();
            if let Some(end) = text.find('\r') {
                let message = "this line ends with a carriage return alone";
                report
                    .error(Span::new(0, at + end, at + end), message)
                    .help("have lines end with a line feed: `tr '\\r' '\\n' < FILE > OTHER`");
                break;
            }
            if !text.is_empty() && !text.starts_with('#') {
                said.extend(read_line(text, at, number as u32 + 1, &mut report));
            }
            at += line.len();
        }
        said.sort_unstable();
        said.dedup_by(|late, early| {
            let same_pair = late.pair == early.pair;
            if same_pair {
                repeated(early, late, source.text(), &mut report);
            }
            same_pair
        });
        if said.is_empty() && report.errors() == 0 {
            report.error(Span::new(0, 0, 0), "the file has no relationship").help(LINES);
        }
        let failed = report.errors() > 0;
        let warnings = report.into_diagnostics();
        if failed {
            return Err(warnings);
        }
        Ok(Self { graph: graph(&said), warnings })
    }

    /// What is allowed but perhaps not meant.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// How many ASes it has.
    pub fn ases(&self) -> usize {
        self.graph.len()
    }

    /// How many links it has.
    pub fn links(&self) -> usize {
        self.graph.links.len()
    }
}

fn read_line(text: &str, at: usize, line: u32, report: &mut Report) -> Option<Said> {
    let fields: Vec<&str> = text.split('|').take(5).collect();
    let ([first, second, relation] | [first, second, relation, _]) = fields[..] else {
        let message = format!("`{}` is not a relationship between two ASes", shorten(text));
        report.error(Span::new(0, at, at + text.len()), message).help(LINES);
        return None;
    };
    let (second_at, relation_at) = (at + first.len() + 1, at + first.len() + second.len() + 2);
    let mut number = |text: &str, at: usize| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|number| digits && *number > 0);
        if number.is_none() {
            let message = format!("`{}` is not the number of an AS", shorten(text));
            report.error(Span::new(0, at, at + text.len()), message).help("AS numbers are from 1 to 4294967295");
        }
        number
    };
    let (a, b) = (number(first, at), number(second, second_at));
    let pays = match relation {
        "-1" => true,
        "0" => false,
        other => {
            let message = format!("`{}` is not a relation", shorten(other));
            report
                .error(Span::new(0, relation_at, relation_at + other.len()), message)
                .help("it is `-1` where the first AS is the provider of the second, `0` where they are peers");
            return None;
        }
    };
    let (a, b) = (a?, b?);
    if a == b {
        report.error(Span::new(0, at, at + text.len()), format!("{a} has a link to itself")).help("remove the line");
        return None;
    }
    let kind = match (pays, a < b) {
        (false, _) => Kind::Peers,
        // The first is the provider.
        (true, true) => Kind::HighPays,
        (true, false) => Kind::LowPays,
    };
    Some(Said { pair: (a.min(b), a.max(b)), at: at as u32, line, kind })
}

/// Notes a line about a pair of which an earlier one spoke.
fn repeated(early: &Said, late: &Said, text: &str, report: &mut Report) {
    let (low, high) = late.pair;
    let end = |at: u32| text[at as usize..].find(['\n', '\r']).map_or(text.len(), |length| at as usize + length);
    let span = Span::new(0, late.at as usize, end(late.at));
    let line = early.line;
    if early.kind == late.kind {
        let message = format!("line {line} says the same of {low} and {high}");
        report.warning(span, message).help("the link is taken once; remove one of the lines");
    } else {
        let message = format!("line {line} says something else of {low} and {high}");
        report.error(span, message).help("two ASes have one relation: keep one of the lines");
    }
}

fn graph(said: &[Said]) -> Graph {
    let mut numbers: Vec<u32> = said.iter().flat_map(|said| [said.pair.0, said.pair.1]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let index = |number: u32| numbers.binary_search(&number).expect("every number is in the list") as u32;
    let links = said.iter().map(|said| {
        let (low, high) = (index(said.pair.0), index(said.pair.1));
        match said.kind {
            Kind::Peers => Edge { a: low, b: high, relation: Relation::Peers },
            Kind::LowPays => Edge { a: low, b: high, relation: Relation::CustomerToProvider },
            Kind::HighPays => Edge { a: high, b: low, relation: Relation::CustomerToProvider },
        }
    });
    let links = links.collect();
    Graph::new(numbers, links)
}
