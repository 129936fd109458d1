//! YAML text as a tree of values that know their place. Bounded: hostile files end in an error, never in a blow-up.
//!
//! Only the plain data model is taken: one document, maps with word keys, no tags. Aliases are shared, not copied, and
//! what they stand for counts against the same limit as what is written out.

use std::{collections::BTreeMap, sync::Arc};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle};

use crate::{
    diagnostic::{Report, Span},
    source::Source,
};

/// No experiment nests deeper; counts what aliases stand for.
const MAX_DEPTH: u32 = 32;
/// No file has more values than this, those behind aliases included.
const MAX_VALUES: u32 = 100_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    weight: u32,
    depth: u32,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Text, number or word; `plain` if it was not quoted.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Arc<Node>>),
    /// Keys and values in the order of the file, every key once.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Arc<Node>,
}

impl Node {
    /// A value of this kind at this place.
    pub(crate) fn new(span: Span, value: Value) -> Self {
        let children: Vec<&Arc<Node>> = match &value {
            Value::Scalar { .. } => Vec::new(),
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|entry| &entry.node).collect(),
        };
        let weight = children.iter().fold(1u32, |sum, child| sum.saturating_add(child.weight));
        let depth = children.iter().map(|child| child.depth).max().unwrap_or(0) + 1;
        Self { span, value, weight, depth }
    }

    /// Nothing was written (`key:`), or `null` or `~`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The value behind `key`, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Node>> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Arc<Node>> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// The keys, if this is a map.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// What is written here, on a line of bounded length: `{poisson: 2/s, until: 38s}`.
    pub(crate) fn written(&self) -> String {
        fn write(node: &Node, text: &mut String) {
            // What is longer is not shown.
            if text.len() > 1000 {
                return;
            }
            let join = |text: &mut String, index: usize| text.push_str(if index > 0 { ", " } else { "" });
            match &node.value {
                Value::Scalar { text: word, .. } => text.push_str(&shorten(word)),
                Value::List(items) => {
                    text.push('[');
                    for (index, item) in items.iter().enumerate() {
                        join(text, index);
                        write(item, text);
                    }
                    text.push(']');
                }
                Value::Map(entries) => {
                    text.push('{');
                    for (index, entry) in entries.iter().enumerate() {
                        join(text, index);
                        text.push_str(&shorten(&entry.key));
                        text.push_str(": ");
                        write(&entry.node, text);
                    }
                    text.push('}');
                }
            }
        }
        let mut text = String::new();
        write(self, &mut text);
        shorten(&text)
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("`{}`", shorten(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// The beginning of a text that a message can quote: one line, at most 60 characters.
pub(crate) fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(61).collect();
    if line.chars().count() > 60 { line.chars().take(59).chain(['…']).collect() } else { line }
}

/// Reads file number `file` of the report; none if something was wrong that leaves no tree (it is in the report then).
pub(crate) fn read(source: &Source, file: u8, report: &mut Report) -> Option<Node> {
    let before = report.errors();
    let mut builder = Builder { file, report, open: Vec::new(), anchors: BTreeMap::new(), weight: 0, root: None };
    let text = source.text().strip_prefix('\u{feff}').unwrap_or(source.text());
    let shift = source.text().len() - text.len();
    for event in Parser::new_from_str(text) {
        let (event, place) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0) + shift;
                let end = (at + 1).min(source.text().len());
                let span = Span::new(file, at, end);
                if *error.kind() == ErrorKind::RecursionLimitExceeded {
                    return builder.too_deep(span);
                }
                builder.not_yaml(source.text(), span, &error.info());
                return None;
            }
        };
        let range = place.byte_range().unwrap_or(0..0);
        builder.event(event, Span::new(file, range.start + shift, range.end + shift))?;
    }
    let root = builder.root.take();
    match root {
        Some(root) if !root.is_null() => Some(root),
        _ => {
            if report.errors() == before {
                let finding = report.error(Span::new(file, 0, 0), "the file is empty");
                finding.help("docs/experiment-format.md says what belongs in it");
            }
            None
        }
    }
}

/// A collection that has not ended yet.
struct Open {
    span: Span,
    anchor: usize,
    items: Vec<Arc<Node>>,
    /// For a map.
    map: Option<OpenMap>,
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// Where each key was first written.
    seen: BTreeMap<String, Span>,
    /// The key whose value comes next.
    key: Option<(String, Span)>,
}

struct Builder<'a> {
    file: u8,
    report: &'a mut Report,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Arc<Node>>,
    weight: u32,
    root: Option<Node>,
}

impl Builder<'_> {
    /// Takes one event; none if the file cannot be read on.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let finding = self.report.error(span, "a second document begins here; a file is one document");
                finding.help("remove the `---`, or put the second document in a file of its own");
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                let plain = style == ScalarStyle::Plain;
                self.place(Arc::new(Node::new(span, Value::Scalar { text: text.into_owned(), plain })), anchor, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.begin(Open { span, anchor, items: Vec::new(), map: None })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.begin(Open { span, anchor, items: Vec::new(), map: Some(OpenMap::default()) })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let value = match open.map {
                    Some(map) => Value::Map(map.entries),
                    None => Value::List(open.items),
                };
                self.place(Arc::new(Node::new(open.span.to(span), value)), open.anchor, 1)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    let finding = self.report.error(span, "this alias stands for a value that contains it");
                    finding.help("write the value out");
                    return None;
                };
                let adds = node.weight;
                self.place(node, 0, adds)
            }
            _ => Some(()),
        }
    }

    /// Notes that the parser gave up at a place. It says where it was then; the cause may stand elsewhere.
    fn not_yaml(&mut self, text: &str, span: Span, why: &str) {
        let byte = text.as_bytes();
        // It stops right behind a tab, or where the value before it ended.
        let from = span.start().saturating_sub(1);
        if why.contains("tab")
            && let Some(tab) = byte.iter().skip(from).position(|byte| *byte == b'\t').map(|skipped| from + skipped)
        {
            let finding = self.report.error(Span::new(self.file, tab, tab + 1), "not valid YAML: a tab");
            finding.help("indent and separate with spaces");
            return;
        }
        let bracket = |open: &&Open| matches!(byte.get(open.span.start()), Some(b'{' | b'['));
        let line = self.report.line_of(span);
        if why.contains("while parsing a flow")
            && let Some(open) = self.open.last().filter(bracket)
            && self.report.line_of(open.span) < line
        {
            let at = open.span.start();
            let message = format!("not valid YAML: `{}` is not closed, or lacks a comma", char::from(byte[at]));
            let finding = self.report.error(Span::new(self.file, at, at + 1), message);
            finding.help(format!("add the bracket or comma that is missing in line {line} or before it"));
            return;
        }
        let finding = self.report.error(span, format!("not valid YAML: {why}"));
        finding.help("check the indentation, the brackets and the quotes at and before this place");
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) -> Option<()> {
        if tagged {
            self.report.error(span, "YAML tags (`!…`) are not used here").help("remove the tag");
            return None;
        }
        Some(())
    }

    fn begin(&mut self, open: Open) -> Option<()> {
        if self.open.len() as u32 >= MAX_DEPTH {
            return self.too_deep(open.span);
        }
        if let Some(map) = self.open.last().and_then(|parent| parent.map.as_ref())
            && map.key.is_none()
        {
            self.report.error(open.span, "a key must be a word, not a list or a map").help("write `key: value`");
            return None;
        }
        self.open.push(open);
        Some(())
    }

    fn too_deep<T>(&mut self, span: Span) -> Option<T> {
        let message = format!("values are nested deeper than {MAX_DEPTH} levels");
        self.report.error(span, message).help("no key of the format needs more than eight");
        None
    }

    /// Puts a finished value where it belongs. It adds so many values: a collection's own were counted when they came,
    /// an alias brings all that it stands for.
    fn place(&mut self, node: Arc<Node>, anchor: usize, adds: u32) -> Option<()> {
        let span = node.span;
        if self.open.len() as u32 + node.depth > MAX_DEPTH {
            return self.too_deep(span);
        }
        self.weight = self.weight.saturating_add(adds);
        if self.weight > MAX_VALUES {
            let message = format!("the file has more than {MAX_VALUES} values, those behind aliases counted each time");
            self.report.error(span, message).help("use groups with a number of peers instead of listing each");
            return None;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        match self.open.last_mut() {
            None => self.root = Some(Node::clone(&node)),
            Some(Open { map: None, items, .. }) => items.push(node),
            Some(Open { map: Some(map), .. }) => match map.key.take() {
                None => {
                    let Value::Scalar { text, .. } = &node.value else {
                        self.report.error(span, "a key must be a word, not a list or a map").help("write `key: value`");
                        return None;
                    };
                    map.key = Some((text.clone(), span.in_file(self.file)));
                }
                Some((key, key_span)) => {
                    if let Some(first) = map.seen.get(&key) {
                        let first = *first;
                        let message = format!("the key `{}` stands twice in this map", shorten(&key));
                        let line = self.report.line_of(first);
                        let finding = self.report.error(key_span, message);
                        finding.help(format!("keep one of the two; the first is in line {line}"));
                    } else {
                        map.seen.insert(key.clone(), key_span);
                        map.entries.push(Entry { key, key_span, node });
                    }
                }
            },
        }
        Some(())
    }
}
