//! A picture of how downloads' speeds are distributed in each arm, as inline SVG.

use std::fmt::Write;

use maud::{Markup, html};

use super::number;

/// One line of the picture.
pub(super) struct Series {
    pub(super) name: String,
    /// Sorted upwards, all above 0.
    pub(super) values: Vec<f64>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 12.0;
/// Told apart without colour, too: each has its own dashes.
const STROKES: [(&str, &str); 6] = [
    ("#1f6feb", "none"),
    ("#d1541f", "7 3"),
    ("#2a8f4d", "2 3"),
    ("#8a4bc9", "9 3 2 3"),
    ("#b08800", "4 4"),
    ("#57606a", "1 2"),
];

/// The share of downloads (vertical) that were at most so fast (horizontal, Mbit/s, logarithmic). Nothing without values.
pub(super) fn cdf(series: &[Series]) -> Option<Markup> {
    let values = || series.iter().flat_map(|series| &series.values).copied();
    let (low, high) = values().fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if low <= 0.0 || low > high {
        return None;
    }
    // A little room on both sides, so that the first and the last step show.
    let room = ((high / low).ln() * 0.04).max(0.02);
    let (first, last) = (low.ln() - room, high.ln() + room);
    let ticks = ticks(first.exp(), last.exp());
    let x = |value: f64| LEFT + (value.ln() - first) / (last - first) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM);
    let path = |values: &[f64]| {
        let mut path = format!("M{:.1} {:.1}", LEFT, y(0.0));
        for (index, value) in values.iter().enumerate() {
            let _ = write!(path, " H{:.1} V{:.1}", x(*value), y((index + 1) as f64 / values.len() as f64));
        }
        path + &format!(" H{:.1}", WIDTH - RIGHT)
    };
    let stroke = |index: usize| STROKES[index % STROKES.len()];
    // What has no values is neither drawn nor explained; the others keep their strokes.
    let drawn = || series.iter().enumerate().filter(|(_, series)| !series.values.is_empty());
    Some(html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Cumulative distribution of download speeds by arm" {
                @for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(format!("{:.1}", y(share))) y2=(format!("{:.1}", y(share))) {}
                    text x=(LEFT - 8.0) y=(format!("{:.1}", y(share) + 4.0)) text-anchor="end" { (format!("{:.0} %", share * 100.0)) }
                }
                @for (tick, label) in &ticks {
                    line .grid x1=(format!("{:.1}", x(*tick))) x2=(format!("{:.1}", x(*tick))) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                    text x=(format!("{:.1}", x(*tick))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (label) }
                }
                text x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 8.0) text-anchor="middle" { "average speed of a download, Mbit/s (logarithmic)" }
                text transform=(format!("translate(16 {:.1}) rotate(-90)", y(0.5))) text-anchor="middle" { "share of downloads" }
                @for (index, series) in drawn() {
                    path d=(path(&series.values)) fill="none" stroke=(stroke(index).0) stroke-dasharray=(stroke(index).1) stroke-width="2" {}
                }
            }
            figcaption {
                @for (index, series) in drawn() {
                    span .key {
                        svg viewBox="0 0 32 8" width="32" height="8" aria-hidden="true" {
                            line x1="0" x2="32" y1="4" y2="4" stroke=(stroke(index).0) stroke-dasharray=(stroke(index).1) stroke-width="2" {}
                        }
                        " " (series.name) " (" (series.values.len()) ") "
                    }
                }
            }
        }
    })
}

/// Round values between both ends with their labels: steps of 1-2-5, finer ones where fewer than two of those fall within,
/// and the ends' middle where nothing round does.
fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let within = |steps: &[f64]| -> Vec<(f64, String)> {
        let exponents = low.log10().floor() as i32 - 1..=high.log10().ceil() as i32 + 1;
        let all = exponents.flat_map(|exponent| {
            // By way of text, so that 5e-2 is printed as 0.05.
            steps.iter().map(move |step| format!("{step}e{exponent}").parse::<f64>().unwrap_or(*step))
        });
        all.filter(|tick| (low..=high).contains(tick)).map(|tick| (tick, tick.to_string())).collect()
    };
    let tenths: Vec<f64> = (10..100).map(|tenth| f64::from(tenth) / 10.0).collect();
    let finer: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &tenths];
    let middle = (low * high).sqrt();
    finer
        .iter()
        .map(|steps| within(steps))
        .find(|ticks| ticks.len() > 1)
        .unwrap_or_else(|| vec![(middle, number(Some(middle)))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_values() {
        let labels = |low, high| ticks(low, high).into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ");
        assert_eq!(labels(0.6, 14.0), "1 2 5 10");
        assert_eq!(labels(0.02, 0.1), "0.02 0.05 0.1");
        assert_eq!(labels(6.1, 9.5), "7 8 9");
        assert_eq!(labels(3.12, 3.35), "3.2 3.3");
        assert_eq!(labels(3.12, 3.18), "3.15");
    }

    #[test]
    fn what_has_no_values_is_not_in_the_legend() {
        let series = |name: &str, values: &[f64]| Series { name: name.into(), values: values.to_vec() };
        let drawn = cdf(&[series("none", &[]), series("some", &[1.0, 9.0])]).expect("values").into_string();
        assert!(drawn.contains("some") && !drawn.contains("none (0)"), "{drawn}");
        assert!(drawn.contains("share of downloads") && drawn.contains(STROKES[1].0) && !drawn.contains(STROKES[0].0));
    }

    #[test]
    fn there_is_no_picture_of_nothing() {
        let series = |values: &[f64]| [Series { name: "a".into(), values: values.to_vec() }];
        assert!(cdf(&series(&[])).is_none() && cdf(&[]).is_none());
        let drawn = cdf(&series(&[1.0, 2.0])).expect("values").into_string();
        // Half of the downloads are at most 1 Mbit/s (near the left edge), all of them at most 2.
        assert!(drawn.contains(r#"d="M70.0 256.0 H90.7 V134.0 H607.3 V12.0 H628.0""#), "{drawn}");
    }
}
