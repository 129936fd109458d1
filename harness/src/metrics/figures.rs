//! The figures of a run that summaries, tables and expectations speak of, under the keys of `summary.json`.

use std::collections::BTreeMap;

use serde::{
    Deserialize,
    de::{Deserializer, Error as _},
    ser::{Serialize, SerializeMap, Serializer},
};

use super::{RunMetrics, Value, median, median_interval};

/// Which part of a metric a figure is.
#[derive(Debug, Clone, Copy)]
enum Part {
    Single,
    Mean,
    P10,
    P50,
    P90,
    P95,
    Min,
    Max,
}

/// Every figure: its key in `summary.json`, and the metric it is taken from.
pub const FIGURES: [Figure; 85] = [
    figure("downloads.planned", "downloads.planned", Part::Single),
    figure("downloads.started", "downloads.started", Part::Single),
    figure("downloads.completed", "downloads.completed", Part::Single),
    figure("downloads.paused", "downloads.paused", Part::Single),
    figure("downloads.aborted", "downloads.aborted", Part::Single),
    figure("downloads.failed", "downloads.failed", Part::Single),
    figure("downloads.unfinished", "downloads.unfinished", Part::Single),
    figure("downloads.lost", "downloads.lost", Part::Single),
    figure("speed_mbps.p10", "speed_mbps", Part::P10),
    figure("speed_mbps.p50", "speed_mbps", Part::P50),
    figure("speed_mbps.p90", "speed_mbps", Part::P90),
    figure("speed_wall_mbps.p10", "speed_wall_mbps", Part::P10),
    figure("speed_wall_mbps.p50", "speed_wall_mbps", Part::P50),
    figure("speed_wall_mbps.p90", "speed_wall_mbps", Part::P90),
    figure("speed_ranked_mbps.p10", "speed_ranked_mbps", Part::P10),
    figure("speed_ranked_mbps.p50", "speed_ranked_mbps", Part::P50),
    figure("speed_ranked_mbps.p90", "speed_ranked_mbps", Part::P90),
    figure("startup_ms.p50", "startup_ms", Part::P50),
    figure("startup_ms.p90", "startup_ms", Part::P90),
    figure("pause_rate", "pause_rate", Part::Single),
    figure("pause_terminal_rate", "pause_terminal_rate", Part::Single),
    figure("pause_resumed_rate", "pause_resumed_rate", Part::Single),
    figure("pause_by_size.smallest", "pause_rate_of_smallest", Part::Single),
    figure("pause_by_size.largest", "pause_rate_of_largest", Part::Single),
    figure("offline_rate", "offline_rate", Part::Single),
    figure("moved_rate", "moved_rate", Part::Single),
    figure("failure_rate", "failure_rate", Part::Single),
    figure("stalled_rate", "stalled_rate", Part::Single),
    figure("stalls", "stalls", Part::Single),
    figure("peer_efficiency.bytes", "peer_efficiency", Part::Single),
    figure("peer_efficiency.mean", "peer_efficiency_of_downloads", Part::Mean),
    figure("providers.least", "peer_share_of_providers", Part::Min),
    figure("providers.most", "peer_share_of_providers", Part::Max),
    figure("places.least", "peer_efficiency_of_places", Part::Min),
    figure("places.most", "peer_efficiency_of_places", Part::Max),
    figure("bytes.edge", "bytes.edge", Part::Single),
    figure("bytes.peer", "bytes.peer", Part::Single),
    figure("bytes.intra_as", "bytes.intra_as", Part::Single),
    figure("bytes.inter_as", "bytes.inter_as", Part::Single),
    figure("bytes.inter_as_by_login", "bytes.inter_as_by_login", Part::Single),
    figure("bytes.misattributed", "bytes.misattributed", Part::Single),
    figure("bytes.intra_lan", "bytes.intra_lan", Part::Single),
    figure("bytes.transit", "transit_bytes_total", Part::Single),
    figure("bytes.control", "bytes.control", Part::Single),
    figure("bytes.wasted", "bytes.wasted", Part::Single),
    figure("inter_as.top_share", "inter_as_top_share", Part::Single),
    figure("as.gini", "inter_as_gini", Part::Single),
    figure("as.intra_share", "intra_as_share", Part::Single),
    figure("as.silent_share", "silent_ases_share", Part::Single),
    figure("as.symmetry", "inter_as_symmetry", Part::Single),
    figure("as.direct_share", "direct_link_share", Part::Single),
    figure("as.mean_hops", "mean_as_hops", Part::Single),
    figure("as.heavy", "heavy_uploaders", Part::Single),
    figure("as.heavy_share", "heavy_uploaders_share", Part::Single),
    figure("as.heavy_symmetry", "heavy_symmetry", Part::Single),
    figure("as.pair_symmetry", "pair_symmetry", Part::Single),
    figure("as.heavy_direct_share", "heavy_direct_link_share", Part::Single),
    figure("as.heavy_peers_ratio", "heavy_peers_ratio", Part::Single),
    figure("lan.copies_share", "lan_copies_share", Part::Single),
    figure("lan.served_share", "lan_served_share", Part::Single),
    figure("edge_peak_egress_mbps", "edge_peak_egress_mbps", Part::Single),
    figure("edge_p95_egress_mbps", "edge_egress_mbps", Part::P95),
    figure("control_messages_per_download", "control_messages_per_download", Part::Single),
    figure("cpu_s_per_gb", "cpu_s_per_gb", Part::Single),
    figure("fluid_bound.seconds", "fluid_bound_s", Part::Single),
    figure("fluid_bound.first", "fluid_bound_first", Part::Single),
    figure("fluid_bound.last", "fluid_bound_last", Part::Single),
    figure("requests.served", "requests.served", Part::Single),
    figure("requests.refused", "requests.refused", Part::Single),
    figure("moves", "moves", Part::Single),
    figure("packets.missed", "packets.missed", Part::Single),
    figure("packets.nat_dropped", "packets.nat_dropped", Part::Single),
    figure("rejected_pieces", "rejected_pieces", Part::Single),
    figure("registry_recovery_ms.p50", "registry_recovery_ms", Part::P50),
    figure("control_refusals", "control_refusals", Part::Single),
    figure("copies_registered.p50", "copies_registered", Part::P50),
    figure("peers_returned.p50", "peers_returned", Part::P50),
    figure("peers_returned.mean", "peers_returned", Part::Mean),
    figure("accounting.accused", "accounting.accused", Part::Single),
    figure("accounting.disputes", "accounting.disputes", Part::Single),
    figure("accounting.false_accusations", "accounting.false_accusations", Part::Single),
    figure("accounting.missed", "accounting.missed", Part::Single),
    figure("offences.told", "offences.told", Part::Single),
    figure("offences.offenders", "offences.offenders", Part::Single),
    figure("offences.honest", "offences.honest", Part::Single),
];

/// One figure of [`FIGURES`].
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Its key, a dotted path in `summary.json`.
    pub key: &'static str,
    metric: &'static str,
    part: Part,
}

impl Figure {
    /// The metric that it is taken from.
    pub fn metric(&self) -> &'static str {
        self.metric
    }
}

const fn figure(key: &'static str, metric: &'static str, part: Part) -> Figure {
    Figure { key, metric, part }
}

/// The values of [`FIGURES`], in their order. What is undefined (a quantile of nothing) is none, never NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures([Option<f64>; FIGURES.len()]);

impl Figures {
    /// Those of one run.
    pub fn of(metrics: &RunMetrics) -> Self {
        Self(FIGURES.map(|figure| {
            let value = &metrics.get(figure.metric)?.value;
            match (figure.part, value) {
                (Part::Single, _) => value.single(),
                (Part::Mean, Value::Distribution { mean, .. }) => *mean,
                (Part::P10, Value::Distribution { quantiles, .. }) => quantiles.map(|q| q.p10),
                (Part::P50, Value::Distribution { quantiles, .. }) => quantiles.map(|q| q.p50),
                (Part::Min, Value::Distribution { quantiles, .. }) => quantiles.map(|q| q.min),
                (Part::Max, Value::Distribution { quantiles, .. }) => quantiles.map(|q| q.max),
                (Part::P90, Value::Distribution { quantiles, .. }) => quantiles.map(|q| q.p90),
                (Part::P95, Value::Distribution { quantiles, .. }) => quantiles.map(|q| q.p95),
                _ => None,
            }
        }))
    }

    /// The median over runs of each figure; runs in which it is undefined do not count. The run is the replicate: figures
    /// of one run are never pooled with those of another.
    pub fn median(runs: &[Figures]) -> Self {
        let mut at = 0..FIGURES.len();
        Self(FIGURES.map(|_| {
            let index = at.next()?;
            median(runs.iter().filter_map(|run| run.0[index]))
        }))
    }

    /// The intervals of the medians over runs, by figure, of those that are defined in enough runs.
    pub fn intervals(runs: &[Figures]) -> BTreeMap<String, [f64; 2]> {
        let interval = |(index, figure): (usize, &Figure)| {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.0[index]).collect();
            Some((figure.key.to_owned(), median_interval(&values)?))
        };
        FIGURES.iter().enumerate().filter_map(interval).collect()
    }

    /// The figure of this key; none if it is undefined, or if there is no such key.
    pub fn get(&self, key: &str) -> Option<f64> {
        FIGURES.iter().position(|figure| figure.key == key).and_then(|index| self.0[index])
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> + '_ {
        FIGURES.iter().map(|figure| figure.key).zip(self.0.iter().copied())
    }
}

/// The key that an experiment means: itself, or the customary part of a figure with several.
pub fn full_key(metric: &str) -> Option<&'static str> {
    let named = match metric {
        "peer_efficiency" => "peer_efficiency.bytes",
        "speed_mbps" => "speed_mbps.p50",
        other => other,
    };
    FIGURES.iter().map(|figure| figure.key).find(|key| *key == named)
}

/// A whole number as such, so that counts read as counts.
struct Number(Option<f64>);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            // Every whole number up to 2^53 is exact.
            Some(value) if value.fract() == 0.0 && (0.0..9e15).contains(&value) => {
                serializer.serialize_u64(value as u64)
            }
            Some(value) if value.is_finite() => serializer.serialize_f64(value),
            _ => serializer.serialize_none(),
        }
    }
}

/// The figures below one first word.
struct Group<'a>(&'a Figures, &'a str);

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter() {
            if let Some((first, rest)) = key.split_once('.').filter(|(first, _)| *first == self.1) {
                debug_assert!(!first.is_empty() && !rest.contains('.'), "{key} has at most two words");
                map.serialize_entry(rest, &Number(value))?;
            }
        }
        map.end()
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut last = "";
        for (key, value) in self.iter() {
            match key.split_once('.') {
                None => map.serialize_entry(key, &Number(value))?,
                Some((first, _)) if first != last => {
                    last = first;
                    map.serialize_entry(first, &Group(self, first))?;
                }
                Some(_) => {}
            }
        }
        map.end()
    }
}

/// Numbers below words, as they are in `summary.json`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(Option<f64>),
    Group(BTreeMap<String, Option<f64>>),
    /// What is beside the figures.
    Other(serde::de::IgnoredAny),
}

/// Figures that the file does not have (those of a later version of the program) are undefined; keys that are no figures are
/// passed over, for figures stand among other keys.
impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, Written>::deserialize(deserializer)?;
        let mut values = [None; FIGURES.len()];
        for (value, figure) in values.iter_mut().zip(&FIGURES) {
            let (first, rest) =
                figure.key.split_once('.').map_or((figure.key, None), |(first, rest)| (first, Some(rest)));
            *value = match (written.get(first), rest) {
                (None, _) => None,
                (Some(Written::Number(number)), None) => *number,
                (Some(Written::Group(group)), Some(rest)) => group.get(rest).copied().flatten(),
                (Some(_), _) => return Err(D::Error::custom(format!("`{}` is no number", figure.key))),
            };
        }
        Ok(Self(values))
    }
}
