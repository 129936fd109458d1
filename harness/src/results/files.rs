//! Files that are there whole or not at all, and are never overwritten.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Why results could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// A file or directory could not be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A Parquet file could not be written.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A value could not be written as JSON.
    #[error("{}: {source}", path.display())]
    Json {
        /// In which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A plan could not be written as YAML.
    #[error("{}: {message}", path.display())]
    Yaml {
        /// In which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A name that would lead out of the results directory.
    #[error("`{0}` cannot be the name of a directory")]
    Name(String),
    /// A file is there that is not to be replaced.
    #[error("{} {why}, and stays as it is: name another file, or remove it first", path.display())]
    Taken {
        /// Which.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// The directory of a file to write is missing.
    #[error("there is no directory {}", .0.display())]
    NoDirectory(PathBuf),
    /// What was written could not be read back.
    #[error(transparent)]
    Read(#[from] super::ReadError),
    /// There is nothing to keep results of.
    #[error("an experiment without any run has no results")]
    NoPlans,
}

impl ResultsError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ResultsError::Io { path, source }
    }
}

/// Writes a file beside its place and moves it there when it is whole and on the disk. A file that is already there is an
/// error, and stays as it is.
pub(super) fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), ResultsError>,
) -> Result<(), ResultsError> {
    let mut name = std::ffi::OsString::from(".writing-");
    name.push(path.file_name().unwrap_or_default());
    let beside = path.with_file_name(name);
    let written = (|| {
        let mut writer = BufWriter::new(File::create_new(&beside).map_err(ResultsError::io(&beside))?);
        fill(&mut writer)?;
        writer.flush().map_err(ResultsError::io(&beside))?;
        writer.get_ref().sync_all().map_err(ResultsError::io(&beside))?;
        rename_new(&beside, path).map_err(ResultsError::io(path))
    })();
    if written.is_err() {
        // The first error is the one to report; what remains is inside an unfinished directory.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Writes a text in place of the file that is there, in one step: whoever reads it finds the one or the other. What is there must
/// be a regular file that has `ours` in its beginning; without it, whatever regular file is there is replaced.
pub fn replace_text(path: &Path, text: &str, ours: Option<&str>) -> Result<(), ResultsError> {
    let taken = |why| ResultsError::Taken { path: path.to_owned(), why };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(ResultsError::io(path)(error)),
        Ok(about) if !about.is_file() => return Err(taken("is no regular file")),
        Ok(_) => {
            let mut beginning = Vec::new();
            let file = File::open(path).map_err(ResultsError::io(path))?;
            file.take(4096).read_to_end(&mut beginning).map_err(ResultsError::io(path))?;
            if ours.is_some_and(|ours| !String::from_utf8_lossy(&beginning).contains(ours)) {
                return Err(taken("was not made by this command"));
            }
        }
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(ResultsError::NoDirectory(directory.to_owned()));
    }
    let beside = directory.join(format!(".writing-{}", std::process::id()));
    let written = File::create_new(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(ResultsError::io(path))
}

/// Writes text as [`write_whole`] does.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), ResultsError> {
    write_whole(path, |file| file.write_all(text.as_bytes()).map_err(ResultsError::io(path)))
}

/// Writes a value as indented JSON.
pub(super) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), ResultsError> {
    let json = |source| ResultsError::Json { path: path.to_owned(), source };
    let text = serde_json::to_string_pretty(value).map_err(json)?;
    write_text(path, &(text + "\n"))
}

/// Writes values as JSON, one a line.
pub(super) fn write_lines<T: serde::Serialize>(
    path: &Path,
    values: impl IntoIterator<Item = T>,
) -> Result<(), ResultsError> {
    write_whole(path, |file| {
        for value in values {
            serde_json::to_writer(&mut *file, &value)
                .map_err(|source| ResultsError::Json { path: path.to_owned(), source })?;
            file.write_all(b"\n").map_err(ResultsError::io(path))?;
        }
        Ok(())
    })
}

/// Removes a directory unless there is something in it.
pub(super) fn remove_if_empty(path: &Path) -> Result<(), ResultsError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other.map_err(ResultsError::io(path)),
    }
}

/// Renames, and fails if something is there already.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems do not know the flag; there, nobody else makes files of this name between the two calls.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        other => other.map_err(io::Error::from),
    }
}

/// Lets the symbolic link `link` point to its sibling `name`, in one step.
pub(super) fn point_link(link: &Path, name: &str) -> io::Result<()> {
    let beside = link.with_file_name(format!(".{name}.link"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(name, &beside)?;
    fs::rename(&beside, link)
}
