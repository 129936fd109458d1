//! Pictures of runs over time with what the timeline did, as inline SVG: what edges and peers delivered, and below it how many
//! downloads were under way and peers on.

use std::fmt::Write;

use maud::{Markup, html};
use peerbed_model::MANY_MOVES;

use crate::{metrics::Moment, record::Carried};

/// One run.
pub(super) struct Course<'a> {
    pub(super) name: String,
    pub(super) moments: Vec<Moment>,
    pub(super) acts: &'a [Carried],
}

const WIDTH: f64 = 640.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
/// How high the lines are of moves that are too many to be told of one by one.
const WANDERING: f64 = 8.0;
/// What the number of an act takes.
const NUMBER_WIDTH: f64 = 14.0;
/// Room for the numbers of acts.
const TOP: f64 = 20.0;
const RATES: f64 = 150.0;
const GAP: f64 = 16.0;
const COUNTS: f64 = 60.0;
const PEERS: f64 = 36.0;
const BOTTOM: f64 = 36.0;
/// Shorter intervals have no rate: the last one ends when the last node has, whenever that is.
const INTERVAL_MIN_S: f64 = 0.5;
/// Told apart without colour, too.
const EDGE: (&str, &str) = ("#1f6feb", "none");
const PEER: (&str, &str) = ("#d1541f", "6 3");

/// A picture for each run, all with the same axes. Nothing without intervals.
pub(super) fn courses(runs: &[Course<'_>]) -> Option<Markup> {
    let moments = || runs.iter().flat_map(|run| drawn(&run.moments));
    let end = moments().map(|moment| moment.t_s).fold(0.0, f64::max);
    if end <= 0.0 {
        return None;
    }
    let rate = round_up(moments().flat_map(|moment| [mbps(moment, 0), mbps(moment, 1)]).fold(0.0, f64::max));
    let most = |of: fn(&Moment) -> u64| moments().map(of).max().unwrap_or_default().max(1) as f64;
    let most = Most { rate, downloads: most(|moment| moment.under_way), peers: most(|moment| moment.peers_on) };
    Some(html! {
        @for run in runs { (picture(run, end, &most)) }
        p {
            span .key { (sample(EDGE)) " between edges and peers" }
            span .key { (sample(PEER)) " among peers" }
            "Delivered traffic counts IP packets with their headers, both ways."
        }
    })
}

/// Where the axes end.
struct Most {
    rate: f64,
    downloads: f64,
    peers: f64,
}

/// The intervals that have a rate.
fn drawn(moments: &[Moment]) -> impl Iterator<Item = &Moment> {
    moments.iter().filter(|moment| moment.interval_s >= INTERVAL_MIN_S)
}

/// Of edges (0) or peers (1).
fn mbps(moment: &Moment, of: usize) -> f64 {
    [moment.edge_bytes, moment.peer_bytes][of] as f64 * 8.0 / 1e6 / moment.interval_s
}

/// The next round number.
fn round_up(value: f64) -> f64 {
    let steps =
        (0..10).flat_map(|power| [1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0].map(|step| step * 10_f64.powi(power)));
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

fn sample((colour, dashes): (&str, &str)) -> Markup {
    html! {
        svg viewBox="0 0 32 8" width="32" height="8" aria-hidden="true" {
            line x1="0" x2="32" y1="4" y2="4" stroke=(colour) stroke-dasharray=(dashes) stroke-width="2" {}
        }
    }
}

fn picture(run: &Course<'_>, end: f64, most: &Most) -> Markup {
    let Most { rate, downloads, peers } = *most;
    let x = |t: f64| LEFT + (t / end).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
    let rates = |value: f64| TOP + (1.0 - value / rate) * RATES;
    let counts = |value: f64| TOP + RATES + GAP + (1.0 - value / downloads) * COUNTS;
    let on = |value: f64| TOP + RATES + GAP + COUNTS + GAP + (1.0 - value / peers) * PEERS;
    let (floor, height) = (on(0.0), on(0.0) + BOTTOM);
    let at = |value: f64| format!("{value:.1}");
    let line = |of: usize| {
        let mut path = String::new();
        for moment in drawn(&run.moments) {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let middle = moment.t_s - moment.interval_s / 2.0;
            let _ = write!(path, "{command}{:.1} {:.1} ", x(middle), rates(mbps(moment, of)));
        }
        path
    };
    let steps = |first: f64, y: &dyn Fn(&Moment) -> f64| {
        let mut path = format!("M{:.1} {first:.1}", x(0.0));
        for moment in drawn(&run.moments) {
            let _ = write!(path, " L{:.1} {:.1}", x(moment.t_s), y(moment));
        }
        path
    };
    let peers_on = |moment: &Moment| on(moment.peers_on as f64);
    let first_on = drawn(&run.moments).next().map_or(on(0.0), peers_on);
    let many = run.acts.iter().filter(|act| act.act.moves_one()).count() > MANY_MOVES;
    let (wandering, told): (Vec<&Carried>, Vec<&Carried>) =
        run.acts.iter().partition(|act| many && act.act.moves_one());
    let told: Vec<(usize, &Carried)> = (1..).zip(told).collect();
    // A number that would stand on the one before it is left out; the list has it.
    let crowded =
        |number: usize| number > 1 && x(told[number - 1].1.began_s()) - x(told[number - 2].1.began_s()) < NUMBER_WIDTH;
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 600.0, 3600.0].into_iter().find(|step| end / step <= 10.0);
    let step = step.unwrap_or(end);
    let ticks = || (0..=10).map(|number| f64::from(number) * step).filter(|tick| *tick <= end);
    html! {
        figure {
            figcaption { b { (run.name) } }
            svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(format!("{}: traffic, downloads and peers over time", run.name)) {
                @for share in [0.0, 0.5, 1.0] {
                    line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(rates(share * rate))) y2=(at(rates(share * rate))) {}
                    text x=(LEFT - 8.0) y=(at(rates(share * rate) + 4.0)) text-anchor="end" { (share * rate) }
                }
                @for (y, value) in [(counts(0.0), 0.0), (counts(downloads), downloads), (on(0.0), 0.0), (on(peers), peers)] {
                    line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(y)) y2=(at(y)) {}
                    text x=(LEFT - 8.0) y=(at(y + 4.0)) text-anchor="end" { (value) }
                }
                @for tick in ticks() {
                    text x=(at(x(tick))) y=(at(floor + 16.0)) text-anchor="middle" { (format!("{tick:.0}")) }
                }
                text x=(at(x(end / 2.0))) y=(at(floor + 32.0)) text-anchor="middle" { "seconds since the start" }
                text transform=(format!("translate(12 {:.1}) rotate(-90)", rates(rate / 2.0))) text-anchor="middle" { "Mbit/s" }
                text transform=(format!("translate(12 {:.1}) rotate(-90)", counts(downloads / 2.0))) text-anchor="middle" { "downloads" }
                text transform=(format!("translate(12 {:.1}) rotate(-90)", on(peers / 2.0))) text-anchor="middle" { "peers" }
                @for act in &wandering {
                    line .act x1=(at(x(act.began_s()))) x2=(at(x(act.began_s()))) y1=(at(floor - WANDERING)) y2=(at(floor)) {}
                }
                @for (number, act) in &told {
                    line .act x1=(at(x(act.began_s()))) x2=(at(x(act.began_s()))) y1=(TOP) y2=(at(floor)) {}
                    @if !crowded(*number) {
                        text x=(at(x(act.began_s()))) y=(TOP - 6.0) text-anchor="middle" { (number) }
                    }
                }
                path d=(line(0)) fill="none" stroke=(EDGE.0) stroke-dasharray=(EDGE.1) stroke-width="2" {}
                path d=(line(1)) fill="none" stroke=(PEER.0) stroke-dasharray=(PEER.1) stroke-width="2" {}
                path d=(steps(counts(0.0), &|moment| counts(moment.under_way as f64))) fill="none" stroke="currentColor" stroke-width="1.5" {}
                path d=(steps(first_on, &peers_on)) fill="none" stroke="currentColor" stroke-width="1.5" {}
            }
            @if !told.is_empty() {
                ol .acts { @for (_, act) in &told { li { (format!("{:.1} s: {}", act.began_s(), act.act.label())) } } }
            }
            @if !wandering.is_empty() {
                p { (format!("Short lines at the foot: {} moves of single peers.", wandering.len())) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerbed_model::Act;

    use super::*;

    fn moment(t_s: f64, edge_bytes: u64, peer_bytes: u64, under_way: u64) -> Moment {
        Moment { t_s, interval_s: 1.0, edge_bytes, peer_bytes, under_way, peers_on: 2 }
    }

    #[test]
    fn many_moves_of_single_peers_are_told_of_together() {
        let act = |second: u64, act| Carried {
            at: Duration::from_secs(second),
            began_ns: second * 1_000_000_000,
            done_ns: second * 1_000_000_000,
            act,
        };
        let node = |name: &str| vec![name.parse().unwrap()];
        let mut acts: Vec<Carried> =
            (1..=12).map(|second| act(second, Act::Move { nodes: node("x-1"), to: Vec::new() })).collect();
        acts.insert(3, act(3, Act::Kill { nodes: node("control-0") }));
        let moments: Vec<Moment> = (1..=14).map(|second| moment(f64::from(second), 1, 1, 1)).collect();
        let told = |acts: &[Carried]| {
            courses(&[Course { name: "a".to_owned(), moments: moments.clone(), acts }])
                .expect("a picture")
                .into_string()
        };
        let text = told(&acts);
        assert_eq!(text.matches("<li>").count(), 1, "{text}");
        assert!(text.contains("12 moves of single peers") && text.contains("kill control-0"), "{text}");
        assert_eq!(told(&acts[..5]).matches("<li>").count(), 5);
    }

    #[test]
    fn acts_are_lines_with_numbers_that_a_list_explains() {
        let acts = [Carried {
            at: Duration::from_secs(1),
            began_ns: 1_100_000_000,
            done_ns: 1_200_000_000,
            act: Act::Kill { nodes: vec!["control-0".parse().unwrap()] },
        }];
        let moments = vec![moment(1.0, 1_250_000, 0, 3), moment(2.0, 0, 2_500_000, 1)];
        let run = Course { name: "hybrid".to_owned(), moments, acts: &acts };
        let drawn = courses(&[run]).unwrap().into_string();
        // 1.1 of 2 seconds.
        assert!(drawn.contains(r#"class="act" x1="370.6" x2="370.6""#), "{drawn}");
        assert!(drawn.contains("<li>1.1 s: kill control-0</li>"), "{drawn}");
        // 10 and 0 of 20 Mbit/s from edges, in the middle of their intervals.
        assert!(drawn.contains(r#"d="M199.0 95.0 L485.0 170.0 ""#), "{drawn}");
        assert!(drawn.contains(r#"d="M199.0 170.0 L485.0 20.0 ""#), "{drawn}");
        // Both of two peers, throughout.
        assert!(drawn.contains(r#"d="M56.0 262.0 L342.0 262.0 L628.0 262.0""#), "{drawn}");
    }

    #[test]
    fn there_is_no_picture_of_nothing() {
        assert!(courses(&[]).is_none());
        assert!(courses(&[Course { name: "a".to_owned(), moments: Vec::new(), acts: &[] }]).is_none());
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let ends = [0.3, 1.0, 3.0, 11.0, 42.0, 123.0].map(|value| round_up(value) as u32);
        assert_eq!(ends, [1, 1, 3, 12, 50, 150]);
    }
}
