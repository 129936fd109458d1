//! Which code made the results: commit, difference to it, lock file, compiler. The only module that asks git and rustc.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

/// Which code made the results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The version of this program.
    pub version: String,
    /// The commit of the checkout, all digits; none if there is no checkout.
    pub commit: Option<String>,
    /// The checkout differed from the commit; false if there is no checkout.
    pub dirty: bool,
    /// BLAKE3 of the difference (tracked changes and untracked files), where it is dirty.
    pub diff_blake3: Option<String>,
    /// BLAKE3 of Cargo.lock, where it is there.
    pub cargo_lock_blake3: Option<String>,
    /// What `rustc -V` says in the checkout, where it runs.
    pub rustc: Option<String>,
    /// Why there is no commit.
    pub unknown_because: Option<String>,
}

impl Identity {
    /// Of the checkout in this directory. What cannot be found out is none, with the reason.
    pub fn of(checkout: &Path) -> Self {
        let mut identity = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
            dirty: false,
            diff_blake3: None,
            cargo_lock_blake3: hash_file(&checkout.join("Cargo.lock")).ok().map(|hash| hash.to_hex().to_string()),
            rustc: output(checkout, "rustc", &["-V"]).ok().map(|text| trimmed(&text)),
            unknown_because: None,
        };
        match commit_and_difference(checkout) {
            Ok((commit, difference)) => {
                identity.commit = Some(commit);
                identity.dirty = difference.is_some();
                identity.diff_blake3 = difference;
            }
            Err(reason) => identity.unknown_because = Some(reason),
        }
        identity
    }
}

fn commit_and_difference(checkout: &Path) -> Result<(String, Option<String>), String> {
    let git = |args: &[&str]| output(checkout, "git", args);
    let commit = trimmed(&git(&["rev-parse", "--verify", "HEAD"])?);
    if git(&["status", "--porcelain"])?.is_empty() {
        return Ok((commit, None));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&git(&["diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD"])?);
    let untracked = git(&["ls-files", "--others", "--exclude-standard", "--full-name", "-z"])?;
    for name in untracked.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let path = checkout.join(String::from_utf8_lossy(name).as_ref());
        hasher.update(name);
        match hash_file(&path) {
            Ok(hash) => hasher.update(hash.as_bytes()),
            // A socket or an unreadable file: that it is there is part of the difference, its bytes are not.
            Err(error) => hasher.update(error.kind().to_string().as_bytes()),
        };
    }
    Ok((commit, Some(hasher.finalize().to_hex().to_string())))
}

/// What tells git of another repository than that of its directory, as hooks do (`git rev-parse --local-env-vars` lists them).
const OF_A_REPOSITORY: [&str; 17] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Takes these away.
pub(crate) fn alone(command: &mut Command) {
    for name in OF_A_REPOSITORY {
        command.env_remove(name);
    }
}

/// Standard output of a program that ended well, else a sentence.
fn output(directory: &Path, program: &str, args: &[&str]) -> Result<Vec<u8>, String> {
    let called = || format!("`{program} {}`", args.join(" "));
    let mut command = Command::new(program);
    alone(&mut command);
    // Reading must not write: without this, `git status` refreshes the index.
    command.args(args).current_dir(directory).env("GIT_OPTIONAL_LOCKS", "0").stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{}: {error}", called()))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {}", called(), said.lines().next().unwrap_or("failed without a word")))
    }
}

fn trimmed(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

fn hash_file(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    if path.symlink_metadata()?.file_type().is_symlink() {
        hasher.update(std::os::unix::ffi::OsStrExt::as_bytes(std::fs::read_link(path)?.as_os_str()));
        return Ok(hasher.finalize());
    }
    // Opening a pipe would wait for its other end.
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn git(directory: &Path, args: &[&str]) {
        let fixed = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"];
        output(directory, "git", &[&fixed[..], args].concat()).expect("git works");
    }

    #[test]
    fn every_variable_that_leads_git_elsewhere_is_taken_away() {
        let listed = output(Path::new("/"), "git", &["rev-parse", "--local-env-vars"]).expect("git works");
        let listed = String::from_utf8(listed).expect("text");
        let missing: Vec<&str> = listed.lines().filter(|name| !OF_A_REPOSITORY.contains(name)).collect();
        assert!(listed.contains("GIT_DIR") && missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_commit_is_clean_until_something_differs_and_each_difference_has_its_hash() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path();
        git(path, &["init", "-q"]);
        fs::write(path.join("Cargo.lock"), "one").expect("written");
        git(path, &["add", "."]);
        git(path, &["commit", "-q", "-m", "one"]);

        let clean = Identity::of(path);
        assert_eq!(clean.commit.as_ref().map(String::len), Some(40));
        assert_eq!((clean.dirty, &clean.diff_blake3, &clean.unknown_because), (false, &None, &None));
        assert_eq!(clean.cargo_lock_blake3, Some(blake3::hash(b"one").to_hex().to_string()));

        fs::write(path.join("Cargo.lock"), "two").expect("written");
        let changed = Identity::of(path);
        fs::write(path.join("new"), "untracked").expect("written");
        let untracked = Identity::of(path);
        fs::write(path.join("new"), "untracked!").expect("written");
        let other = Identity::of(path);
        assert!(changed.dirty && changed.commit == clean.commit);
        let hashes = [changed.diff_blake3, untracked.diff_blake3, other.diff_blake3];
        assert!(hashes.iter().all(Option::is_some));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2], "{hashes:?}");
    }

    #[test]
    fn without_a_checkout_the_reason_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(".git"), "gitdir: /nonexistent\n").expect("written");
        let identity = Identity::of(dir.path());
        assert_eq!((identity.commit, identity.dirty, identity.cargo_lock_blake3), (None, false, None));
        assert!(identity.unknown_because.expect("a reason").contains("git rev-parse"));
    }
}
