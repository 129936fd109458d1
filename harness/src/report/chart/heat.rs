//! Matrices as heat maps: who gave how much to whom.

use std::fmt::Write;

use maud::{Markup, html};

use super::{Unit, csv_link, field};

/// A square matrix of bytes.
#[derive(Debug, Clone)]
pub(in crate::report) struct Heat {
    /// Unique on the page; names its CSV.
    pub(in crate::report) id: String,
    pub(in crate::report) title: String,
    pub(in crate::report) counts: String,
    pub(in crate::report) definition: String,
    /// Who gives (rows) and who takes (columns), in this order.
    pub(in crate::report) names: Vec<String>,
    /// By giver, then by taker.
    pub(in crate::report) cells: Vec<Vec<f64>>,
    /// The least above 0 and the most that colours stand for: of all matrices of a page, so that they can be compared.
    pub(in crate::report) ends: (f64, f64),
}

const SIZE: f64 = 480.0;
/// Room for the names.
const MARGIN: f64 = 84.0;
/// Room on the right, where the last name leans over its column.
const LEANING: f64 = 44.0;
/// So many names leave cells in which a number has room.
const WRITTEN: usize = 6;
/// Cells smaller than this have no room for a name beside them.
const NAMED: f64 = 11.0;
/// The longest name that is written whole.
const LETTERS: usize = 11;
/// Steps of colour.
const STEPS: f64 = 9.0;

impl Heat {
    /// The figure; nothing if all is 0.
    pub(in crate::report) fn figure(&self) -> Option<Markup> {
        if self.cells.iter().flatten().all(|bytes| *bytes <= 0.0) {
            return None;
        }
        let (least, most) = self.ends;
        let count = self.names.len() as f64;
        let cell = (SIZE - MARGIN - LEANING) / count;
        let height = SIZE - LEANING + 4.0;
        let step = |bytes: f64| {
            // By the logarithm; where all are the same, the darkest.
            let share = if most > least { (bytes / least).ln() / (most / least).ln() } else { 1.0 };
            1 + (share * (STEPS - 1.0)).round() as usize
        };
        let places = || self.names.iter().enumerate();
        let short = |name: &str| -> String {
            if name.chars().count() > LETTERS {
                name.chars().take(LETTERS - 1).chain(['…']).collect()
            } else {
                name.to_owned()
            }
        };
        Some(html! {
            figure .chart id=(format!("figure-{}", self.id)) {
                figcaption { b { (self.title) } }
                svg viewBox=(format!("0 0 {SIZE} {height}")) role="img" aria-label=(self.title) {
                    @if cell >= NAMED {
                        @for (index, name) in places() {
                            text x=(MARGIN - 4.0) y=(format!("{:.1}", MARGIN + (index as f64 + 0.5) * cell + 4.0)) text-anchor="end" { (short(name)) }
                            text transform=(format!("translate({:.1} {:.1}) rotate(-60)", MARGIN + (index as f64 + 0.6) * cell, MARGIN - 4.0)) { (short(name)) }
                        }
                    }
                    @for (from, row) in self.cells.iter().enumerate() { @for (to, bytes) in row.iter().enumerate() { @if *bytes > 0.0 {
                        rect class=(format!("heat{}", step(*bytes))) x=(format!("{:.1}", MARGIN + to as f64 * cell)) y=(format!("{:.1}", MARGIN + from as f64 * cell)) width=(format!("{cell:.1}")) height=(format!("{cell:.1}")) {
                            title { (self.names[from]) " to " (self.names[to]) ": " (Unit::Bytes.text(*bytes)) }
                        }
                        @if self.names.len() <= WRITTEN {
                            text class=(format!("cell cell{}", step(*bytes))) x=(format!("{:.1}", MARGIN + (to as f64 + 0.5) * cell)) y=(format!("{:.1}", MARGIN + (from as f64 + 0.5) * cell + 4.0)) text-anchor="middle" { (Unit::Bytes.text(*bytes)) }
                        }
                    } } }
                    rect .frame x=(MARGIN) y=(MARGIN) width=(format!("{:.1}", cell * count)) height=(format!("{:.1}", cell * count)) {}
                }
                p .note {
                    "Rows give, columns take. " (Unit::Bytes.text(least)) " "
                    span .ramp { @for step in 1..=STEPS as usize { svg .sample viewBox="0 0 12 12" aria-hidden="true" { rect class=(format!("heat{step}")) width="12" height="12" {} } } }
                    " " (Unit::Bytes.text(most)) ", by the logarithm; nothing: empty."
                }
                p .note { (self.counts) " " (self.definition) " " (csv_link(&self.id, &self.csv())) }
            }
        })
    }

    fn csv(&self) -> String {
        let mut text = String::from("from,to,bytes\r\n");
        for (from, row) in self.names.iter().zip(&self.cells) {
            for (to, bytes) in self.names.iter().zip(row) {
                let _ = write!(text, "{},{},{bytes}\r\n", field(from), field(to));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat(cells: Vec<Vec<f64>>, ends: (f64, f64)) -> Heat {
        Heat {
            id: "m".into(),
            title: "Who to whom".into(),
            counts: String::new(),
            definition: String::new(),
            names: (0..cells.len()).map(|place| ["x", "y", "Zeeland-Homes"][place % 3].to_owned()).collect(),
            cells,
            ends,
        }
    }

    #[test]
    fn the_least_and_the_most_have_the_ends_of_the_colours() {
        assert!(heat(vec![vec![0.0, 0.0], vec![0.0, 0.0]], (1e3, 1e9)).figure().is_none());
        let some = heat(vec![vec![0.0, 1e3], vec![1e6, 1e9]], (1e3, 1e9));
        let drawn = some.figure().expect("bytes").into_string();
        for told in ["x to y: 1 kB", "y to x: 1 MB", "y to y: 1 GB"] {
            assert!(drawn.contains(told), "{told}: {drawn}");
        }
        assert!(
            drawn.matches("class=\"heat1\"").count() == 2 && drawn.matches("class=\"heat5\"").count() == 2,
            "{drawn}"
        );
        assert!(!drawn.contains("x to x"));
        assert!(some.csv().contains("y,y,1000000000\r\n") && some.csv().contains("x,x,0\r\n"));
        // The most of this one is the middle of the page's.
        let of_a_page = heat(vec![vec![0.0, 1e3], vec![0.0, 1e6]], (1e3, 1e9)).figure().expect("bytes").into_string();
        assert_eq!(of_a_page.matches("class=\"heat9\"").count(), 1, "the legend's alone: {of_a_page}");
        assert!(of_a_page.contains(" 1 GB, by the logarithm"), "{of_a_page}");
    }

    #[test]
    fn numbers_stand_in_large_cells_and_the_last_name_has_room() {
        let of = |names: usize| heat(vec![vec![1e6; names]; names], (1e3, 1e9)).figure().expect("bytes").into_string();
        let (six, seven) = (of(6), of(7));
        assert_eq!(six.matches("class=\"cell cell5\"").count(), 36, "{six}");
        assert!(!seven.contains("class=\"cell"), "{seven}");
        let last = six.rsplit("translate(").next().and_then(|rest| rest.split(' ').next()).expect("a name");
        // Eleven letters at 60 degrees reach half their length to the right.
        assert!(last.parse::<f64>().expect("a number") + 44.0 <= SIZE, "{last}");
    }
}
