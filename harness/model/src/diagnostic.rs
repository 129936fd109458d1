//! What is wrong with a file: every problem at once, each with its place, its snippet and a remedy.

use std::{collections::BTreeSet, error::Error, fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

use crate::source::Source;

/// After so many problems the rest are only counted; nobody reads them, and hostile files have millions.
const MAX_SHOWN: usize = 100;
/// Of a longer line only the place is said, in bytes; no person wrote it.
const MAX_LINE: usize = 2_000;

/// A range of bytes of one of the files of a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    file: u8,
    start: u32,
    end: u32,
}

impl Span {
    /// Bytes `start..end` of file number `file`.
    pub(crate) fn new(file: u8, start: usize, end: usize) -> Self {
        Self { file, start: start as u32, end: end.max(start) as u32 }
    }

    /// Its first byte.
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    /// From the beginning of `self` to the end of `other`, for two spans of one file.
    pub(crate) fn to(self, other: Self) -> Self {
        Self { end: other.end.max(self.end), ..self }
    }

    /// The same place in another file number.
    pub(crate) fn in_file(self, file: u8) -> Self {
        Self { file, ..self }
    }
}

/// A value with the place where it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be planned.
    Error,
    /// The plan stands, but perhaps says something else than its author meant.
    Warning,
}

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    help: Option<String>,
    note: Option<String>,
    file: String,
    line: usize,
    column: usize,
    snippet: String,
    #[serde(skip)]
    mark: Range<usize>,
}

impl Diagnostic {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character within the line, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    fn render(&self) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if self.snippet.trim().is_empty() {
            group = group.element(Origin::path(self.file.as_str()).line(self.line).char_column(self.column));
        } else {
            let mark = AnnotationKind::Primary.span(self.mark.clone());
            let snippet = Snippet::source(self.snippet.as_str()).line_start(self.line).annotation(mark);
            group = group.element(snippet.path(self.file.as_str()));
        }
        if let Some(note) = &self.note {
            group = group.element(Level::NOTE.message(normalize_untrusted_str(note)));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

/// Every problem that was found, in order of place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    unshown: usize,
}

impl Diagnostics {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many problems were found, those beyond the first hundred included.
    pub fn len(&self) -> usize {
        self.list.len() + self.unshown
    }

    /// The first hundred.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(list: I) -> Self {
        Self { list: list.into_iter().collect(), unshown: 0 }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.unshown > 0 {
            write!(f, "\n\nand {} more", self.unshown)?;
        }
        Ok(())
    }
}

impl Error for Diagnostics {}

/// A problem as it is collected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    span: Span,
    severity: Severity,
    message: String,
    help: Option<String>,
    note: Option<String>,
}

impl Finding {
    /// Adds what to do about it.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }
}

/// The problems found so far in a set of files.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    files: Vec<Source>,
    findings: Vec<Finding>,
    /// Those kept are bounded in number, so that a hostile file costs no memory.
    dropped: usize,
    errors: usize,
}

impl Report {
    /// Nothing found yet; a span's file number is an index in `files`.
    pub(crate) fn new(files: Vec<Source>) -> Self {
        Self { files, findings: Vec::new(), dropped: 0, errors: 0 }
    }

    /// An empty one over the same files.
    pub(crate) fn beside(&self) -> Self {
        Self::new(self.files.clone())
    }

    /// Notes an error.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.errors += 1;
        self.push(span, Severity::Error, message.into())
    }

    /// Notes a warning.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        self.push(span, Severity::Warning, message.into())
    }

    fn push(&mut self, span: Span, severity: Severity, message: String) -> &mut Finding {
        // Twice what is shown leaves room for those that turn out to be the same.
        if self.findings.len() >= 2 * MAX_SHOWN {
            self.findings.pop();
            self.dropped += 1;
        }
        self.findings.push(Finding { span, severity, message, help: None, note: None });
        self.findings.last_mut().expect("just pushed")
    }

    /// The line of a place, from 1.
    pub(crate) fn line_of(&self, span: Span) -> usize {
        let text = self.files[usize::from(span.file)].text();
        text[..floor_char_boundary(text, span.start as usize)].matches('\n').count() + 1
    }

    /// How many errors were noted so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Takes over what another report over the same files found, except what is known already; `note` says where it
    /// came from.
    pub(crate) fn absorb(&mut self, other: Report, note: &str) {
        let known: BTreeSet<(Span, String)> = self.findings.iter().map(|f| (f.span, f.message.clone())).collect();
        for mut finding in other.findings {
            if known.contains(&(finding.span, finding.message.clone())) {
                continue;
            }
            finding.note.get_or_insert_with(|| note.to_owned());
            self.errors += usize::from(finding.severity == Severity::Error);
            if self.findings.len() < 2 * MAX_SHOWN {
                self.findings.push(finding);
            } else {
                self.dropped += 1;
            }
        }
        self.dropped += other.dropped;
        self.errors += other.dropped;
    }

    /// What was found, in order of place, with its snippets.
    pub(crate) fn into_diagnostics(mut self) -> Diagnostics {
        self.findings.sort();
        self.findings.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        let unshown = self.dropped + self.findings.len().saturating_sub(MAX_SHOWN);
        let list = self.findings.iter().take(MAX_SHOWN).map(|finding| locate(&self.files, finding)).collect();
        Diagnostics { list, unshown }
    }
}

/// Finds line, column and snippet of a span; a span over several lines is cut at the end of its first.
fn locate(files: &[Source], finding: &Finding) -> Diagnostic {
    let source = &files[usize::from(finding.span.file)];
    let text = source.text();
    let start = floor_char_boundary(text, finding.span.start as usize);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let whole = text[line_start..line_end].trim_end_matches('\r');
    let at = (start - line_start).min(whole.len());
    let end = floor_char_boundary(text, finding.span.end as usize).saturating_sub(line_start).clamp(at, whole.len());

    let (snippet, mark) = if whole.len() > MAX_LINE { (String::new(), 0..0) } else { (whole.to_owned(), at..end) };
    Diagnostic {
        severity: finding.severity,
        message: finding.message.clone(),
        help: finding.help.clone(),
        note: finding.note.clone(),
        file: source.name().to_owned(),
        line: text[..start].matches('\n').count() + 1,
        column: whole[..at].chars().count() + 1,
        snippet,
        mark,
    }
}

/// The last boundary of a character that is not after `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
