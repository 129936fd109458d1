//! A picture of how downloads' speeds are distributed in each arm, as inline SVG.

use std::fmt::Write;

use maud::{Markup, html};

/// One line of the picture.
pub(super) struct Series {
    pub(super) name: String,
    /// Sorted upwards, all above 0.
    pub(super) values: Vec<f64>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
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
    // Whole steps of 1-2-5 around the values.
    let ticks = ticks(low, high);
    let (first, last) = (ticks[0].ln(), ticks[ticks.len() - 1].ln());
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
    Some(html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Cumulative distribution of download speeds by arm" {
                @for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(format!("{:.1}", y(share))) y2=(format!("{:.1}", y(share))) {}
                    text x=(LEFT - 8.0) y=(format!("{:.1}", y(share) + 4.0)) text-anchor="end" { (format!("{:.0} %", share * 100.0)) }
                }
                @for tick in &ticks {
                    line .grid x1=(format!("{:.1}", x(*tick))) x2=(format!("{:.1}", x(*tick))) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                    text x=(format!("{:.1}", x(*tick))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (tick) }
                }
                text x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 8.0) text-anchor="middle" { "average speed of a download, Mbit/s (logarithmic)" }
                @for (index, series) in series.iter().enumerate().filter(|(_, series)| !series.values.is_empty()) {
                    path d=(path(&series.values)) fill="none" stroke=(stroke(index).0) stroke-dasharray=(stroke(index).1) stroke-width="2" {}
                }
            }
            figcaption {
                @for (index, series) in series.iter().enumerate() {
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

/// At least two steps of 1, 2, 5, 10, … that enclose both values.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let mut all = Vec::new();
    for exponent in low.log10().floor() as i32 - 1..=high.log10().ceil() as i32 + 1 {
        all.extend([1.0, 2.0, 5.0].map(|step| {
            // By way of text, so that 5e-2 is printed as 0.05.
            format!("{step}e{exponent}").parse::<f64>().unwrap_or(step)
        }));
    }
    let begin = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high).unwrap_or(all.len() - 1).max(begin + 1);
    all[begin..=end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_the_values() {
        assert_eq!(ticks(0.6, 14.0), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(ticks(1.0, 1.0), [1.0, 2.0]);
        assert_eq!(ticks(0.05, 0.05), [0.05, 0.1]);
    }

    #[test]
    fn there_is_no_picture_of_nothing() {
        let series = |values: &[f64]| [Series { name: "a".into(), values: values.to_vec() }];
        assert!(cdf(&series(&[])).is_none() && cdf(&[]).is_none());
        let drawn = cdf(&series(&[1.0, 2.0])).expect("values").into_string();
        // Half of the downloads are at most 1 Mbit/s (the left edge), all of them at most 2 (the right one).
        assert!(drawn.contains(r#"d="M52.0 256.0 H52.0 V134.0 H628.0 V12.0 H628.0""#), "{drawn}");
    }
}
