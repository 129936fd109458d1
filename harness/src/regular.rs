//! Reads files that users and other programs put in place: only regular ones, and only so much of them.

use std::{
    fs::{self, File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else than a file, possibly through a link.
    #[error("it is {0}; a regular file is expected")]
    Kind(&'static str),
    /// It is too large.
    #[error("the file has {bytes} bytes, the most that is read is {most}")]
    Large {
        /// Its size; just above the limit, if it grows.
        bytes: u64,
        /// The limit.
        most: u64,
    },
}

/// Whether this is a regular file, or a link to one.
pub(crate) fn is_regular(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file())
}

/// Everything that is in a regular file, or in one to which a link leads. Never waits, as for the other end of a pipe.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    // Before the opening, which is an act of its own for some devices; and after it, lest something was put in its place.
    is_file(fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    let about = file.metadata()?;
    is_file(about.file_type())?;
    let large = |bytes| ReadError::Large { bytes, most };
    if about.len() > most {
        return Err(large(about.len()));
    }
    let bytes = up_to(file, most + 1)?;
    if bytes.len() as u64 > most { Err(large(bytes.len() as u64)) } else { Ok(bytes) }
}

fn up_to(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_file(kind: FileType) -> Result<(), ReadError> {
    Err(ReadError::Kind(match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something unknown",
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType as Kind, Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_only_small_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "text").unwrap();
        symlink("file", path("link")).unwrap();
        symlink("/dev/zero", path("zeros")).unwrap();
        symlink("loop", path("loop")).unwrap();
        mknodat(CWD, path("pipe"), Kind::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // A hole: large without taking any space.
        File::create(path("large")).unwrap().set_len(1 << 40).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read(&path(name), 4).unwrap(), b"text");
            assert!(is_regular(&path(name)));
        }
        let refused = |name: &str| read(&path(name), 3).unwrap_err().to_string();
        assert_eq!(refused("file"), "the file has 4 bytes, the most that is read is 3");
        assert_eq!(refused("large"), "the file has 1099511627776 bytes, the most that is read is 3");
        assert_eq!(refused("zeros"), "it is a device; a regular file is expected");
        assert_eq!(refused("pipe"), "it is a pipe; a regular file is expected");
        assert_eq!(refused("."), "it is a directory; a regular file is expected");
        assert!(matches!(read(&path("loop"), 3), Err(ReadError::Io(_))));
        // It says that it is empty, and is not.
        assert!(matches!(read(Path::new("/proc/self/maps"), 3), Err(ReadError::Large { bytes: 4, .. })));
        assert!(["zeros", "pipe", ".", "loop", "nowhere"].iter().all(|name| !is_regular(&path(name))));
    }
}
