//! `compare`: which arm of an experiment is compared between versions, when results are looked at, and by which metrics.

use crate::{
    diagnostic::Report,
    experiment::{control::FLAGS, expect},
    limits,
    plan::{ComparedBy, ComparedMetric, Comparison, Preference},
    shape::{
        expect::metric_names,
        experiment::{COMPARE, COMPARED},
    },
    yaml::Node,
};

/// Reads the map.
pub(crate) fn decode(node: &Node, known: expect::Known<'_>, report: &mut Report) -> Comparison {
    let Some(fields) = report.map(node, &COMPARE) else { return Comparison::default() };
    let arm = fields.get("arm").and_then(|node| expect::read_arm(node, known, report));
    let looks = fields.get("pairs").map_or_else(Vec::new, |node| read_looks(node, report));
    let metrics = fields.get("metrics").map_or_else(Vec::new, |node| read_metrics(node, report));
    Comparison { arm, looks, metrics }
}

/// Reads after how many pairs results are looked at.
pub(crate) fn read_looks(node: &Node, report: &mut Report) -> Vec<u32> {
    let (least, most) = limits::PAIRS;
    let items = report.bounded_list(node, "numbers of pairs", (1, limits::LOOKS)).unwrap_or_default();
    let looks: Vec<u32> = items.iter().filter_map(|node| Some(report.whole(node, least, most)? as u32)).collect();
    if looks.len() == items.len() && looks.windows(2).any(|two| two[0] >= two[1]) {
        report.error(node.span, "each look is after more pairs than the one before").help("write `pairs: [8, 16]`");
    }
    looks
}

fn read_metrics(node: &Node, report: &mut Report) -> Vec<ComparedMetric> {
    let items = report.bounded_list(node, "metrics", (1, limits::COMPARED)).unwrap_or_default();
    let mut found: Vec<ComparedMetric> = Vec::new();
    for item in items {
        let Some(metric) = read_metric(item, report) else { continue };
        if found.iter().any(|known| known.metric == metric.metric) {
            let message = format!("`{}` is compared once", metric.metric);
            report.error(item.span, message).help("remove one of the two");
        }
        found.push(metric);
    }
    found
}

fn read_metric(node: &Node, report: &mut Report) -> Option<ComparedMetric> {
    let fields = report.map(node, &COMPARED)?;
    let before = report.errors();
    let named = fields.get("metric").and_then(|node| Some((report.text(node)?, node.span)));
    let metric = named.as_ref().map(|(name, _)| expect::full_metric(name));
    if let Some((name, span)) = &named
        && metric_names().all(|known| known != name)
    {
        report.dangling("metric", name, *span, metric_names());
    }
    let kinds = [
        ("distribution", ComparedBy::Distribution),
        ("proportion", ComparedBy::Proportion),
        ("ratio", ComparedBy::Ratio),
        ("count", ComparedBy::Count),
        ("exact", ComparedBy::Exact),
    ];
    let directions = [("higher", Preference::Higher), ("lower", Preference::Lower), ("neither", Preference::Neither)];
    let kind = fields.get("kind").and_then(|node| report.word(node, &kinds));
    let better = fields.get("better").and_then(|node| report.word(node, &directions));
    let margin = fields.get("margin").and_then(|node| Some((report.share(node)?.get(), node.span)));
    if let Some((_, span)) = margin.filter(|(margin, _)| *margin <= 0.0 && kind != Some(ComparedBy::Exact)) {
        report
            .error(span, "no number of runs shows that a metric did not change at all")
            .help("write how much does not matter, for example `margin: 5%`");
    }
    let gating = fields.get("decides").map_or(Some(true), |node| report.word(node, &FLAGS));
    (report.errors() == before).then_some(())?;
    Some(ComparedMetric { metric: metric?, kind, better, margin: margin.map(|(margin, _)| margin), gating: gating? })
}
