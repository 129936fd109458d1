//! Values with units, as text: `10mbit`, `64MiB`, `20ms`, `0.1%`, `0.5/s`. Exact: no value is rounded on the way in.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use peerbed_contract::Prefix;
use peerbed_link::{Probability, Rate};

/// Why a text is not a value; the first says what is wrong, the second how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) what: String,
    pub(crate) help: String,
}

impl Bad {
    pub(crate) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// A kind of value: its name, an example, and its units with their sizes in the smallest.
struct Units {
    kind: &'static str,
    example: &'static str,
    smallest: &'static str,
    sizes: &'static [(&'static str, u128)],
}

const RATE: Units = Units {
    kind: "a rate",
    example: "10mbit",
    smallest: "bit a second",
    sizes: &[("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)],
};

const SIZE: Units = Units {
    kind: "a size",
    example: "64MiB",
    smallest: "byte",
    sizes: &[
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ],
};

const TIME: Units = Units {
    kind: "a time",
    example: "20ms",
    smallest: "nanosecond",
    sizes: &[
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("min", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ],
};

impl Units {
    fn bad(&self, text: &str, why: &str) -> Bad {
        let units: Vec<&str> = self.sizes.iter().map(|(unit, _)| *unit).collect();
        let help = format!("write {} as `{}`; units: {}", self.kind, self.example, units.join(", "));
        Bad::new(format!("`{text}` is not {}: {why}", self.kind), help)
    }

    /// The value in the smallest unit, exactly.
    fn read(&self, text: &str) -> Result<u128, Bad> {
        let (digits, decimals, unit) = split(text).map_err(|why| self.bad(text, why))?;
        let Some((_, size)) = self.sizes.iter().find(|(name, _)| *name == unit) else {
            let why =
                if unit.is_empty() { "it has no unit".to_owned() } else { format!("`{unit}` is not one of its units") };
            return Err(self.bad(text, &why));
        };
        let whole = digits.checked_mul(*size).ok_or_else(|| self.bad(text, "it is too large"))?;
        let divisor = 10u128.pow(decimals);
        if !whole.is_multiple_of(divisor) {
            return Err(self.bad(text, &format!("it is finer than one {}", self.smallest)));
        }
        Ok(whole / divisor)
    }
}

/// A decimal number as digits and the number of those behind the point, then what follows it.
fn split(text: &str) -> Result<(u128, u32, &str), &'static str> {
    if text.starts_with('-') {
        return Err("it is negative");
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err("it does not begin with a number");
    }
    if fraction.len() > 12 {
        return Err("it has more than twelve digits behind the point");
    }
    let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| "it is too large")?;
    if digits > u128::from(u64::MAX) * 1_000_000_000_000 {
        return Err("it is too large");
    }
    Ok((digits, fraction.len() as u32, unit.trim_start_matches(' ')))
}

/// A rate in bits a second, 1 kbit/s to 400 Gbit/s.
pub(crate) fn rate(text: &str) -> Result<Rate, Bad> {
    let bits = RATE.read(text)?;
    let bits = u64::try_from(bits).map_err(|_| RATE.bad(text, "it is too large"))?;
    Rate::from_bps(bits).map_err(|_| {
        let why = if bits == 0 {
            "a link of rate zero carries nothing".to_owned()
        } else {
            format!("the rate {text} is absurd")
        };
        Bad::new(why, "a rate is from 1kbit to 400gbit; to cut a link off, use a loss of 100%")
    })
}

/// A rate in bits a second, or none at all.
pub(crate) fn rate_or_zero(text: &str) -> Result<u64, Bad> {
    const HELP: &str = "a rate is `0bit`, or from 1kbit to 400gbit";
    match RATE.read(text)? {
        0 => Ok(0),
        _ => rate(text).map(Rate::bps).map_err(|_| Bad::new(format!("{text} is out of range"), HELP)),
    }
}

/// A size in bytes, from `least` to `most`.
pub(crate) fn size(text: &str, (least, most): (u64, u64)) -> Result<u64, Bad> {
    let bytes = SIZE.read(text)?;
    match u64::try_from(bytes) {
        Ok(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
        _ => Err(out_of_range(text, &show_size(least), &show_size(most))),
    }
}

/// A time, from `least` to `most`.
pub(crate) fn time(text: &str, (least, most): (Duration, Duration)) -> Result<Duration, Bad> {
    let nanos = TIME.read(if text == "0" { "0s" } else { text })?;
    match u64::try_from(nanos).map(Duration::from_nanos) {
        Ok(time) if (least..=most).contains(&time) => Ok(time),
        _ => Err(out_of_range(text, &show_time(least), &show_time(most))),
    }
}

fn out_of_range(text: &str, least: &str, most: &str) -> Bad {
    Bad::new(format!("{text} is out of range"), format!("from {least} to {most} is allowed"))
}

/// A share, 0 % to 100 %.
pub(crate) fn share(text: &str) -> Result<Probability, Bad> {
    const HELP: &str = "write a share as `31%`, from 0% to 100%";
    let bad = |why: &str| Bad::new(format!("`{text}` is not a percentage: {why}"), HELP);
    let (digits, decimals, unit) = split(text).map_err(bad)?;
    if unit != "%" {
        return Err(bad(if unit.is_empty() { "it has no `%`" } else { "what follows the number is not `%`" }));
    }
    // Both sides are exact below 2⁵³, and the division rounds once: the same text gives the same bits everywhere.
    let share = digits as f64 / (10u128.pow(decimals) * 100) as f64;
    Probability::new(share).map_err(|_| Bad::new(format!("{text} is over 100%"), HELP))
}

/// So many a second, from `0.5/s`, `30/min` or `2/h`; above 0 and at most a million.
pub(crate) fn per_second(text: &str) -> Result<f64, Bad> {
    const HELP: &str = "write it as `0.5/s`, `30/min` or `2/h`";
    let bad = |why: &str| Bad::new(format!("`{text}` is not a number of times per time: {why}"), HELP);
    let (digits, decimals, unit) = split(text).map_err(bad)?;
    let seconds = match unit {
        "/s" => 1,
        "/min" => 60,
        "/h" => 3_600,
        "" => return Err(bad("it has no unit")),
        _ => return Err(bad("it must end in `/s`, `/min` or `/h`")),
    };
    let value = digits as f64 / (10u128.pow(decimals) * seconds) as f64;
    if value > 1e6 {
        return Err(Bad::new(format!("{text} is absurd"), "at most 1000000/s is allowed"));
    }
    Ok(value)
}

/// A plain number without unit, from `least` to `most`.
pub(crate) fn number(text: &str, least: f64, most: f64) -> Result<f64, Bad> {
    let help = || format!("a number from {least} to {most} is expected, without unit");
    let (digits, decimals, unit) =
        split(text).map_err(|why| Bad::new(format!("`{text}` is not a number: {why}"), help()))?;
    if !unit.is_empty() {
        return Err(Bad::new(format!("`{text}` is not a plain number"), help()));
    }
    let value = digits as f64 / 10u128.pow(decimals) as f64;
    if (least..=most).contains(&value) { Ok(value) } else { Err(Bad::new(format!("{text} is out of range"), help())) }
}

/// A whole number from `least` to `most`.
pub(crate) fn whole(text: &str, least: u64, most: u64) -> Result<u64, Bad> {
    let help = || format!("a whole number from {least} to {most} is expected");
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Bad::new(format!("`{text}` is not a whole number"), help()));
    }
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(Bad::new(format!("{text} is out of range"), help())),
    }
}

/// A block of addresses that hosts can have: `10.1.0.0/16`.
pub(crate) fn prefix(text: &str) -> Result<Prefix, Bad> {
    const HELP: &str = "write a block of IPv4 addresses as `10.1.0.0/16`, from /8 to /30";
    let bad = |why: String| Bad::new(why, HELP);
    let (network, length) =
        text.split_once('/').ok_or_else(|| bad(format!("`{text}` is not a prefix: it has no length")))?;
    let network: Ipv4Addr =
        network.parse().map_err(|_| bad(format!("`{text}` is not a prefix: `{network}` is not an IPv4 address")))?;
    let length = whole(length, 8, 30).map_err(|_| bad(format!("`{text}` has no usable length")))? as u8;
    let prefix = Prefix { network: IpAddr::V4(network), length };
    let mask = u32::MAX << (32 - u32::from(length));
    let first = Ipv4Addr::from(u32::from(network) & mask);
    if first != network {
        return Err(bad(format!("`{text}` does not begin at a boundary of /{length}: that would be {first}/{length}")));
    }
    let last = Ipv4Addr::from(u32::from(network) | !mask);
    let special = |a: Ipv4Addr| a.octets()[0] == 0 || a.is_loopback() || a.is_link_local() || a.octets()[0] >= 224;
    if special(network) || special(last) || prefix.contains(Ipv4Addr::new(169, 254, 0, 0).into()) {
        return Err(Bad::new(
            format!("`{text}` has addresses that hosts cannot use"),
            "take a block of 10.0.0.0/8, 100.64.0.0/10 or 198.18.0.0/15",
        ));
    }
    Ok(prefix)
}

/// Bytes as text: `64MiB`.
pub(crate) fn show_size(bytes: u64) -> String {
    let fit = SIZE.sizes.iter().rev().filter(|(name, _)| name.ends_with("iB") || *name == "B");
    let (name, size) =
        fit.into_iter().find(|(_, size)| bytes > 0 && u128::from(bytes).is_multiple_of(*size)).unwrap_or(&("B", 1));
    format!("{}{name}", u128::from(bytes) / size)
}

/// A time as text: `20ms`.
pub(crate) fn show_time(time: Duration) -> String {
    let nanos = time.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (name, size) = TIME
        .sizes
        .iter()
        .rev()
        .find(|(name, size)| *name != "min" && nanos.is_multiple_of(*size))
        .unwrap_or(&("ns", 1));
    format!("{}{name}", nanos / size)
}

/// A share as text: `31%`.
pub(crate) fn show_share(share: f64) -> String {
    format!("{}%", (share * 1e10).round() / 1e8)
}
