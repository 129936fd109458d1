//! The traces that a topology declares: which files they are, and what those say.

use std::{collections::BTreeMap, time::Duration};

use peerbed_link::{Bandwidth, Trace, TraceError, TraceId, Traced};

use crate::{
    diagnostic::{Report, Span},
    files::TRACE_FILES,
    limits,
    source::Source,
    units::{self, Bad},
    yaml::{Node, Value, shorten},
};

/// A trace that could be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) traced: Traced,
    pub(crate) trace: Trace,
}

/// By name what a topology declares; none: it is there, but something is wrong with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Traces(BTreeMap<String, Option<Declared>>);

/// What the files of a topology's traces say, by the path that it gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct TraceFiles {
    known: BTreeMap<String, Result<Declared, Flaw>>,
    sources: Vec<Source>,
}

/// Why a file is no trace, and where in it; none: where the topology names it.
#[derive(Debug, Clone)]
struct Flaw {
    span: Option<Span>,
    bad: Bad,
}

impl TraceFiles {
    /// The paths that a topology gives, each once, as far as they may be read at all.
    pub(crate) fn wanted(topology: &Node) -> Vec<String> {
        let Some(Value::Map(entries)) = topology.get("traces").map(|node| &node.value) else { return Vec::new() };
        let paths = entries.iter().filter_map(|entry| match &entry.node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            Value::List(_) | Value::Map(_) => None,
        });
        let mut paths: Vec<String> = paths.filter(|path| check_path(path).is_ok()).collect();
        paths.sort();
        paths.dedup();
        paths.truncate(limits::TRACES);
        paths
    }

    /// Takes in what was found under each path, or why nothing was.
    pub(crate) fn read(found: impl IntoIterator<Item = (String, Result<Source, String>)>) -> Self {
        let mut files = Self::default();
        for (path, found) in found {
            let read = match found {
                Ok(source) => {
                    let file = TRACE_FILES + files.sources.len() as u8;
                    files.sources.push(source.clone());
                    parse(source.text(), file)
                }
                Err(why) => {
                    let bad = Bad::new(
                        why,
                        "a trace is a file beside the topology's; all of a topology's together have at most 16 MiB",
                    );
                    Err(Flaw { span: None, bad })
                }
            };
            files.known.insert(path, read);
        }
        files
    }

    /// The texts, for reports.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }
}

impl Traces {
    /// Reads `traces`, a map from names to paths.
    pub(crate) fn decode(node: &Node, files: &TraceFiles, report: &mut Report) -> Self {
        let mut traces = BTreeMap::new();
        let named = report.named(node, "traces").unwrap_or_default();
        if named.len() > limits::TRACES {
            let message = format!("{} traces are more than one topology may have", named.len());
            report.error(node.span, message).help(format!("at most {} are allowed", limits::TRACES));
        }
        for (name, node) in named.into_iter().take(limits::TRACES) {
            let path = report.scalar(node, "the path of a file", |text| check_path(text).map(|()| text.to_owned()));
            let declared = path.and_then(|path| match files.known.get(&path) {
                Some(Ok(declared)) => Some(declared.clone()),
                Some(Err(Flaw { span, bad })) => {
                    report.error(span.unwrap_or(node.span), bad.what.clone()).help(bad.help.clone());
                    None
                }
                None => {
                    let message = format!("the file `{}` was not read", shorten(&path));
                    report
                        .error(node.span, message)
                        .help("an arm cannot name another file: declare both, and let the arm set a link's `trace`");
                    None
                }
            });
            traces.insert(name.value, declared);
        }
        Self(traces)
    }

    /// The trace that a link shall follow.
    pub(crate) fn bandwidth(&self, node: &Node, report: &mut Report) -> Option<Bandwidth> {
        let name = report.name(node, 63)?;
        let Some(declared) = self.0.get(&name.value) else {
            report.dangling("trace", &name.value, name.span, self.0.keys().map(String::as_str));
            return None;
        };
        declared.as_ref().map(|declared| Bandwidth::Trace(declared.traced))
    }

    /// The trace itself.
    pub(crate) fn get(&self, id: TraceId) -> Option<&Trace> {
        self.0.values().flatten().find(|declared| declared.traced.trace == id).map(|declared| &declared.trace)
    }
}

/// Whether a path stays beside the topology.
fn check_path(path: &str) -> Result<(), Bad> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
    if path.len() <= 255 && path.split('/').all(plain) {
        return Ok(());
    }
    Err(Bad::new(
        format!("`{}` is not the path of a trace", shorten(path)),
        "write a path from the directory of the topology's file, for example `traces/lte.up`, without `..`",
    ))
}

/// Reads a trace's text, which is file number `file` of reports.
fn parse(text: &str, file: u8) -> Result<Declared, Flaw> {
    let lines: Vec<Line<'_>> = lines(text, file).collect();
    let whole = Span::new(file, 0, text.find('\n').unwrap_or(text.len()));
    let csv = lines.first().is_some_and(|line| line.text.contains(','));
    let (trace, lines) = if csv { rates(&lines)? } else { deliveries(&lines)? };
    let trace = trace.map_err(|error| {
        let span = match error {
            TraceError::Order(index) => lines.get(index).map_or(whole, |line| line.span),
            TraceError::Start(_) => lines.first().map_or(whole, |line| line.span),
            TraceError::Duration | TraceError::Long | TraceError::Dead => lines.last().map_or(whole, |line| line.span),
            TraceError::Empty | TraceError::Rate(_) => whole,
        };
        flaw(span, format!("not a trace: {error}"), if csv { CSV } else { DELIVERIES })
    })?;
    let hash = blake3::hash(serde_json::to_string(&trace).expect("a trace can be written").as_bytes());
    let start = hash.as_bytes()[..8].try_into().expect("eight bytes");
    let traced =
        Traced { trace: TraceId::from_hash(u64::from_be_bytes(start)), mean: trace.mean(), peak: trace.peak() };
    Ok(Declared { traced, trace })
}

const DELIVERIES: &str = "a packet-delivery trace has on each line the time, in whole milliseconds, at which 1500 bytes can \
                          be delivered, in order; after the last it begins again";
const CSV: &str = "a trace of rates begins with the line `t,rate`; each other line has a time and the rate from then on \
                   (`2.5s,4mbit`), 0 first; a last line with no rate (`60s,`) says when it begins again";

fn flaw(span: Span, what: impl Into<String>, help: &str) -> Flaw {
    Flaw { span: Some(span), bad: Bad::new(what, help) }
}

/// A line that says something.
#[derive(Debug, Clone, Copy)]
struct Line<'t> {
    text: &'t str,
    span: Span,
}

fn lines(text: &str, file: u8) -> impl Iterator<Item = Line<'_>> {
    // Some programs put a mark before the text.
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = mark;
    text[mark..].split_inclusive('\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        let text = line.trim();
        // Comments as data sets have them.
        let says = !text.is_empty() && !text.starts_with('#');
        says.then(|| Line { text, span: Span::new(file, start, start + line.trim_end().len()) })
    })
}

type Read<'t> = (Result<Trace, TraceError>, Vec<Line<'t>>);

fn deliveries<'t>(lines: &[Line<'t>]) -> Result<Read<'t>, Flaw> {
    let read = |line: &Line<'_>| {
        let number = line.text.parse::<u64>();
        number
            .map_err(|_| flaw(line.span, format!("`{}` is not a time in milliseconds", shorten(line.text)), DELIVERIES))
    };
    let times: Vec<u64> = lines.iter().map(read).collect::<Result<_, _>>()?;
    Ok((Trace::deliveries(times), lines.to_vec()))
}

/// No value needs more bytes.
const LONGEST_VALUE: usize = 40;

/// Columns whose name has the unit, with that unit.
const COLUMNS: &[(&str, &str)] = &[
    ("t", ""),
    ("t_s", "s"),
    ("t_ms", "ms"),
    ("rate", ""),
    ("rate_bps", "bit"),
    ("rate_kbps", "kbit"),
    ("rate_mbps", "mbit"),
];

fn rates<'t>(lines: &[Line<'t>]) -> Result<Read<'t>, Flaw> {
    let Some((header, rows)) = lines.split_first() else { return Ok((Err(TraceError::Empty), Vec::new())) };
    let column = |name: &str, kind: &str| {
        let found = COLUMNS.iter().find(|(known, _)| *known == name.trim() && known.starts_with(kind));
        let known = COLUMNS.iter().filter(|(known, _)| known.starts_with(kind)).map(|(known, _)| format!("`{known}`"));
        found.map(|(_, unit)| *unit).ok_or_else(|| {
            let known = known.collect::<Vec<_>>().join(", ");
            flaw(header.span, format!("no column `{}`; known are {known}", shorten(name.trim())), CSV)
        })
    };
    let (time, rate) = header.text.split_once(',').ok_or_else(|| flaw(header.span, "not two columns", CSV))?;
    let (time_unit, rate_unit) = (column(time, "t")?, column(rate, "rate")?);
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut repeats_after = None;
    for (index, row) in rows.iter().enumerate() {
        let (time, rate) = row.text.split_once(',').ok_or_else(|| flaw(row.span, "not two columns", CSV))?;
        let (time, rate) = (time.trim(), rate.trim());
        if let Some(long) = [time, rate].into_iter().find(|text| text.len() > LONGEST_VALUE) {
            return Err(flaw(row.span, format!("`{}` is too long for a value", shorten(long)), CSV));
        }
        let bad = |Bad { what, help }: Bad| Flaw { span: Some(row.span), bad: Bad::new(what, help) };
        let longest = Duration::from_secs(1_000_000);
        let at = units::time(&format!("{time}{time_unit}"), (Duration::ZERO, longest)).map_err(bad)?;
        let at = at.as_nanos() as u64;
        if rate.is_empty() {
            if index + 1 < rows.len() {
                return Err(flaw(row.span, "only the last line may have no rate", CSV));
            }
            repeats_after = Some(at);
        } else {
            steps.push((at, units::rate_or_zero(&format!("{rate}{rate_unit}")).map_err(bad)?));
        }
    }
    Ok((Trace::rates(&steps, repeats_after), rows.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Declared, (String, Option<Span>)> {
        parse(text, TRACE_FILES).map_err(|Flaw { span, bad }| (bad.what, span))
    }

    fn what(text: &str) -> String {
        read(text).map(|_| ()).expect_err("it is wrong").0
    }

    #[test]
    fn both_formats_are_read() {
        let delivered = read("# a phone\n0\n\n10\r\n10\n30\n").unwrap();
        assert_eq!(delivered.trace, Trace::deliveries([0, 10, 10, 30]).unwrap());
        assert_eq!(delivered.traced.mean.bps(), 1_600_000);
        let steps = Trace::rates(&[(0, 4_000_000), (2_500_000_000, 0)], Some(3_000_000_000)).unwrap();
        for text in [
            "\u{feff}t,rate\n0s,4mbit\n2.5s,0bit\n3s,\n",
            "t_s, rate_mbps\n0, 4\n2.5, 0\n3,",
            "t_ms,rate_bps\n0,4000000\n2500,0\n3000,",
        ] {
            assert_eq!(read(text).unwrap().trace, steps, "{text}");
        }
        let endless = read("t,rate\n0s,4mbit\n").unwrap();
        assert_eq!((endless.trace.period(), endless.traced.peak.bps()), (None, 4_000_000));
        assert_ne!(endless.traced.trace, delivered.traced.trace);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(what(""), "not a trace: it is empty");
        assert_eq!(what("t,rate\n"), "not a trace: it is empty");
        assert_eq!(what("time,rate\n0s,1mbit\n"), "no column `time`; known are `t`, `t_s`, `t_ms`");
        assert_eq!(
            what("t,rate_gbps\n0s,1"),
            "no column `rate_gbps`; known are `rate`, `rate_bps`, `rate_kbps`, `rate_mbps`"
        );
        assert_eq!(what("t,rate\n0s,\n1s,1mbit\n"), "only the last line may have no rate");
        assert_eq!(what("t,rate\n0s,1\n"), "`1` is not a rate: it has no unit");
        assert_eq!(what("1.5\n2\n"), "`1.5` is not a time in milliseconds");
        let (message, span) = read("5\n# back\n4\n").unwrap_err();
        assert_eq!(message, "not a trace: its times do not go on");
        assert_eq!(span, Some(Span::new(TRACE_FILES, 9, 10)));
    }

    #[test]
    fn paths_stay_beside_the_topology() {
        assert!(check_path("traces/lte.up").is_ok());
        for path in ["/etc/passwd", "../x", "a/../b", "", "a//b", "./a", "a\u{1b}b"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }
}
