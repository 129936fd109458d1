//! Images: the project's own, which has nothing but its static programs, and those of others with the gate put in. Each is
//! tagged by the hash of what went in, so that nothing is made twice.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{
    models::ContainerConfig,
    query_parameters::{
        CommitContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
        UploadToContainerOptionsBuilder,
    },
};
use bytes::Bytes;
use futures_util::StreamExt;

use super::{
    DockerError, Engine,
    body::{CONFIG_DIRECTORY, TMP, template},
    error::{CONFLICT, NOT_FOUND, ask},
    marks::{IMAGE, RunId, of_no_run},
};

/// The repository of the project's own images.
const OWN: &str = "peerbed";
/// The repository of images of others with the gate in them.
const WITH_GATE: &str = "peerbed-gated";
/// The harness's program in its own images.
pub const OWN_PROGRAM: &str = "/peerbed";
/// The gate in the images of others.
pub const GATE: &str = "/.peerbed-gate";
/// How long an image is kept that may be of no use any more.
const KEPT: Duration = Duration::from_hours(48);
/// Raised when images are made in another way, so that older ones are not taken for them.
const MADE_LIKE: u8 = 2;

/// A program for an image.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    content: Bytes,
}

impl Program {
    /// Read a program, which must be one that needs no library beside it.
    pub fn read(name: &str, path: &Path) -> Result<Self, DockerError> {
        let refused = |why: String| DockerError::Program { program: path.display().to_string(), why };
        let content = fs::read(path).map_err(|error| refused(error.to_string()))?;
        stands_alone(&content).map_err(|why| refused(why.to_owned()))?;
        Ok(Self { name: name.to_owned(), content: content.into() })
    }
}

/// Whether these bytes are a program for Linux that needs no other file to run.
fn stands_alone(content: &[u8]) -> Result<(), &'static str> {
    /// `PT_INTERP`: the program names the loader of its libraries.
    const NEEDS_LOADER: u32 = 3;
    const BROKEN: &str = "it is a damaged program";
    if content.starts_with(b"#!") {
        return Err("it is a script");
    }
    // Only 64-bit little-endian machines are supported.
    if !content.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is not a program for this kind of machine");
    }
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = content.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let (Some(table), Some(size), Some(count)) = (table, size, count) else { return Err(BROKEN) };
    for index in 0..count {
        let kind = table.checked_add(index * size).and_then(|at| number(usize::try_from(at).ok()?, 4));
        match kind {
            None => return Err(BROKEN),
            Some(kind) if kind == u64::from(NEEDS_LOADER) => return Err("it needs libraries"),
            Some(_) => {}
        }
    }
    Ok(())
}

/// The tar of these files at the root and of directories with their modes, the same for the same files.
fn archive(programs: &[Program], directories: &[(&str, u32)]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode) in directories {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(*mode);
        header.set_mtime(0);
        tar.append_data(&mut header, format!("{}/", path.trim_start_matches('/')), io::empty())?;
    }
    for Program { name, content } in programs {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        tar.append_data(&mut header, name, &content[..])?;
    }
    tar.into_inner()
}

/// Where every node may write. When a container is started again, some engines give what is mounted there the mode of the
/// directory in the image, so that has to be right.
const WRITABLE: [(&str, u32); 2] = [(TMP, 0o1777), (CONFIG_DIRECTORY, 0o1777)];

/// A tag for what goes into an image.
fn tag(parts: &[&[u8]]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(&[MADE_LIKE]);
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hash.finalize().to_hex()[..20].to_owned()
}

/// Whether an image of this name was made under this tag.
pub(super) fn is_ours(name: &str, tag: &str) -> bool {
    [OWN, WITH_GATE].iter().any(|repository| name == format!("{repository}:{tag}"))
}

/// An image that is not the project's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The engine's id for it, which is the hash of what is in it.
    pub id: String,
    /// What it runs by itself, before arguments.
    pub entrypoint: Vec<String>,
    /// The arguments that it has by itself.
    pub command: Vec<String>,
    /// The tag that Peerbed gave it, if Peerbed made it.
    pub made_as: Option<String>,
}

impl Engine {
    /// The image with these programs in its root; made if it is not there. Gives its name.
    pub async fn own_image(&self, programs: &[Program]) -> Result<String, DockerError> {
        let parts: Vec<&[u8]> = programs.iter().flat_map(|p| [p.name.as_bytes(), &p.content[..]]).collect();
        let tag = tag(&parts);
        let name = format!("{OWN}:{tag}");
        if self.has_image(&name).await? {
            return Ok(name);
        }
        // What is above such a directory would be closed.
        let directories = [&[("/run", 0o755)], &WRITABLE[..]].concat();
        let root: Bytes = archive(programs, &directories).expect("a tar in memory can be written").into();
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(OWN).tag(&tag);
        let options = options.changes(vec![format!("LABEL {IMAGE}={tag}")]).build();
        ask("make Peerbed's image", || async {
            let mut progress =
                Box::pin(self.api.create_image(Some(options.clone()), Some(bollard::body_full(root.clone())), None));
            while let Some(step) = progress.next().await {
                step?;
            }
            Ok(())
        })
        .await?;
        self.remove_old_images().await;
        Ok(name)
    }

    /// Every build of Peerbed has an image of its own; when a new one is made, those go that nobody has made for long.
    async fn remove_old_images(&self) {
        let removed = async {
            let old = self.images().await?.into_iter().filter(|image| image.age > KEPT).map(|image| image.id);
            self.remove_images(&old.collect::<Vec<_>>()).await
        };
        if let Err(error) = removed.await {
            tracing::warn!(%error, "older images of Peerbed's stay");
        }
    }

    /// What is known of an image; none if the engine does not have it.
    pub async fn foreign(&self, name: &str) -> Result<Option<Foreign>, DockerError> {
        let looked = ask(format!("look at the image {name}"), || self.api.inspect_image(name));
        let image = match looked.await {
            Ok(image) => image,
            Err(error) if error.is(NOT_FOUND) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(id) = image.id.filter(|id| !id.is_empty()) else {
            return Err(DockerError::Refused {
                what: format!("look at the image {name}"),
                reason: "what it told is of no image".to_owned(),
                status: None,
            });
        };
        let config = image.config.unwrap_or_default();
        Ok(Some(Foreign {
            id,
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            made_as: config.labels.and_then(|mut labels| labels.remove(IMAGE)),
        }))
    }

    /// The image of others with the gate put in; made if it is not there. Gives its name.
    pub async fn gated(&self, run: &RunId, image: &Foreign, gate: &Program) -> Result<String, DockerError> {
        let tag = tag(&[image.id.as_bytes(), &gate.content]);
        let name = format!("{WITH_GATE}:{tag}");
        if self.has_image(&name).await? {
            return Ok(name);
        }
        let container = format!("peerbed-{run}--template-{tag}");
        self.create(&container, template(run, &image.id)).await?;
        let made = self.put_in(&container, gate, &tag, &image.id).await;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let removed = ask(format!("remove the container {container}"), || {
            self.api.remove_container(&container, Some(options.clone()))
        });
        match removed.await {
            Err(error) if !error.is(NOT_FOUND) && !error.is(CONFLICT) => return made.and(Err(error)),
            _ => made?,
        }
        Ok(name)
    }

    async fn put_in(&self, container: &str, gate: &Program, tag: &str, image: &str) -> Result<(), DockerError> {
        let gate = Program { name: GATE.trim_start_matches('/').to_owned(), content: gate.content.clone() };
        let content: Bytes = archive(&[gate], &WRITABLE).expect("a tar in memory can be written").into();
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        ask(format!("put the gate into the image {image}"), || {
            self.api.upload_to_container(container, Some(options.clone()), bollard::body_full(content.clone()))
        })
        .await?;
        let options = CommitContainerOptionsBuilder::default().container(container).repo(WITH_GATE).tag(tag).build();
        // The others would be passed on to what somebody runs from it.
        let labels = of_no_run().into_iter().chain([(IMAGE.to_owned(), tag.to_owned())]).collect();
        let config = ContainerConfig { labels: Some(labels), ..ContainerConfig::default() };
        ask(format!("keep the image {image} with the gate"), || {
            self.api.commit_container(options.clone(), config.clone())
        })
        .await?;
        Ok(())
    }

    /// Whether there is an image of this name that was made for it. Anybody can give a name to anything.
    pub async fn has_image(&self, name: &str) -> Result<bool, DockerError> {
        let label = self.foreign(name).await?.and_then(|image| image.made_as);
        Ok(label.is_some_and(|tag| name.ends_with(&format!(":{tag}"))))
    }
}

/// The file of the program that runs now, also when another has taken its place.
pub fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str, content: &'static [u8]) -> Program {
        Program { name: name.to_owned(), content: Bytes::from_static(content) }
    }

    /// The first bytes of a program with these kinds of segments.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = kinds.len() as u8;
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }

    #[test]
    fn only_programs_that_stand_alone_go_in() {
        assert_eq!(stands_alone(&elf(&[1, 1, 0x6474_e551])), Ok(()));
        assert!(stands_alone(&elf(&[6, 3, 1])).unwrap_err().contains("libraries"));
        assert!(stands_alone(b"#!/bin/sh\n").unwrap_err().contains("script"));
        assert!(stands_alone(b"").is_err());
        let mut cut = elf(&[1, 1]);
        cut.truncate(70);
        assert!(stands_alone(&cut[..40]).unwrap_err().contains("damaged"));
        assert!(stands_alone(&cut).unwrap_err().contains("damaged"));
        let mut far = elf(&[1]);
        far[32..40].fill(0xff);
        assert!(stands_alone(&far).unwrap_err().contains("damaged"));
        let shell = Program::read("sh", Path::new("/bin/sh")).unwrap_err().to_string();
        assert!(shell.contains("/bin/sh") && shell.contains("make build"), "{shell}");
    }

    #[test]
    fn an_archive_has_every_file_and_is_the_same_each_time() {
        let programs = [program("peerbed", b"one"), program("edge", b"three")];
        let directories = [("/tmp", 0o1777)];
        let tar = archive(&programs, &directories).unwrap();
        assert_eq!(tar, archive(&programs, &directories).unwrap());
        let mut tar = tar::Archive::new(&tar[..]);
        let found = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let text = io::read_to_string(&mut entry).unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap(), text)
        });
        let wanted = [("tmp/", 0o1777, ""), ("peerbed", 0o755, "one"), ("edge", 0o755, "three")];
        let wanted = wanted.map(|(name, mode, text)| (name.to_owned(), mode, text.to_owned()));
        assert_eq!(found.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_tag_tells_what_went_in() {
        assert_eq!(tag(&[b"a", b"b"]), tag(&[b"a", b"b"]));
        assert_ne!(tag(&[b"ab", b""]), tag(&[b"a", b"b"]));
    }
}
