//! Writes XML 1.0: elements with attributes and text, whatever characters those have.

use std::fmt::{Display, Write};

/// An element.
#[derive(Debug, Clone)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    /// An empty one.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new(), text: String::new() }
    }

    /// With an attribute; each name once.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, format!("{value}")));
        self
    }

    /// With an element inside.
    #[must_use]
    pub(super) fn and(mut self, child: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(child);
        self
    }

    /// With text inside, before its elements.
    #[must_use]
    pub(super) fn saying(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// How many elements of this name are in it, at any depth.
    pub(super) fn count(&self, name: &str) -> usize {
        self.children.iter().map(|child| usize::from(child.name == name) + child.count(name)).sum()
    }

    /// The whole file.
    pub(super) fn document(&self) -> String {
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let _ = write!(out, "{indent}<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escaped(value));
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push_str("/>\n");
            return;
        }
        let _ = write!(out, ">{}", escaped(&self.text));
        if !self.children.is_empty() {
            out.push('\n');
            for child in &self.children {
                child.write(out, depth + 1);
            }
            out.push_str(&indent);
        }
        let _ = writeln!(out, "</{}>", self.name);
    }
}

/// For text and for attributes between double quotes. Spaces but ` ` are references, as readers would make others of them
/// ("Extensible Markup Language (XML) 1.0", 2.11 and 3.3.3). What XML cannot hold, even as a reference (2.2, `Char`), is written
/// as Rust writes it: `\u{1b}`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}
