//! What one run measured: typed rows with the definitions of `docs/results.md`, and the few figures that summaries and
//! expectations speak of. Pure: a [`RunRecord`](crate::record::RunRecord) goes in, values come out.

mod balance;
mod bootstrap;
mod burden;
mod catalogue;
mod classes;
mod copies;
mod downloads;
mod figures;
mod fluid;
mod inequality;
mod lan;
mod logins;
mod paths;
mod quantile;
mod series;
mod traffic;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accounting::Accounting;

pub use balance::{AsTraffic, ases};
pub use bootstrap::median_interval;
pub use catalogue::{Definition, definitions};
pub use classes::{COPIES, RETURNED_MAX, edge_class};
pub use copies::copied_installations;
pub use downloads::{peer_efficiency, speed_mbps, startup_ms, status_word, wall_speed_mbps};
pub use figures::{FIGURES, Figure, Figures, full_key};
pub use inequality::{gini, lorenz};
pub use lan::lan_of;
pub use quantile::{Quantiles, median, quantile, sorted};
pub use series::{Moment, series};
pub use traffic::{Ledger, Window, kind_word, ledger_delta, ledger_total, windows};
pub use view::{Download, NodeIndex, Pair, PairKey, RunView};

/// One metric of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// Its name, one of [`definitions`].
    pub name: &'static str,
    /// What tells it from others of the same name, for example `from` and `to` AS numbers; mostly empty.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<&'static str, String>,
    /// The unit of its values.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
    /// What was measured.
    #[serde(flatten)]
    pub value: Value,
}

/// Which direction of a metric is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It describes; it is not judged.
    Neither,
}

/// The value of a metric, by its kind; the kind decides how two commits are compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Value {
    /// One value for each of `n` things.
    Distribution {
        /// How many values.
        n: u64,
        /// Their mean; none of no values.
        mean: Option<f64>,
        /// Their quantiles; none of no values.
        quantiles: Option<Quantiles>,
        /// Things that have no value, by the reason why.
        left_out: BTreeMap<&'static str, u64>,
    },
    /// So many of `n` things.
    Proportion {
        /// All of them; the same as the denominator.
        n: u64,
        /// Those that count.
        numerator: u64,
        /// All of them.
        denominator: u64,
        /// Their quotient; none of no things.
        value: Option<f64>,
    },
    /// A quotient of two sums.
    Ratio {
        /// How many things were summed.
        n: u64,
        /// In its own unit.
        numerator: f64,
        /// In its own unit.
        denominator: f64,
        /// Their quotient; none where the denominator is 0.
        value: Option<f64>,
    },
    /// A plain number.
    Count {
        /// How many runs it is of: 1.
        n: u64,
        /// The number.
        value: u64,
    },
}

impl Metric {
    /// One without labels, of a name that the catalogue has.
    pub(crate) fn new(name: &str, value: Value) -> Self {
        let Definition { name, unit, better, .. } = *catalogue::definition(name);
        Self { name, labels: BTreeMap::new(), unit, better, value }
    }

    fn label(mut self, key: &'static str, value: &dyn std::fmt::Display) -> Self {
        self.labels.insert(key, value.to_string());
        self
    }
}

impl Value {
    fn distribution(values: impl IntoIterator<Item = f64>, left_out: BTreeMap<&'static str, u64>) -> Self {
        let values = sorted(values);
        let n = values.len() as u64;
        let mean = (n > 0).then(|| values.iter().sum::<f64>() / n as f64);
        Value::Distribution { n, mean, quantiles: Quantiles::of(&values), left_out }
    }

    fn proportion(numerator: u64, denominator: u64) -> Self {
        let value = (denominator > 0).then(|| numerator as f64 / denominator as f64);
        Value::Proportion { n: denominator, numerator, denominator, value }
    }

    fn ratio(n: u64, numerator: f64, denominator: f64) -> Self {
        let value = (denominator > 0.0).then(|| numerator / denominator);
        Value::Ratio { n, numerator, denominator, value }
    }

    /// A plain number.
    pub(crate) fn count(value: u64) -> Self {
        Value::Count { n: 1, value }
    }

    /// The one number of a proportion, ratio or count; a distribution has none.
    pub fn single(&self) -> Option<f64> {
        match self {
            Value::Distribution { .. } => None,
            Value::Proportion { value, .. } | Value::Ratio { value, .. } => *value,
            Value::Count { value, .. } => Some(*value as f64),
        }
    }
}

/// Every metric of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMetrics {
    /// The rows, in a fixed order.
    pub rows: Vec<Metric>,
}

impl RunMetrics {
    /// Computes them all.
    pub fn of(view: &RunView<'_>, accounting: &Accounting) -> Self {
        let mut rows = downloads::rows(view);
        rows.extend(traffic::rows(view));
        rows.extend(balance::rows(view));
        rows.extend(paths::rows(view));
        rows.extend(lan::rows(view));
        rows.extend(classes::rows(view));
        rows.extend(burden::rows(view));
        rows.extend(fluid::rows(view));
        rows.extend(accounting.rows());
        rows.extend(logins::rows(view));
        Self { rows }
    }

    /// The metric of this name without labels.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.rows.iter().find(|metric| metric.name == name && metric.labels.is_empty())
    }

    /// The metric of this name and exactly these labels.
    pub fn labelled(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Metric> {
        self.rows.iter().find(|metric| {
            metric.name == name
                && metric.labels.len() == labels.len()
                && labels.iter().all(|(key, value)| metric.labels.get(key).is_some_and(|found| found == value))
        })
    }
}
