//! The programs that are compared: from a name of a commit to three static programs in a cache.
//!
//! All versions of a checkout are built at one place, one after the other, so that equal sources make equal programs: paths go into
//! programs. That place is a git worktree in the user's cache directory; the checkout itself, and what is built in it, stay as they are.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, anyhow, bail};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use serde::{Deserialize, Serialize};

use crate::{regular, results::alone, say::complain};

/// The programs of nodes.
pub const PROGRAMS: [&str; 3] = ["control", "edge", "peer"];
/// The program of the harness, which belongs to a whole product.
pub const HARNESS: &str = "peerbed";
/// What stands for the checkout as it is, with everything that is not committed.
pub const WORKTREE: &str = ".";
/// How they are built; whatever changes a program belongs to it.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// Larger programs are none of ours.
const MOST_BYTES: u64 = 1 << 30;

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What the user called it.
    pub name: String,
    /// Its commit; that below the changes where it has some; none of programs that were given as such.
    pub commit: Option<String>,
    /// The hash of its tree of files, changes included.
    pub tree: Option<String>,
    /// It has changes that are not committed.
    pub dirty: bool,
    /// What built it.
    pub rustc: Option<String>,
    /// BLAKE3 of each program, in the order of [`PROGRAMS`]; of a whole product also of its [`HARNESS`], the last.
    pub programs: Vec<String>,
}

/// A side with where its programs are.
#[derive(Debug, Clone)]
pub struct Built {
    /// What it is.
    pub subject: Subject,
    /// The directory of its programs.
    pub directory: PathBuf,
}

/// A version of a checkout, not yet built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    name: String,
    commit: String,
    tree: String,
    dirty: bool,
}

/// A version that is no programs.
#[derive(Debug, thiserror::Error)]
#[error("cargo ended with {0}; what it complained of stands above")]
pub struct NotBuilt(std::process::ExitStatus);

/// A checkout whose versions can be built.
#[derive(Debug)]
pub struct Checkout {
    root: PathBuf,
    cache: PathBuf,
    /// What is built of each version.
    programs: Vec<&'static str>,
    building: Mutex<Building>,
}

/// Whether cargo is at work.
#[derive(Debug)]
enum Building {
    Idle,
    /// With all that it started, in a process group of its own.
    Cargo(Pid),
    /// Nothing is to be built any more.
    Stopped,
}

impl Built {
    /// Programs that somebody else built.
    pub fn given(name: &str, directory: &Path, whole: bool) -> anyhow::Result<Self> {
        let directory = directory.canonicalize().with_context(|| format!("cannot open {}", directory.display()))?;
        let wanted = programs(whole);
        let programs = hashes(&directory, &wanted)
            .with_context(|| format!("{} must have the programs {}", directory.display(), wanted.join(", ")))?;
        let subject = Subject { name: name.to_owned(), commit: None, tree: None, dirty: false, rustc: None, programs };
        Ok(Self { subject, directory })
    }
}

impl Version {
    /// What the user called it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has changes that are not committed.
    pub fn dirty(&self) -> bool {
        self.dirty
    }

    /// Its commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }
}

impl Checkout {
    /// The git checkout that holds this directory.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let root = PathBuf::from(git(directory, &["rev-parse", "--show-toplevel"]).context(
            "comparing needs a git checkout, whose commits are built; or name programs with --base-programs and --head-programs",
        )?);
        let common = git(&root, &["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
        // Clones have worktrees of their own: one belongs to one repository.
        let key = &blake3::hash(common.as_bytes()).to_hex()[..12];
        let cache = cache_directory()?.join("builds").join(key);
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        // As git tells it.
        let cache = cache.canonicalize().with_context(|| format!("cannot open {}", cache.display()))?;
        Ok(Self { root, cache, programs: programs(false), building: Mutex::new(Building::Idle) })
    }

    /// Ends a build that is going on, and all that would come.
    pub fn stop(&self) {
        let mut building = self.building();
        if let Building::Cargo(pid) = *building
            && let Err(error) = kill_process_group(pid, Signal::TERM)
        {
            tracing::warn!(%error, "cargo cannot be ended");
        }
        *building = Building::Stopped;
    }

    fn building(&self) -> MutexGuard<'_, Building> {
        self.building.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, of which whole products are built.
    #[must_use]
    pub fn whole(self, whole: bool) -> Self {
        Self { programs: programs(whole), ..self }
    }

    /// The version of this name: anything that git knows as a commit, or `.` for the files as they are.
    pub fn version(&self, name: &str) -> anyhow::Result<Version> {
        if name != WORKTREE {
            let commit = git(
                &self.root,
                &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")],
            )
            // Which says nothing more of it.
            .map_err(|_| anyhow!("git knows no commit `{name}`; `.` means the files as they are"))?;
            // Such as what is not a commit: `^main`.
            if !commit.chars().all(|c| c.is_ascii_hexdigit()) {
                bail!("`{name}` is no commit for git, but what is left out; `.` means the files as they are");
            }
            let tree = git(&self.root, &["rev-parse", &format!("{commit}^{{tree}}")])?;
            return Ok(Version { name: name.to_owned(), commit, tree, dirty: false });
        }
        let head = git(&self.root, &["rev-parse", "HEAD"])?;
        // An index of its own, so that what the user has staged stays as it is.
        let index = self.cache.join(format!("index-{}", std::process::id()));
        let with_index = |args: &[&str]| git_with(&self.root, args, &[("GIT_INDEX_FILE", index.as_os_str())]);
        let tree = with_index(&["read-tree", "HEAD"])
            .and_then(|_| with_index(&["add", "--all"]))
            .and_then(|_| with_index(&["write-tree"]));
        if let Err(error) = fs::remove_file(&index) {
            tracing::warn!(%error, "{} could not be removed", index.display());
        }
        let tree = tree?;
        let dirty = tree != git(&self.root, &["rev-parse", "HEAD^{tree}"])?;
        Ok(Version { name: name.to_owned(), commit: head, tree, dirty })
    }

    /// The commits after one up to another, in order: those of its first parents, as a merge is one step of them.
    pub fn between(&self, from: &Version, to: &Version) -> anyhow::Result<Vec<Version>> {
        let range = format!("{}..{}", from.commit, to.commit);
        let text = git(
            &self.root,
            &["rev-list", "--reverse", "--first-parent", "--format=%H %T", "--no-commit-header", &range],
        )?;
        let versions = text.lines().filter_map(|line| line.split_once(' ')).map(|(commit, tree)| Version {
            name: short(commit, false),
            commit: commit.to_owned(),
            tree: tree.to_owned(),
            dirty: false,
        });
        let versions: Vec<Version> = versions.collect();
        let before = versions
            .first()
            .map(|first| git(&self.root, &["rev-parse", "--verify", "--quiet", &format!("{}^", first.commit)]));
        if !matches!(before, Some(Ok(before)) if before == from.commit) {
            bail!(
                "{} is not among the first parents of {}: commits are looked for on the line that leads from the one to the other",
                from.name,
                to.name
            );
        }
        Ok(versions)
    }

    /// Builds a version, unless that was done before; says so as it goes.
    pub fn build(&self, version: &Version) -> anyhow::Result<Built> {
        let Version { name, commit, tree, dirty } = version;
        let _lock = self.lock()?;
        let source = self.cache.join("source");
        let committed = if *dirty { self.commit_of(tree, commit)? } else { commit.clone() };
        self.check_out(&source, &committed)?;
        let rustc = output(&source, "rustc", &["-vV"], &[])?;
        let host =
            rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?.to_owned();
        let rustc = rustc.lines().next().unwrap_or_default().to_owned();
        let whole = if self.programs.contains(&HARNESS) { "\nwhole" } else { "" };
        let own = own_configuration();
        let key = blake3::hash(format!("{tree}\n{rustc}\n{host}\n{FLAGS}{whole}\n{own}").as_bytes());
        let key = key.to_hex()[..32].to_owned();
        let directory = self.cache.join("programs").join(key);
        let subject = |programs| Subject {
            name: name.clone(),
            commit: Some(commit.clone()),
            tree: Some(tree.clone()),
            dirty: *dirty,
            rustc: Some(rustc.clone()),
            programs,
        };
        if let Ok(programs) = hashes(&directory, &self.programs) {
            complain(format_args!("{name}: built before"));
            return Ok(Built { subject: subject(programs), directory });
        }
        complain(format_args!("{name}: building {} (some minutes)", short(commit, *dirty)));
        self.cargo(&source, &host).with_context(|| format!("{name} could not be built"))?;
        let built = self.cache.join("target").join(&host).join("release");
        keep(&built, &directory, &self.programs)?;
        let programs =
            hashes(&directory, &self.programs).with_context(|| format!("what was built of {name} cannot be read"))?;
        Ok(Built { subject: subject(programs), directory })
    }

    /// One build at a time.
    fn lock(&self) -> anyhow::Result<File> {
        let path = self.cache.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            complain("another comparison is building; waiting for it");
            flock(&lock, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(lock)
    }

    /// A commit of a tree that has none.
    fn commit_of(&self, tree: &str, parent: &str) -> anyhow::Result<String> {
        let who = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
        let who: Vec<(&str, &OsStr)> = who.iter().map(|name| (*name, OsStr::new("peerbed"))).collect();
        git_with(
            &self.root,
            &["-c", "commit.gpgsign=false", "commit-tree", tree, "-p", parent, "-m", "uncommitted changes"],
            &who,
        )
    }

    /// Brings the worktree to a commit. Files that stay the same stay untouched, so that little is built anew.
    fn check_out(&self, source: &Path, commit: &str) -> anyhow::Result<()> {
        let path = source.display().to_string();
        if git(source, &["rev-parse", "--show-toplevel"]).is_ok_and(|top| Path::new(&top) == source) {
            let there = git(source, &["checkout", "--quiet", "--force", "--detach", commit])
                .and_then(|_| git(source, &["clean", "--quiet", "-ffdx"]));
            match there {
                Ok(_) => return Ok(()),
                // A git that was killed leaves its lock: the worktree is made anew.
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
        match fs::remove_dir_all(source) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {path}"));
            }
            _ => {}
        }
        git(&self.root, &["worktree", "add", "--quiet", "--force", "--force", "--detach", &path, commit])?;
        Ok(())
    }

    fn cargo(&self, source: &Path, host: &str) -> anyhow::Result<()> {
        let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", host.to_uppercase().replace('-', "_"));
        let mut command = Command::new("cargo");
        command.args(["build", "--release", "--locked", "--quiet", "--target", host]);
        for program in &self.programs {
            let package = if *program == HARNESS { HARNESS.to_owned() } else { format!("peerbed-{program}") };
            command.args(["-p", &package]);
        }
        // What the caller builds with is not what is compared.
        let foreign = |name: &str| {
            [
                "CARGO_PROFILE_",
                "CARGO_BUILD_",
                "CARGO_TARGET_",
                "CARGO_ENCODED_",
                "CARGO_INCREMENTAL",
                "RUSTC",
                "RUSTFLAGS",
            ]
            .iter()
            .any(|beginning| name.starts_with(beginning))
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(foreign)) {
            command.env_remove(name);
        }
        alone(&mut command);
        command.current_dir(source).env("CARGO_TARGET_DIR", self.cache.join("target")).env(flags, FLAGS);
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        let mut child = {
            let mut building = self.building();
            if matches!(*building, Building::Stopped) {
                bail!("nothing is built any more");
            }
            let child = command.spawn().context("cannot start cargo")?;
            *building = Building::Cargo(pid_of(&child)?);
            child
        };
        // Until nobody can end it any more, it is there to be ended.
        waitid(WaitId::Pid(pid_of(&child)?), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .context("cannot wait for cargo")?;
        let mut building = self.building();
        if matches!(*building, Building::Cargo(_)) {
            *building = Building::Idle;
        }
        let status = child.wait().context("cannot wait for cargo")?;
        drop(building);
        match (status.success(), status.code()) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(NotBuilt(status).into()),
            // It was ended: that says nothing of the version.
            (false, None) => bail!("cargo was ended: {status}"),
        }
    }
}

fn pid_of(child: &Child) -> anyhow::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child has a process number")
}

/// The programs of the nodes, or of a whole product.
fn programs(whole: bool) -> Vec<&'static str> {
    PROGRAMS.into_iter().chain(whole.then_some(HARNESS)).collect()
}

/// What the user's own configuration of cargo says, which may be profiles and flags; nothing if there is none.
fn own_configuration() -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))) else {
        return String::new();
    };
    let texts = ["config.toml", "config"].iter().filter_map(|name| fs::read_to_string(home.join(name)).ok());
    texts.collect::<Vec<_>>().join("\n")
}

/// A commit in a few letters.
pub fn short(commit: &str, dirty: bool) -> String {
    format!("{commit:.10}{}", if dirty { "-dirty" } else { "" })
}

/// Copies the programs to where they stay, all of them or none.
fn keep(built: &Path, directory: &Path, programs: &[&str]) -> anyhow::Result<()> {
    let parent = directory.parent().context("programs have a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let fresh =
        tempfile::tempdir_in(parent).with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    for program in programs {
        let copy = fresh.path().join(program);
        fs::copy(built.join(program), &copy).with_context(|| format!("the build made no {program}"))?;
        // What is there after a power failure is whole.
        File::open(&copy)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("cannot write {}", copy.display()))?;
    }
    // What is there has not all programs.
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
        }
        _ => {}
    }
    fs::rename(fresh.path(), directory).with_context(|| format!("cannot make {}", directory.display()))?;
    // It has another name now.
    let _ = fresh.keep();
    Ok(())
}

fn hashes(directory: &Path, programs: &[&str]) -> anyhow::Result<Vec<String>> {
    let hash = |program: &&str| {
        let path = directory.join(program);
        let bytes = regular::read(&path, MOST_BYTES).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    };
    programs.iter().map(hash).collect()
}

fn cache_directory() -> anyhow::Result<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME says where what is built can be kept")?.join("peerbed"))
}

fn git(directory: &Path, args: &[&str]) -> anyhow::Result<String> {
    git_with(directory, args, &[])
}

fn git_with(directory: &Path, args: &[&str], variables: &[(&str, &OsStr)]) -> anyhow::Result<String> {
    output(directory, "git", args, variables)
}

/// Standard output of a program that ended well, trimmed.
fn output(directory: &Path, program: &str, args: &[&str], variables: &[(&str, &OsStr)]) -> anyhow::Result<String> {
    let called = || format!("`{program} {}`", args.join(" "));
    let mut command = Command::new(program);
    alone(&mut command);
    command.args(args).current_dir(directory).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().with_context(called)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", called(), said.lines().next().unwrap_or("failed without a word"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
