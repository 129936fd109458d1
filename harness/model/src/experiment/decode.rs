//! From an experiment file's tree to its [`Head`] and the [`Body`] of one arm.

use std::{sync::Arc, time::Duration};

use peerbed_contract::{ContentId, NatClass, Object};

use crate::{
    diagnostic::{Report, Spanned},
    experiment::{
        Body, Group, Head, Policy, Uploads, behaviour,
        homes::Homes,
        nat::NatMix,
        provider::Provider,
        users::{self, Users},
        workload::{self, Known, Names},
    },
    limits,
    plan::{Comparison, Limits, LinkEngine, Tolerance},
    read::Fields,
    shape::{
        experiment::{CONTENT, EXPERIMENT, FIGURES},
        group::GROUP,
    },
    units,
    yaml::{Node, shorten},
};

/// Names of groups become parts of names of nodes and their places: room for `-19999.1016`.
const GROUP_NAME: usize = 52;

/// What one arm's tree says, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Decoded<'n> {
    pub(crate) fields: Fields<'n>,
    pub(crate) head: Option<Head>,
    pub(crate) duration: Option<Duration>,
    /// Where each group wants to be, broken groups included: `as` and `access`.
    pub(crate) places: Vec<Place>,
    /// All groups, if each could be read.
    pub(crate) groups: Option<Vec<Group>>,
    pub(crate) body: Option<Body>,
}

/// A group's ASes and access profile, by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) at: Option<Homes>,
    pub(crate) access: Option<Spanned<String>>,
}

/// Reads everything but the arms, the timeline and the expectations, which need more than the file.
pub(crate) fn decode<'n>(root: &'n Node, report: &mut Report) -> Option<Decoded<'n>> {
    let fields = report.map(root, &EXPERIMENT)?;
    if fields.get("arms").is_none() && fields.get("matrix").is_none() {
        let finding = report.error(root.span, "an experiment needs the key `arms`, or `matrix`");
        finding.help("write `arms: {baseline: {}}` for an experiment without variants");
    }
    let before = report.errors();
    let head = read_head(&fields, report);
    let duration = fields.get("duration").and_then(|node| report.time(node, limits::DURATION));
    let congestion_control = match fields.get("congestion_control") {
        Some(node) => report.scalar(node, "the name of a congestion control such as `cubic`", congestion_control),
        None => Some("cubic".to_owned()),
    };

    let tolerance = fields.get("tolerance").map_or_else(Tolerance::default, |node| Tolerance::decode(node, report));

    let providers = fields.get("providers").map_or_else(Vec::new, |node| Provider::decode_all(node, report));

    let nodes = list(&fields, "content", "content objects", limits::CONTENTS, report);
    let content: Vec<Part<Object>> = nodes.iter().map(|node| read_content(node, &providers, report)).collect();
    let content_names = names_of("content", "content objects", &content, report);

    let nodes = list(&fields, "groups", "groups", limits::GROUPS, report);
    let read = |node: &Arc<Node>| read_group(node, &content_names, &providers, report);
    let parts: Vec<(Part<Group>, Place)> = nodes.iter().map(read).collect();
    let (groups, places): (Vec<Part<Group>>, Vec<Place>) = parts.into_iter().unzip();
    let group_names = names_of("group", "groups", &groups, report);

    // Without a duration nothing can be after its end.
    let end = duration.unwrap_or(limits::DURATION.1);
    let known = Known { groups: group_names, content: content_names, duration: end };
    let workloads = fields.get("workload").map_or_else(Vec::new, |node| workload::decode(node, &known, report));
    let policy = fields.get("policy").map_or_else(Policy::documented, |node| Policy::decode(node, report));

    let groups: Option<Vec<Group>> = groups.into_iter().map(|part| part.value).collect();
    let groups = groups.filter(|groups| !groups.is_empty());
    check_copies(groups.as_deref().unwrap_or_default(), &fields, report);
    let all = groups.iter().flatten().map(|group| (&group.users, group.peers.value));
    users::check(all, end, fields.span_of("groups"), report);
    let content: Option<Vec<Object>> = content.into_iter().map(|part| part.value).collect();
    let whole = report.errors() == before;
    let body = match (duration, congestion_control, content, &groups) {
        (Some(duration), Some(congestion_control), Some(content), Some(groups)) if whole => Some(Body {
            duration,
            congestion_control,
            tolerance,
            providers,
            content,
            groups: groups.clone(),
            workloads,
            policy,
        }),
        _ => None,
    };
    Some(Decoded { fields, head, duration, places, groups, body })
}

fn read_head(fields: &Fields<'_>, report: &mut Report) -> Option<Head> {
    let question = fields.get("question").and_then(|node| report.text(node));
    let seed = fields.get("seed").and_then(|node| report.whole(node, 0, limits::SEED));
    let repeats = fields.get("repeats").map_or(Some(1), |node| report.whole(node, 1, limits::REPEATS));
    let engines = [("auto", LinkEngine::Auto), ("tc", LinkEngine::Tc), ("wire", LinkEngine::Wire)];
    let engine = match fields.get("engine") {
        // A word that is none is in the report.
        Some(node) => Some(report.word(node, &engines)?),
        None => None,
    };
    let figures = fields.get("figures").map_or(Some(Vec::new()), |node| read_figures(node, report));
    // Claims and the comparison name arms, and are read when those are known.
    let (claims, comparison) = (Vec::new(), Comparison::default());
    let (question, seed, repeats) = (question?, seed?, repeats? as u32);
    Some(Head { question, seed, repeats, engine, claims, comparison, figures: figures? })
}

/// The names of figures, each once.
fn read_figures(node: &Node, report: &mut Report) -> Option<Vec<String>> {
    let words: Vec<(&str, &str)> = FIGURES.iter().map(|word| (*word, *word)).collect();
    let mut figures: Vec<String> = Vec::new();
    let before = report.errors();
    for item in report.bounded_list(node, "figures", (0, FIGURES.len()))? {
        let Some(word) = report.word(item, &words) else { continue };
        if figures.iter().any(|known| known == word) {
            report.error(item.span, format!("`{word}` is drawn once")).help("remove one of the two");
        }
        figures.push(word.to_owned());
    }
    (report.errors() == before).then_some(figures)
}

/// An element of a list whose name may be known though the rest is broken.
struct Part<T> {
    name: Option<Spanned<String>>,
    value: Option<T>,
}

/// The names of a list's elements, after duplicates were noted.
fn names_of<'a, T>(kind: &'static str, plural: &str, parts: &'a [Part<T>], report: &mut Report) -> Names<'a> {
    report.duplicates(plural, parts.iter().filter_map(|part| part.name.as_ref()));
    let list: Vec<&str> = parts.iter().filter_map(|part| part.name.as_ref()).map(|name| name.value.as_str()).collect();
    let partial = list.len() < parts.len() || list.is_empty();
    Names::new(kind, list, partial)
}

/// A list that must have something; empty if anything is wrong with it.
fn list<'n>(fields: &Fields<'n>, key: &'static str, of: &str, most: usize, report: &mut Report) -> &'n [Arc<Node>] {
    fields.get(key).and_then(|node| report.bounded_list(node, of, (1, most))).unwrap_or_default()
}

/// The kernel's names of algorithms.
fn congestion_control(text: &str) -> Result<String, units::Bad> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() || text.len() > 15 || !text.chars().all(good) {
        let help = "write its name as the kernel does, for example `cubic`, `reno` or `bbr`";
        return Err(units::Bad::new(format!("`{text}` is not the name of a congestion control"), help));
    }
    Ok(text.to_owned())
}

fn read_content(node: &Node, providers: &[Provider], report: &mut Report) -> Part<Object> {
    let Some(fields) = report.map(node, &CONTENT) else { return Part { name: None, value: None } };
    let name = fields.get("id").and_then(|node| report.name(node, 63));
    let size = fields.get("size").and_then(|node| report.size(node, limits::SIZE));
    let provider = fields.get("provider").and_then(|node| report.name(node, 63));
    let words = [("allowed", true), ("forbidden", false)];
    let default = || {
        let named = |one: &&Provider| provider.as_ref().is_some_and(|name| one.name == name.value);
        providers.iter().find(named).is_none_or(|one| one.peers)
    };
    let peers_allowed = fields.get("peers").map_or_else(|| Some(default()), |node| report.word(node, &words));
    let piece_length = fields.get("piece").map_or(Some(256 << 10), |node| report.size(node, limits::PIECE));
    let value = || {
        let (size, piece_length) = (size?, piece_length?);
        let pieces = size.div_ceil(piece_length);
        if pieces > limits::PIECES {
            let (size, piece) = (units::show_size(size), units::show_size(piece_length));
            let message = format!("{size} in pieces of {piece} are {pieces} pieces");
            let help = format!("at most {} are allowed; make `piece` larger", limits::PIECES);
            report.error(fields.span_of("size"), message).help(help);
            return None;
        }
        let id: ContentId = name.as_ref()?.value.parse().ok()?;
        let (provider, peers_allowed) = (provider?.value, peers_allowed?);
        Some(Object { id, provider, size, piece_length: piece_length as u32, key: 0, peers_allowed })
    };
    let value = value();
    Part { name, value }
}

fn read_group(node: &Node, content: &Names<'_>, providers: &[Provider], report: &mut Report) -> (Part<Group>, Place) {
    let Some(fields) = report.map(node, &GROUP) else {
        return (Part { name: None, value: None }, Place { at: None, access: None });
    };
    let name = fields.get("name").and_then(|node| report.name(node, GROUP_NAME));
    let at = fields.get("as").and_then(|node| Homes::decode(node, report));
    let access = fields.get("access").and_then(|node| report.name(node, 63));
    let peers = fields.get("peers").and_then(|node| {
        let value = report.whole(node, 1, limits::NODES)? as u32;
        Some(Spanned { value, span: node.span })
    });
    let count = peers.map_or(1, |peers| peers.value);
    let uploads = Uploads::decode(&fields, count, providers, report);
    let users = Users::decode(&fields, count, report);
    let behaviour = fields.get("behaviour").map_or(Some(Vec::new()), |node| behaviour::decode(node, count, report));
    let lan = match fields.get("lan") {
        Some(node) => report.name(node, 63).map(|name| Some(name.value)),
        None => Some(None),
    };
    if at.as_ref().is_some_and(|at| !at.is_one())
        && let Some(node) = fields.get("lan")
    {
        report
            .error(node.span, "a local network is in one AS, and this group is in several")
            .help("give each AS a group of its own, or leave `lan` out");
    }
    let nat = fields.get("nat").map_or(Some(NatMix::all(NatClass::None)), |node| NatMix::decode(node, report));
    let holds = fields.get("holds").map_or(Some(Vec::new()), |node| read_holds(node, content, peers, report));
    let command = fields.get("command").map_or(Some(Vec::new()), |node| read_command(node, report));
    let image = fields.get("image").map_or(Some(None), |node| read_image(node, report).map(Some));
    let limits = read_limits(&fields, report);
    if let Some(name) =
        name.as_ref().filter(|name| matches!(name.value.as_str(), "edge" | "edges" | "control" | "database"))
    {
        let message = format!("a group cannot be named `{}`: the infrastructure's nodes are", name.value);
        report.error(name.span, message).help("take another name, for example `homes`");
    }
    let place = Place { at: at.clone(), access: access.clone() };
    let value = || {
        let peers = peers?;
        Some(Group {
            name: name.clone()?,
            at: at?,
            access: access?,
            peers,
            uploads: uploads?,
            users: users?,
            behaviour: behaviour?,
            lan: lan?,
            nat: nat?,
            holds: holds?,
            command: command?,
            image: image?,
            limits: limits?,
        })
    };
    let value = value();
    (Part { name, value }, place)
}

fn read_holds(
    node: &Node,
    content: &Names<'_>,
    peers: Option<Spanned<u32>>,
    report: &mut Report,
) -> Option<Vec<(usize, u32)>> {
    let mut holds = Vec::new();
    for (name, node) in report.named(node, "content and numbers of copies")? {
        let index = content.find(&name.value, name.span, report);
        let copies = report.whole(node, 0, limits::NODES);
        if let (Some(copies), Some(peers)) = (copies, peers)
            && copies > u64::from(peers.value)
        {
            let message = format!("{copies} copies of `{}` in a group of {}", name.value, peers.value);
            report.error(node.span, message).help("each peer holds at most one copy of an object");
            continue;
        }
        if let (Some(index), Some(copies)) = (index, copies) {
            holds.push((index, copies as u32));
        }
    }
    holds.sort_unstable();
    Some(holds)
}

fn read_command(node: &Node, report: &mut Report) -> Option<Vec<String>> {
    let items = report.bounded_list(node, "words of a command", (1, 256))?;
    let words: Vec<Option<String>> = items.iter().map(|node| report.text(node)).collect();
    let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
    if words[0].is_empty() || words.iter().any(|word| word.contains('\0')) {
        report
            .error(node.span, "a command needs a program, and no word of it has a NUL")
            .help("write `[program, argument]`");
        return None;
    }
    Some(words)
}

/// Whether a text has the form of an image's name: an optional host, a path in lower case, a tag, a digest.
fn could_be_an_image(text: &str) -> bool {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    // A colon before a slash is the host's port.
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    let word = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let part = |text: &str| word(text, "._-") && !text.contains(|c: char| c.is_ascii_uppercase());
    let host = |text: &str| text == "localhost" || text.contains(['.', ':']);
    let path = match path.split_once('/') {
        Some((first, rest)) if host(first) && word(first, ".-:") => rest,
        _ => path,
    };
    path.split('/').all(part) && tag.is_none_or(|tag| word(tag, "._-")) && digest.is_none_or(|digest| word(digest, ":"))
}

/// The engine knows which names are good and which images it has; what could not be a name anywhere is refused here.
fn read_image(node: &Node, report: &mut Report) -> Option<String> {
    let text = report.text(node)?;
    let quoted = shorten(&text);
    let (message, help) = if text.is_empty() {
        ("the name of the image is empty".to_owned(), "leave `image` out for the project's own".to_owned())
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("`{quoted}` is not the name of an image: it has whitespace or control characters");
        (message, "write it as the engine does, for example `my-peer:1.0`".to_owned())
    } else if !could_be_an_image(&text) {
        let message = format!("`{quoted}` is not the name of an image");
        (message, "write it as the engine does, in lower case but for the tag: `name`, `name:tag`, `host/name:tag`, `name@sha256:…`".to_owned())
    } else if text.len() > limits::IMAGE {
        let message = format!("`{quoted}` is too long for the name of an image: it has {} bytes", text.len());
        (message, format!("at most {} bytes are allowed; give the image a shorter tag", limits::IMAGE))
    } else {
        return Some(text);
    };
    report.error(node.span, message).help(help);
    None
}

fn read_limits(fields: &Fields<'_>, report: &mut Report) -> Option<Limits> {
    let Limits { memory_bytes, pids } = Limits::default();
    let memory_bytes = fields.get("memory").map_or(Some(memory_bytes), |node| report.size(node, limits::MEMORY));
    let (least, most) = limits::PIDS;
    let pids = fields.get("pids").map_or(Some(pids), |node| report.whole(node, least, most).map(|pids| pids as u32));
    Some(Limits { memory_bytes: memory_bytes?, pids: pids? })
}

fn check_copies(groups: &[Group], fields: &Fields<'_>, report: &mut Report) {
    let copies: u64 = groups.iter().flat_map(|group| &group.holds).map(|(_, copies)| u64::from(*copies)).sum();
    if copies > limits::COPIES {
        let message = format!("{copies} copies are held at the start, over all groups");
        report.error(fields.span_of("groups"), message).help(format!("at most {} are allowed", limits::COPIES));
    }
}

/// A time of the run, for who needs the range.
pub(crate) const MOMENT: (Duration, Duration) = (Duration::ZERO, limits::DURATION.1);
