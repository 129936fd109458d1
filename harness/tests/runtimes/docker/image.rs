//! The image of nodes that are shell scripts: `busybox` and the names of what it can do, from a tar, as nothing is fetched.

use std::{path::Path, process::Command};

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::look::Look;

/// Where distributions have it.
const BUSYBOX: &str = "/bin/busybox";

/// The image's name; made if it is not there.
pub(crate) async fn of_busybox(look: &Look) -> String {
    let program = std::fs::read(BUSYBOX)
        .unwrap_or_else(|error| panic!("{BUSYBOX}: {error}; these tests need it: `apt install busybox-static`"));
    let alone = peerbed::docker::Program::read("busybox", Path::new(BUSYBOX));
    alone.unwrap_or_else(|error| panic!("{error}; `apt install busybox-static` has one that does"));
    let tag = &blake3::hash(&program).to_hex()[..12];
    let name = format!("peerbed-tests-busybox:{tag}-nobody");
    let tag = format!("{tag}-nobody");
    if look.image(&name).await.is_none() {
        let options = CreateImageOptionsBuilder::default().from_src("-").repo("peerbed-tests-busybox").tag(&tag);
        // A user without rights finds out what only root could do.
        let options = options.changes(vec!["USER 65534:65534".to_owned()]).build();
        let content = bollard::body_full(archive(&program).into());
        let mut progress = Box::pin(look.api.create_image(Some(options), Some(content), None));
        while let Some(step) = progress.next().await {
            step.unwrap();
        }
    }
    name
}

/// `/bin` with `busybox` and a link for each of its programs.
fn archive(program: &[u8]) -> Vec<u8> {
    let names = Command::new(BUSYBOX).arg("--list").output().unwrap().stdout;
    let names = String::from_utf8(names).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    tar.append_data(&mut header, "bin/busybox", program).unwrap();
    for name in names.lines().filter(|name| *name != "busybox") {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{name}"), BUSYBOX).unwrap();
    }
    tar.into_inner().unwrap()
}
