//! The text of a file and the names that users type: what is refused before any YAML is read.

use std::sync::Arc;

use crate::{
    diagnostic::{Diagnostic, Diagnostics, Report, Span},
    yaml::shorten,
};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// The largest trace, and all traces of a topology together, in bytes.
pub const MAX_TRACE_BYTES: usize = 16 << 20;

/// The largest file of AS relationships, in bytes; those of the whole Internet have about 10 MB.
pub const MAX_RELATIONS_BYTES: usize = 128 << 20;

/// A file's text with the name under which messages speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// Takes a file's bytes; refuses what is not UTF-8 or larger than [`MAX_FILE_BYTES`].
    ///
    /// `name` is the path as the user knows it, for example `experiments/quick.yaml`.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Diagnostics> {
        let help = "large inputs belong in several experiments, or in `command`s of groups";
        Self::bounded(name.into(), bytes, MAX_FILE_BYTES, help)
    }

    /// The same of a trace, which may be larger: [`MAX_TRACE_BYTES`].
    pub fn from_trace(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Diagnostics> {
        Self::bounded(name.into(), bytes, MAX_TRACE_BYTES, "cut it: a trace is repeated from its beginning")
    }

    /// The same of a file of AS relationships, which may be as large as the Internet's: [`MAX_RELATIONS_BYTES`].
    pub fn from_relations(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Diagnostics> {
        let name = name.into();
        let packed = [(&b"BZh"[..], "bzip2"), (&[0x1f, 0x8b], "gzip"), (&[0xfd, b'7', b'z', b'X', b'Z'], "xz")];
        if let Some((_, how)) = packed.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            let help =
                format!("decompress it first, for example `{how} -dk FILE`; files of relationships are read as text");
            return Err(refusal(&name, format!("the file is compressed ({how})"), &help));
        }
        Self::bounded(name, bytes, MAX_RELATIONS_BYTES, "files of AS relationships are smaller; is it another file?")
    }

    fn bounded(name: String, bytes: Vec<u8>, most: usize, help: &str) -> Result<Self, Diagnostics> {
        if bytes.len() > most {
            let (size, mebibytes) = (bytes.len(), most >> 20);
            let message = format!("the file has {size} bytes, the most that is read is {most} ({mebibytes} MiB)");
            return Err(refusal(&name, message, help));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name: name.into(), text: text.into() }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let good = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
                let source = Self { name: name.into(), text: good.into() };
                let mut report = Report::new(vec![source]);
                report
                    .error(
                        Span::new(0, at, at),
                        format!("the file is not UTF-8: byte {at} does not belong to any character"),
                    )
                    .help("save the file as UTF-8; compressed or binary files cannot be read here");
                Err(report.into_diagnostics())
            }
        }
    }

    /// The name under which messages speak of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn refusal(name: &str, message: String, help: &str) -> Diagnostics {
    let source = Source { name: name.into(), text: "".into() };
    let mut report = Report::new(vec![source]);
    report.error(Span::new(0, 0, 0), message).help(help);
    report.into_diagnostics()
}

/// The name of an experiment or a topology: its file's name without `.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentName(String);

impl ExperimentName {
    /// The name as text; it is safe as one component of a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ExperimentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a name cannot be the name of an experiment or a topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// Nothing at all.
    #[error("the name is empty; give the name of a file without `.yaml`, for example `quick`")]
    Empty,
    /// More than 63 characters.
    #[error("the name has {0} characters, at most 63 are allowed; shorten the file's name")]
    Long(usize),
    /// It ends in `.yaml` or `.yml`.
    #[error("`{0}` is a file name; give the name without its ending: `{1}`")]
    Ending(String, String),
    /// It has a `/`, a `\` or a `..`, or begins with a dot.
    #[error("`{0}` is a path; give the name alone, for example `quick` for experiments/quick.yaml")]
    Path(String),
    /// It has some other character.
    #[error(
        "`{0}` has the character {1:?}; a name has letters, digits, `-`, `_` and `.`, and begins with a letter or digit"
    )]
    Character(String, char),
}

/// Checks a name that a user typed or a file gives (`NAME=…`, `topology: …`).
pub fn experiment_name(text: &str) -> Result<ExperimentName, NameRefused> {
    if text.is_empty() {
        return Err(NameRefused::Empty);
    }
    if text.contains(['/', '\\']) || text.contains("..") || text.starts_with('.') {
        return Err(NameRefused::Path(shorten(text)));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(odd) = text.chars().enumerate().find(|&(at, c)| !good(c) || (at == 0 && !c.is_ascii_alphanumeric())) {
        return Err(NameRefused::Character(shorten(text), odd.1));
    }
    for ending in [".yaml", ".yml"] {
        if let Some(stem) = text.strip_suffix(ending) {
            return Err(NameRefused::Ending(text.to_owned(), stem.to_owned()));
        }
    }
    if text.len() > 63 {
        return Err(NameRefused::Long(text.len()));
    }
    Ok(ExperimentName(text.to_owned()))
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Diagnostics::from_iter([one])
    }
}
