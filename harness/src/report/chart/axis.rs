//! Axes: where a value stands between both ends, and which values are written there.

/// How an axis runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    /// Evenly.
    Linear,
    /// By the logarithm; what is not above 0 is not drawn.
    Log,
    /// By the logarithm, and 0 at the axis itself.
    LogZero,
    /// Places with names: 0 is the first.
    Names,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Unit {
    /// As numbers.
    Plain,
    /// Shares from 0 to 1, as per cent.
    Percent,
    /// With a decimal unit.
    Bytes,
    /// Seconds.
    Seconds,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Axis {
    pub(in crate::report) label: String,
    pub(in crate::report) scale: Scale,
    pub(in crate::report) unit: Unit,
    pub(in crate::report) low: f64,
    pub(in crate::report) high: f64,
    /// Names of places.
    pub(in crate::report) names: Vec<String>,
}

/// How much of the axis keeps 0 apart from the least that has a logarithm.
const ZERO_STRIP: f64 = 0.08;

impl Axis {
    /// One that has room for these values; a linear one from 0 on.
    pub(in crate::report) fn of(
        label: impl Into<String>,
        scale: Scale,
        unit: Unit,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        let values: Vec<f64> = values.into_iter().map(plain).filter(|value| value.is_finite()).collect();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match scale {
            Scale::Log | Scale::LogZero => {
                let least = values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
                let (least, most) = if least.is_finite() { (least, most) } else { (1.0, 10.0) };
                // A single value still gets some room on both sides.
                let room = (most / least).powf(0.03).max(1.02);
                (least / room, most * room)
            }
            Scale::Linear | Scale::Names => (0.0, round_up(most.max(0.0))),
        };
        Self { label: label.into(), scale, unit, low, high, names: Vec::new() }
    }

    /// A linear one between these ends.
    pub(in crate::report) fn fixed(label: impl Into<String>, unit: Unit, low: f64, high: f64) -> Self {
        Self { label: label.into(), scale: Scale::Linear, unit, low, high, names: Vec::new() }
    }

    /// Places with names.
    pub(in crate::report) fn named(label: impl Into<String>, names: Vec<String>) -> Self {
        let high = names.len() as f64 - 0.5;
        Self { label: label.into(), scale: Scale::Names, unit: Unit::Plain, low: -0.5, high, names }
    }

    /// Where a value stands, from 0 to 1; none where it has no place.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let share = match self.scale {
            Scale::Linear | Scale::Names => (value - self.low) / (self.high - self.low),
            Scale::LogZero if value == 0.0 => 0.0,
            Scale::Log | Scale::LogZero if value <= 0.0 => return None,
            Scale::Log => self.decades(value),
            Scale::LogZero => ZERO_STRIP + (1.0 - ZERO_STRIP) * self.decades(value),
        };
        share.is_finite().then_some(share)
    }

    fn decades(&self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }

    /// What is written along it.
    pub(in crate::report) fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Names => (0..).map(f64::from).zip(self.names.iter().cloned()).collect(),
            Scale::Linear => {
                let step = linear_step(self.high - self.low);
                if !step.is_finite() || step <= 0.0 {
                    return Vec::new();
                }
                let first = (self.low / step).ceil() as i64;
                let all =
                    (first..).map(|number| number as f64 * step).take_while(|tick| *tick <= self.high + step * 1e-6);
                all.map(|tick| (tick, self.unit.text(tick))).collect()
            }
            Scale::Log => log_ticks(self.low, self.high).into_iter().map(|tick| (tick, self.unit.text(tick))).collect(),
            Scale::LogZero => {
                let above = log_ticks(self.low, self.high).into_iter().map(|tick| (tick, self.unit.text(tick)));
                std::iter::once((0.0, "0".to_owned())).chain(above).collect()
            }
        }
    }

    /// What the page's script is told of it.
    pub(super) fn data(&self) -> String {
        let scale = match self.scale {
            Scale::Linear => "linear",
            Scale::Log => "log",
            Scale::LogZero => "logzero",
            Scale::Names => "names",
        };
        let unit = match self.unit {
            Unit::Plain => "plain",
            Unit::Percent => "percent",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
        };
        format!("{scale} {unit} {} {}", self.low, self.high)
    }
}

impl Unit {
    /// A value as it stands at an axis: short.
    pub(in crate::report) fn text(self, value: f64) -> String {
        match self {
            Unit::Plain => short(value),
            Unit::Seconds => format!("{} s", short(value)),
            Unit::Percent => format!("{} %", short(value * 100.0)),
            Unit::Bytes => {
                let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
                let unit = units.into_iter().find(|(size, _)| value.abs() >= size * 0.9995);
                let (size, word) = unit.unwrap_or((1.0, "B"));
                format!("{} {word}", short(value / size))
            }
        }
    }
}

/// Numbers that no measurement has are no reason to draw an axis over them: below are zeros, above none.
fn plain(value: f64) -> f64 {
    match value.abs() {
        size if size < 1e-100 => 0.0,
        size if size > 1e100 => f64::NAN,
        _ => value,
    }
}

/// Three digits without zeros at the end.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The next round number; something above 0.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    // By way of text, so that 3e-1 is 0.3.
    let power = value.log10().floor() as i32;
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let mut steps = steps.into_iter().map(|step: f64| format!("{step}e{power}").parse().unwrap_or(value));
    steps.find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(value)
}

/// A round step of which about five fit.
fn linear_step(length: f64) -> f64 {
    let rough = length / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

/// Round values between both ends, a handful: powers of ten where there are several, else steps of 1-2-5, finer ones where
/// fewer than two of those fall within, and the ends' middle where nothing round does.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let within = |steps: &[f64], every: usize| -> Vec<f64> {
        let exponents = (low.log10().floor() as i32 - 1..=high.log10().ceil() as i32 + 1).step_by(every);
        // By way of text, so that 5e-2 is 0.05.
        let all = exponents.flat_map(|exponent| {
            steps.iter().map(move |step| format!("{step}e{exponent}").parse::<f64>().unwrap_or(*step))
        });
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let decades = (high / low).log10();
    if decades > 2.5 {
        return within(&[1.0], (decades / 7.0).ceil().max(1.0) as usize);
    }
    let tenths: Vec<f64> = (10..100).map(|tenth| f64::from(tenth) / 10.0).collect();
    let finer: [&[f64]; 4] = [
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &tenths,
    ];
    let few = finer.iter().map(|steps| within(steps, 1)).find(|ticks| ticks.len() > 1);
    few.unwrap_or_else(|| vec![(low * high).sqrt()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, unit: Unit, low: f64, high: f64) -> String {
        let axis = Axis { label: String::new(), scale, unit, low, high, names: Vec::new() };
        axis.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_few_and_within() {
        assert_eq!(labels(Scale::Log, Unit::Plain, 0.6, 14.0), "1 2 5 10");
        assert_eq!(labels(Scale::Log, Unit::Plain, 0.02, 0.11), "0.02 0.05 0.1");
        assert_eq!(labels(Scale::Log, Unit::Plain, 6.1, 9.5), "7 8 9");
        assert_eq!(labels(Scale::Log, Unit::Plain, 3.12, 3.35), "3.2 3.3");
        assert_eq!(labels(Scale::Log, Unit::Plain, 3.12, 3.18), "3.15");
        assert_eq!(labels(Scale::Log, Unit::Plain, 1.0, 1e5), "1 10 100 1000 10000 100000");
        assert_eq!(labels(Scale::LogZero, Unit::Bytes, 900.0, 2e9), "0 1 kB 10 kB 100 kB 1 MB 10 MB 100 MB 1 GB");
        assert_eq!(labels(Scale::Linear, Unit::Percent, 0.0, 1.0), "0 % 20 % 40 % 60 % 80 % 100 %");
        assert_eq!(labels(Scale::Linear, Unit::Seconds, 0.0, 23.7), "0 s 5 s 10 s 15 s 20 s");
        assert_eq!(labels(Scale::Linear, Unit::Plain, 0.0, 0.3), "0 0.1 0.2 0.3");
    }

    #[test]
    fn values_stand_between_the_ends() {
        let axis = Axis::of("", Scale::LogZero, Unit::Plain, [0.0, 1.0, 100.0]);
        assert_eq!((axis.at(0.0), axis.at(-1.0)), (Some(0.0), None));
        let places: Vec<f64> = [1.0, 10.0, 100.0].iter().map(|value| axis.at(*value).expect("a place")).collect();
        assert!(places.is_sorted() && places[0] > ZERO_STRIP && places[2] < 1.0, "{places:?}");
        assert!((places[1] - f64::midpoint(places[0], places[2])).abs() < 1e-9);
        assert_eq!(Axis::of("", Scale::Log, Unit::Plain, [0.0]).at(0.0), None);
        let even = Axis::of("", Scale::Linear, Unit::Plain, [3.0, 11.0]);
        assert_eq!((even.low, even.high, even.at(6.0)), (0.0, 12.0, Some(0.5)));
        let nothing = Axis::of("", Scale::Linear, Unit::Plain, []);
        assert_eq!((nothing.low, nothing.high), (0.0, 1.0));
        let one = Axis::of("", Scale::Log, Unit::Plain, [5.0]);
        assert!((one.at(5.0).expect("a place") - 0.5).abs() < 1e-9);
    }

    #[test]
    fn numbers_without_measure_do_no_harm() {
        for value in [5e-324, 1e-323, f64::MAX, f64::INFINITY, f64::NAN, -1.0] {
            for scale in [Scale::Linear, Scale::Log, Scale::LogZero] {
                let axis = Axis::of("", scale, Unit::Plain, [value, 1.0]);
                assert!(axis.ticks().len() < 20, "{value} {scale:?}");
                let alone = Axis::of("", scale, Unit::Bytes, [value]);
                assert!(alone.ticks().len() < 20, "{value} {scale:?}");
            }
        }
        assert!(Axis::fixed("", Unit::Plain, 0.0, 5e-324).ticks().len() < 20);
    }

    #[test]
    fn linear_axes_end_at_round_numbers() {
        let ends = [0.3, 1.0, 2.9, 11.0, 42.0, 123.0].map(|value| round_up(value).to_string());
        assert_eq!(ends, ["0.3", "1", "3", "12", "50", "150"]);
    }
}
