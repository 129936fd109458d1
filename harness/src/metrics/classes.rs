//! Downloads by class, as the paper's figures divide them: by size, provider, place, copies registered and peers returned. The
//! place of a download is that of its peer at the start of the run, as in `downloads.parquet`.

use std::collections::BTreeMap;

use peerbed_contract::{AsNumber, DownloadRecord, EdgeMode, Object, RoleConfig, TerminalStatus};

use super::{Download, Metric, RunView, Value, peer_efficiency, speed_mbps};

/// Size classes end at these sizes, bytes: 1, 2 and 5 in each decade from 100 kB to 1 GB.
const SIZES: [(u64, &str); 13] = [
    (100_000, "100kB"),
    (200_000, "200kB"),
    (500_000, "500kB"),
    (1_000_000, "1MB"),
    (2_000_000, "2MB"),
    (5_000_000, "5MB"),
    (10_000_000, "10MB"),
    (20_000_000, "20MB"),
    (50_000_000, "50MB"),
    (100_000_000, "100MB"),
    (200_000_000, "200MB"),
    (500_000_000, "500MB"),
    (1_000_000_000, "1GB"),
];

/// Classes of copies begin with these numbers.
pub const COPIES: [u32; 17] =
    [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/// Answers with more peers are one class.
pub const RETURNED_MAX: u32 = 40;

/// A class: its place in the order, and its word.
type Class = (usize, String);

/// The size class of an object: from one bound to below the next, the last one open.
fn size_class(bytes: u64) -> Class {
    let index = SIZES.partition_point(|(bound, _)| *bound <= bytes);
    let word = match (index.checked_sub(1).map(|below| SIZES[below].1), SIZES.get(index).map(|above| above.1)) {
        (Some(from), Some(to)) => format!("{from}-{to}"),
        (Some(from), None) => format!(">={from}"),
        (None, to) => format!("<{}", to.unwrap_or_default()),
    };
    (index, word)
}

/// The class of a number of copies, with its first and last number.
fn copies_class(copies: u32) -> Class {
    let index = COPIES.partition_point(|first| *first <= copies) - 1;
    let first = COPIES[index];
    let word = match COPIES.get(index + 1).map(|next| next - 1) {
        Some(last) if last == first => first.to_string(),
        Some(last) => format!("{first}-{last}"),
        None => format!(">={first}"),
    };
    (index, word)
}

/// The class of a number of peers returned: each number by itself, up to the customary most.
fn returned_class(returned: u32) -> Class {
    let word = if returned > RETURNED_MAX { format!(">{RETURNED_MAX}") } else { returned.to_string() };
    (returned.min(RETURNED_MAX + 1) as usize, word)
}

/// The three classes of the paper's Figure 8, by bytes from edges and peers; at least one of the two is not 0.
pub fn edge_class(edge: u64, peer: u64) -> &'static str {
    match (edge > peer, edge * 2 >= peer) {
        (true, _) => "edge-over-peer",
        (false, true) => "edge-50-to-100",
        (false, false) => "edge-under-50",
    }
}

/// Where a completed download came from: from edges alone, from peers for more than half, or between the two.
fn source_class(record: &DownloadRecord) -> &'static str {
    match record.peer_bytes {
        0 => "edge-only",
        peer if peer > record.edge_bytes => "over-50%-peer",
        _ => "up-to-50%-peer",
    }
}

/// Bytes of some downloads together.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    downloads: u64,
    edge: u64,
    peer: u64,
}

impl Bytes {
    fn add(&mut self, record: &DownloadRecord) {
        self.downloads += 1;
        self.edge += record.edge_bytes;
        self.peer += record.peer_bytes;
    }

    fn efficiency(self, name: &str) -> Metric {
        Metric::new(name, Value::ratio(self.downloads, self.peer as f64, (self.edge + self.peer) as f64))
    }
}

/// A started download with what the plan knows of it.
struct Started<'a> {
    download: &'a Download<'a>,
    at: AsNumber,
    object: Option<&'a Object>,
    edge_alone: bool,
}

impl<'a> Started<'a> {
    /// Its record and place; none without a byte, for then it has no efficiency.
    fn used(&self) -> Option<(&'a DownloadRecord, AsNumber)> {
        let record = self.download.record().filter(|record| peer_efficiency(record).is_some())?;
        Some((record, self.at))
    }
}

pub(super) fn rows(view: &RunView<'_>) -> Vec<Metric> {
    let started: Vec<Started<'_>> = view.downloads.values().filter_map(|download| begun(view, download)).collect();
    let records: Vec<(&DownloadRecord, AsNumber)> = started.iter().filter_map(Started::used).collect();
    let mut rows = pauses(&started);
    rows.extend(by_provider(&records));
    rows.extend(by_place(view, &records));
    rows.extend(by_answer(&records));
    rows.extend(speeds(&records));
    rows
}

fn begun<'a>(view: &RunView<'a>, download: &'a Download<'a>) -> Option<Started<'a>> {
    let (node, step) = download.planned.filter(|_| download.started > 0)?;
    let RoleConfig::Peer(peer) = &view.node(node).config.role else { return None };
    let object = peer.objects.iter().find(|object| object.id == step.content);
    let edge_alone = peer.edge_mode == EdgeMode::Only || object.is_some_and(|object| !object.peers_allowed);
    Some(Started { download, at: view.as_of(node), object, edge_alone })
}

/// Pauses by size; by themselves those of downloads that the policies leave to the edges alone, and the others.
fn pauses(started: &[Started<'_>]) -> Vec<Metric> {
    let mut classes: BTreeMap<(Class, Option<&str>), (u64, u64)> = BTreeMap::new();
    for one in started {
        let Some(object) = one.object else { continue };
        let delivery = if one.edge_alone { "edge-only" } else { "peer-assisted" };
        for delivery in [None, Some(delivery)] {
            let (paused, all) = classes.entry((size_class(object.size), delivery)).or_default();
            *all += 1;
            *paused += u64::from(one.download.was_paused());
        }
    }
    let row = |(((_, size), delivery), (paused, all)): ((Class, Option<&str>), (u64, u64))| {
        let row = Metric::new("pause_rate_by_size", Value::proportion(paused, all)).label("size", &size);
        match delivery {
            Some(delivery) => row.label("delivery", &delivery),
            None => row,
        }
    };
    let alone = |((class, delivery), (paused, all)): (&(Class, Option<&str>), &(u64, u64))| {
        delivery.is_none().then(|| (class.clone(), Value::proportion(*paused, *all)))
    };
    let by_size: Vec<(Class, Value)> = classes.iter().filter_map(alone).collect();
    // Of one size there is nothing to compare.
    let ends = match &by_size[..] {
        [(_, smallest), .., (_, largest)] => [smallest.clone(), largest.clone()],
        _ => [Value::proportion(0, 0), Value::proportion(0, 0)],
    };
    let ends = ["pause_rate_of_smallest", "pause_rate_of_largest"].into_iter().zip(ends);
    let ends: Vec<Metric> = ends.map(|(name, value)| Metric::new(name, value)).collect();
    classes.into_iter().map(row).chain(ends).collect()
}

fn by_provider(records: &[(&DownloadRecord, AsNumber)]) -> Vec<Metric> {
    let mut providers: BTreeMap<&str, (u64, Bytes)> = BTreeMap::new();
    for (record, _) in records {
        let (with_peers, bytes) = providers.entry(&record.provider).or_default();
        *with_peers += u64::from(record.peer_bytes > 0);
        bytes.add(record);
    }
    let shares = providers.values().map(|(with_peers, bytes)| *with_peers as f64 / bytes.downloads as f64);
    let shares = Metric::new("peer_share_of_providers", Value::distribution(shares, BTreeMap::new()));
    let rows = providers.into_iter().flat_map(|(provider, (with_peers, bytes))| {
        let share = Value::proportion(with_peers, bytes.downloads);
        [Metric::new("peer_share_by_provider", share), bytes.efficiency("peer_efficiency_by_provider")]
            .map(|row| row.label("provider", &provider))
    });
    rows.chain([shares]).collect()
}

fn by_place(view: &RunView<'_>, records: &[(&DownloadRecord, AsNumber)]) -> Vec<Metric> {
    let (mut regions, mut countries): (BTreeMap<&str, Bytes>, BTreeMap<&str, Bytes>) = Default::default();
    for (record, at) in records {
        let Some(locality) = view.record.plan.localities.get(at) else { continue };
        regions.entry(&locality.region).or_default().add(record);
        if let Some(country) = &locality.country {
            countries.entry(country).or_default().add(record);
        }
    }
    let known = if countries.is_empty() { &regions } else { &countries };
    let efficiencies = known.values().map(|bytes| bytes.peer as f64 / (bytes.edge + bytes.peer) as f64);
    let efficiencies = Metric::new("peer_efficiency_of_places", Value::distribution(efficiencies, BTreeMap::new()));
    let places =
        [("peer_efficiency_by_region", "region", regions), ("peer_efficiency_by_country", "country", countries)];
    let rows = places.into_iter().flat_map(|(name, key, places)| {
        let row = move |(place, bytes): (&str, Bytes)| {
            bytes.efficiency(name).label(key, &place).label("class", &edge_class(bytes.edge, bytes.peer))
        };
        places.into_iter().map(row)
    });
    rows.chain([efficiencies]).collect()
}

/// By the first answer of the control plane; downloads without one are in no class.
fn by_answer(records: &[(&DownloadRecord, AsNumber)]) -> Vec<Metric> {
    let classes = |class: &dyn Fn(&DownloadRecord) -> Option<Class>| {
        let mut classes: BTreeMap<Class, Bytes> = BTreeMap::new();
        for (record, _) in records {
            if let Some(class) = class(record) {
                classes.entry(class).or_default().add(record);
            }
        }
        classes
    };
    let copies = classes(&|record| record.copies_registered.map(copies_class));
    let returned = classes(&|record| record.peers_returned.map(returned_class));
    let row = |name, key, ((_, word), bytes): (Class, Bytes)| bytes.efficiency(name).label(key, &word);
    let copies = copies.into_iter().map(|class| row("peer_efficiency_by_copies", "copies", class));
    copies.chain(returned.into_iter().map(|class| row("peer_efficiency_by_returned", "returned", class))).collect()
}

/// Speeds of completed downloads by where their bytes came from, of all together and of each AS.
fn speeds(records: &[(&DownloadRecord, AsNumber)]) -> Vec<Metric> {
    let mut speeds: BTreeMap<(Option<AsNumber>, &str), Vec<f64>> = BTreeMap::new();
    for (record, at) in records {
        if record.status == TerminalStatus::Completed
            && let Some(speed) = speed_mbps(record)
        {
            for place in [None, Some(*at)] {
                speeds.entry((place, source_class(record))).or_default().push(speed);
            }
        }
    }
    let row = |((place, source), speeds): ((Option<AsNumber>, &str), Vec<f64>)| {
        let row = Metric::new("speed_by_source", Value::distribution(speeds, BTreeMap::new())).label("source", &source);
        match place {
            Some(place) => row.label("as", &place.get()),
            None => row,
        }
    };
    speeds.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests;
