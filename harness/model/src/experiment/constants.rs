//! `policy.defences`, `policy.waits`, `policy.edge.backstop` and the rules by which pieces are picked: the constants of a peer's
//! behaviour, read and recorded.

use std::{collections::BTreeMap, time::Duration};

use peerbed_contract::{Backstop, Constants, Defences, PieceOrder, Pieces, Waits};
use peerbed_link::Probability;

use crate::{
    diagnostic::Report,
    experiment::{
        control::FLAGS,
        policy::{count, set},
    },
    limits,
    plan::Setting,
    read::Fields,
    shape::{
        Form, Shape,
        constants::{BACKSTOP, DEFENCES, WAITS},
        policy::DOWNLOADS,
    },
    units,
    yaml::Node,
};

/// Values of a set of constants, by key.
type Values<T, V> = [(&'static str, fn(&mut T) -> &mut V)];
/// Times of a set of constants, by key, in nanoseconds.
type Times<T> = Values<T, u64>;

const DEFENCE_TIMES: &Times<Defences> = &[
    ("ban", |of| &mut of.ban_ns),
    ("stuck_after", |of| &mut of.stuck_ns),
    ("dead_after", |of| &mut of.dead_ns),
    ("edge_dead_after", |of| &mut of.edge_dead_ns),
    ("slow_after", |of| &mut of.slow_ns),
    ("upload_dead_after", |of| &mut of.upload_dead_ns),
    ("part_dead_after", |of| &mut of.part_dead_ns),
];

const WAIT_TIMES: &Times<Waits> = &[
    ("connect", |of| &mut of.connect_ns),
    ("greeting", |of| &mut of.greeting_ns),
    ("query", |of| &mut of.query_ns),
    ("back_off", |of| &mut of.back_off_ns),
    ("back_off_most", |of| &mut of.back_off_most_ns),
    ("busy", |of| &mut of.busy_ns),
    ("idle", |of| &mut of.idle_ns),
    ("report", |of| &mut of.report_ns),
    ("loaded", |of| &mut of.loaded_ns),
];

const BACKSTOP_TIMES: &Times<Backstop> =
    &[("fill", |of| &mut of.fill_ns), ("fill_most", |of| &mut of.fill_most_ns), ("probe", |of| &mut of.probe_ns)];

const BACKSTOP_SHARES: &Values<Backstop, f64> =
    &[("peers_from", |of| &mut of.peers_from), ("step", |of| &mut of.step), ("tolerance", |of| &mut of.tolerance)];

const ORDERS: [(&str, PieceOrder); 3] =
    [("rarest", PieceOrder::Rarest), ("random", PieceOrder::Random), ("in-order", PieceOrder::InOrder)];

const NEWS: &Times<Pieces> = &[("news_every", |of| &mut of.news_ns)];

pub(super) fn defences(read: &mut Defences, node: &Node, report: &mut Report) {
    let Some(fields) = report.map(node, &DEFENCES) else { return };
    times(read, DEFENCE_TIMES, (&fields, &DEFENCES), report);
    set(&mut read.offences_to_ban, &fields, "offences_to_ban", |node| count(report, node, 1_000_000));
    set(&mut read.drop_corrupt, &fields, "drop_corrupt", |node| report.word(node, &FLAGS));
    set(&mut read.slow_bytes, &fields, "slow_bytes", |node| report.size(node, (0, 1 << 30)));
    set(&mut read.stalls, &fields, "stalls", |node| count(report, node, 1_000_000));
    // Of a rule that is switched off nothing is expected.
    if Duration::from_nanos(read.stuck_ns) < limits::DURATION.1 {
        let pair = [("stuck_after", read.stuck_ns), ("dead_after", read.dead_ns)];
        ordered(&fields, pair, "a source is left before it can be stuck; `24h` switches a rule off", report);
    }
}

pub(super) fn waits(read: &mut Waits, node: &Node, report: &mut Report) {
    let Some(fields) = report.map(node, &WAITS) else { return };
    times(read, WAIT_TIMES, (&fields, &WAITS), report);
    let pair = [("back_off", read.back_off_ns), ("back_off_most", read.back_off_most_ns)];
    ordered(&fields, pair, "every wait after a failure is as long as `back_off_most` then", report);
    let pair = [("busy", read.busy_ns), ("back_off_most", read.back_off_most_ns)];
    ordered(&fields, pair, "no wait is longer than `back_off_most`", report);
}

pub(super) fn backstop(read: &mut Backstop, node: &Node, report: &mut Report) {
    let Some(fields) = report.map(node, &BACKSTOP) else { return };
    times(read, BACKSTOP_TIMES, (&fields, &BACKSTOP), report);
    for (key, at) in BACKSTOP_SHARES {
        set(at(read), &fields, key, |node| report.share(node).map(Probability::get));
    }
    let pair = [("fill", read.fill_ns), ("fill_most", read.fill_most_ns)];
    ordered(&fields, pair, "after its first step the edge fills for `fill_most` then", report);
    let tolerance = fields.get("tolerance").or_else(|| fields.get("step")).map_or(fields.span, |node| node.span);
    if read.step <= 0.0 {
        let message = "with steps of 0% the edge never gives way";
        report.warning(fields.span_of("step"), message).help("write `mode: first`, or a step");
    } else if read.tolerance >= read.step && read.tolerance < 1.0 {
        report
            .warning(tolerance, "`tolerance` is not less than `step`")
            .help("a step for which no peer stands in goes unnoticed then; `100%` says that it shall");
    }
}

/// Notes that the first of two values is more than the second, and what comes of it.
fn ordered<V: PartialOrd>(fields: &Fields<'_>, pair: [(&'static str, V); 2], so: &str, report: &mut Report) {
    let [(less, low), (more, high)] = pair;
    if low > high {
        let span = fields.get(less).or_else(|| fields.get(more)).map_or(fields.span, |node| node.span);
        report.warning(span, format!("`{less}` is more than `{more}`")).help(so);
    }
}

/// Those keys of a download policy that say how pieces are picked.
pub(super) fn pieces(read: &mut Pieces, fields: &Fields<'_>, report: &mut Report) {
    set(&mut read.order, fields, "order", |node| report.word(node, &ORDERS));
    set(&mut read.duplicates, fields, "duplicates", |node| {
        report.whole(node, 1, u64::from(u8::MAX)).map(|most| most as u8)
    });
    set(&mut read.news_at_once, fields, "news_at_once", |node| {
        report.whole(node, 0, 262_144).map(|first| first as u32)
    });
    times(read, NEWS, (fields, &DOWNLOADS), report);
}

/// Reads times, each in the range that its key has.
fn times<T>(of: &mut T, list: &Times<T>, (fields, shape): (&Fields<'_>, &Shape), report: &mut Report) {
    for (key, at) in list {
        let Some(Form::Time(least, most)) = shape.keys.iter().find(|known| known.name == *key).map(|key| &key.form)
        else {
            unreachable!("`{key}` is a time");
        };
        set(at(of), fields, key, |node| report.time(node, (*least, *most)).map(|time| time.as_nanos() as u64));
    }
}

/// Every value by its path.
pub(super) fn parameters(constants: &Constants) -> BTreeMap<String, Setting> {
    fn all<T: Copy>(of: T, prefix: &str, list: &Times<T>, settings: &mut BTreeMap<String, Setting>) {
        for (key, at) in list {
            let time = Duration::from_nanos(*at(&mut { of }));
            settings.insert(format!("{prefix}.{key}"), Setting::Text(units::show_time(time)));
        }
    }
    let Constants { defences, pieces, waits, backstop } = *constants;
    let mut settings = BTreeMap::new();
    all(defences, "policy.defences", DEFENCE_TIMES, &mut settings);
    all(waits, "policy.waits", WAIT_TIMES, &mut settings);
    all(backstop, "policy.edge.backstop", BACKSTOP_TIMES, &mut settings);
    all(pieces, "policy.downloads", NEWS, &mut settings);
    for (key, at) in BACKSTOP_SHARES {
        let share = units::show_share(*at(&mut { backstop }));
        settings.insert(format!("policy.edge.backstop.{key}"), Setting::Text(share));
    }
    let order = ORDERS.iter().find(|(_, order)| *order == pieces.order).map_or("", |(word, _)| word);
    let whole = |value: u32| Setting::Number(f64::from(value));
    let rest = [
        ("policy.defences.offences_to_ban", whole(defences.offences_to_ban)),
        ("policy.defences.drop_corrupt", Setting::Flag(defences.drop_corrupt)),
        ("policy.defences.slow_bytes", Setting::Text(units::show_size(defences.slow_bytes))),
        ("policy.defences.stalls", whole(defences.stalls)),
        ("policy.downloads.order", Setting::Text(order.to_owned())),
        ("policy.downloads.duplicates", whole(u32::from(pieces.duplicates))),
        ("policy.downloads.news_at_once", whole(pieces.news_at_once)),
    ];
    settings.extend(rest.map(|(key, setting)| (key.to_owned(), setting)));
    settings
}
