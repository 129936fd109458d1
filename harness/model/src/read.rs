//! From tree to values: a small typed decoder that notes what is wrong and goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use peerbed_link::{Bandwidth, Probability};

use crate::{
    diagnostic::{Report, Span, Spanned},
    shape::{Need, Shape},
    units::{self, Bad},
    yaml::{Node, Value, shorten},
};

/// The name of an arm has so many characters at most; it is that of a directory.
pub(crate) const ARM_NAME: usize = 200;
/// Keys that files had once: whose, which, and what takes its place.
const MOVED: &[(&str, &str, &str)] = &[("a group", "corrupts", "behaviour: {corrupt: 25%}")];

/// A map whose keys were checked against its shape.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    pub(crate) span: Span,
    shape: &'static Shape,
    found: BTreeMap<&'static str, &'n Arc<Node>>,
}

impl<'n> Fields<'n> {
    /// The value of a key, if it was given.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'n Arc<Node>> {
        debug_assert!(self.shape.key(key).is_some(), "{} has no key `{key}`", self.shape.name);
        self.found.get(key).copied()
    }

    /// Where a key's value stands, else the map.
    pub(crate) fn span_of(&self, key: &'static str) -> Span {
        self.get(key).map_or(self.span, |node| node.span)
    }

    /// The keys that were given, in order of name.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &'n Arc<Node>)> {
        self.found.iter().map(|(key, node)| (*key, *node))
    }
}

/// `, did you mean …?` if something of `known` is close to `word`.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let close = |name: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase());
    let best = known.into_iter().filter(|_| word.len() < 64).map(|name| (close(&name), name)).min();
    match best {
        Some((distance, name)) if distance <= (name.len().max(word.len()) / 3).max(1) && distance < name.len() => {
            format!(", did you mean `{name}`?")
        }
        _ => String::new(),
    }
}

/// The names with commas between them, each once; at most a dozen.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut seen = BTreeSet::new();
    let names: Vec<&str> = names.into_iter().filter(|name| seen.insert(*name)).collect();
    let shown = names.iter().take(12).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".to_owned(),
        n if n > 12 => format!("{shown}, … ({n} in all)"),
        _ => shown,
    }
}

/// Of a map with more keys nobody would read all names.
const KEYS_SHOWN: usize = 32;

impl Report {
    /// Reads a map: not a map, unknown keys and missing keys are noted.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, shape: &'static Shape) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            let names: Vec<&str> = shape.keys.iter().map(|key| key.name).collect();
            let finding = self.error(node.span, format!("expected {}, found {}", shape.name, node.describe()));
            finding.help(format!("write a map; its keys are {}", names.join(", ")));
            return None;
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            match shape.key(&entry.key) {
                Some(key) => {
                    found.insert(key.name, &entry.node);
                }
                None => self.unknown_key(&entry.key, entry.key_span, shape),
            }
        }
        for key in shape.keys.iter().filter(|key| matches!(key.need, Need::Required)) {
            if !found.contains_key(key.name) {
                let finding = self.error(node.span, format!("{} needs the key `{}`", shape.name, key.name));
                finding.help(format!("`{}`: {}", key.name, key.doc));
            }
        }
        Some(Fields { span: node.span, shape, found })
    }

    fn unknown_key(&mut self, key: &str, span: Span, shape: &'static Shape) {
        let moved = MOVED.iter().find(|(of, old, _)| *of == shape.name && *old == key);
        if let Some((of, old, now)) = moved {
            self.error(span, format!("{of} has no key `{old}` any more")).help(format!("write `{now}`"));
            return;
        }
        let names = || shape.keys.iter().map(|key| key.name);
        let message = format!("unknown key `{}`{}", shorten(key), did_you_mean(key, names()));
        let all: Vec<&str> = names().collect();
        self.error(span, message).help(if all.len() > KEYS_SHOWN {
            format!(
                "{} has {} keys: docs/experiment-format.md lists them, and `peerbed schema` does",
                shape.name,
                all.len()
            )
        } else {
            format!("the keys of {} are {}", shape.name, all.join(", "))
        });
    }

    /// Notes that something else was expected.
    pub(crate) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let finding = self.error(node.span, format!("expected {expected}, found {}", node.describe()));
        if node.is_null() {
            finding.help(format!("write {expected}; a key that is not needed is left out"));
        }
    }

    /// Reads a list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, of: &str) -> Option<&'n [Arc<Node>]> {
        let Value::List(items) = &node.value else {
            self.wrong_type(node, &format!("a list of {of}"));
            return None;
        };
        Some(items)
    }

    /// Reads a list that must not have more than `most` items, nor none if `least` is 1.
    pub(crate) fn bounded_list<'n>(
        &mut self,
        node: &'n Node,
        of: &str,
        (least, most): (usize, usize),
    ) -> Option<&'n [Arc<Node>]> {
        let items = self.list(node, of)?;
        if items.len() < least {
            self.error(node.span, format!("the list of {of} is empty")).help("at least one is needed");
            return None;
        }
        if items.len() > most {
            let message = format!("{} {of} are more than one file may have", items.len());
            self.error(node.span, message).help(format!("at most {most} are allowed"));
            return None;
        }
        Some(items)
    }

    /// Reads one value with a parser of its text.
    pub(crate) fn scalar<T>(
        &mut self,
        node: &Node,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<T> {
        let text = match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => text,
            _ => {
                self.wrong_type(node, expected);
                return None;
            }
        };
        // Units never need more, and messages repeat the text.
        let parsed = if text.len() > 256 { parse(&shorten(text)) } else { parse(text) };
        match parsed {
            Ok(value) => Some(value),
            Err(Bad { what, help }) => {
                self.error(node.span, what).help(help);
                None
            }
        }
    }

    /// A rate, or `unlimited`.
    pub(crate) fn bandwidth(&mut self, node: &Node) -> Option<Bandwidth> {
        self.scalar(node, "a rate such as `10mbit`, or `unlimited`", |text| {
            if text == "unlimited" { Ok(Bandwidth::Unlimited) } else { units::rate(text).map(Bandwidth::Limited) }
        })
    }

    /// A percentage.
    pub(crate) fn share(&mut self, node: &Node) -> Option<Probability> {
        self.scalar(node, "a percentage such as `31%`", units::share)
    }

    /// A time in a range.
    pub(crate) fn time(&mut self, node: &Node, range: (Duration, Duration)) -> Option<Duration> {
        self.scalar(node, "a time such as `20ms`", |text| units::time(text, range))
    }

    /// A size in a range.
    pub(crate) fn size(&mut self, node: &Node, range: (u64, u64)) -> Option<u64> {
        self.scalar(node, "a size such as `64MiB`", |text| units::size(text, range))
    }

    /// A number of times per time.
    pub(crate) fn per_second(&mut self, node: &Node) -> Option<f64> {
        self.scalar(node, "a number of times per time such as `0.5/s`", units::per_second)
    }

    /// A whole number in a range.
    pub(crate) fn whole(&mut self, node: &Node, least: u64, most: u64) -> Option<u64> {
        self.scalar(node, "a whole number", |text| units::whole(text, least, most))
    }

    /// A number in a range.
    pub(crate) fn number(&mut self, node: &Node, least: f64, most: f64) -> Option<f64> {
        self.scalar(node, "a number", |text| units::number(text, least, most))
    }

    /// A number in a range where the text may also have another form; `forms` says how both are written.
    pub(crate) fn number_or(&mut self, node: &Node, (least, most): (f64, f64), forms: &str) -> Option<f64> {
        self.scalar(node, "a number", |text| {
            units::number(text, least, most).map_err(|bad| Bad::new(bad.what, format!("write {forms}")))
        })
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        self.word_or(node, words, "")
    }

    /// One of some words where something else may stand as well: `other` says how that is written.
    pub(crate) fn word_or<T: Copy>(&mut self, node: &Node, words: &[(&str, T)], other: &str) -> Option<T> {
        let known = || words.iter().map(|(word, _)| *word);
        let all: Vec<String> = known().map(|word| format!("`{word}`")).collect();
        let expected = if all.len() > 1 { format!("one of {}", all.join(", ")) } else { all.concat() };
        let expected = if other.is_empty() { expected } else { format!("{expected}, or {other}") };
        self.scalar(node, &expected, |text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            let bad = || {
                Bad::new(
                    format!("`{text}` is not allowed here{}", did_you_mean(text, known())),
                    format!("write {expected}"),
                )
            };
            found.ok_or_else(bad)
        })
    }

    /// Any text.
    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
            _ => {
                self.wrong_type(node, "text");
                None
            }
        }
    }

    /// The name of something, at most `most` characters.
    pub(crate) fn name(&mut self, node: &Node, most: usize) -> Option<Spanned<String>> {
        let value = self.scalar(node, "a name", |text| check_name(text, most))?;
        Some(Spanned { value, span: node.span })
    }

    /// The name of an arm, which a matrix makes longer than others.
    pub(crate) fn arm_name(&mut self, node: &Node) -> Option<Spanned<String>> {
        let value = self.scalar(node, "the name of an arm", |text| {
            let help = format!("at most {ARM_NAME} characters are allowed");
            match check_name(text, 63) {
                Err(_) if is_of_arms(text) && text.len() > ARM_NAME => {
                    Err(Bad::new(format!("`{}` is too long for a name", shorten(text)), help))
                }
                Err(_) if is_of_arms(text) => Ok(text.to_owned()),
                other => other,
            }
        })?;
        Some(Spanned { value, span: node.span })
    }

    /// A map from names to values; bad names are noted and left out.
    pub(crate) fn named<'n>(&mut self, node: &'n Node, of: &str) -> Option<Vec<(Spanned<String>, &'n Arc<Node>)>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, &format!("a map of {of}"));
            return None;
        };
        let mut found = Vec::new();
        for entry in entries {
            match check_name(&entry.key, 63) {
                Ok(value) => found.push((Spanned { value, span: entry.key_span }, &entry.node)),
                Err(Bad { what, help }) => {
                    self.error(entry.key_span, what).help(help);
                }
            }
        }
        Some(found)
    }

    /// Notes a name that nothing has.
    pub(crate) fn dangling<'a>(
        &mut self,
        kind: &str,
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) {
        let guess = did_you_mean(name, known.clone());
        self.error(span, format!("no {kind} named `{}`{guess}", shorten(name)))
            .help(format!("there are: {}", listed(known)));
    }

    /// Notes those that have a name already.
    pub(crate) fn duplicates<'a>(&mut self, kind: &str, names: impl IntoIterator<Item = &'a Spanned<String>>) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for name in names {
            if let Some(first) = seen.insert(&name.value, name.span) {
                let line = self.line_of(first);
                let message = format!("two {kind} are named `{}`", name.value);
                self.error(name.span, message).help(format!("rename one of them; the other is in line {line}"));
            }
        }
    }
}

/// Whether a text has the characters of an arm's name: those of names, and what a matrix puts between them or takes from values.
pub(crate) fn is_of_arms(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=' | '%' | '~');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(good)
}

/// Names go into paths, addresses of overrides and names of nodes, so that few characters are allowed.
fn check_name(text: &str, most: usize) -> Result<String, Bad> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || !text.chars().all(good) {
        let help = "a name has letters, digits, `-`, `_` and `.`, and begins with a letter or digit";
        return Err(Bad::new(format!("`{}` is not a name", shorten(text)), help));
    }
    if text.len() > most {
        return Err(Bad::new(
            format!("`{}` is too long for a name", shorten(text)),
            format!("at most {most} characters are allowed"),
        ));
    }
    Ok(text.to_owned())
}
