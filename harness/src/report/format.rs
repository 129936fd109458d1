//! Numbers as readers see them.

/// Three significant digits, and whole numbers from 100 on: `0.123`, `4.56`, `78.9`, `1234`; `–` for what is undefined.
pub fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let digits = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 || size == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// A share as per cent: `12.5 %`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// Bytes with a decimal unit: `0 B`, `512 B`, `1.50 kB`, `12.3 MB`.
pub fn bytes(count: Option<f64>) -> String {
    let Some(mut value) = count else { return "–".to_owned() };
    if value < 999.5 {
        return format!("{value:.0} B");
    }
    for unit in ["kB", "MB", "GB", "TB"] {
        value /= 1000.0;
        if value < 999.5 || unit == "TB" {
            return format!("{} {unit}", number(Some(value)));
        }
    }
    unreachable!("the last unit takes everything")
}

/// A figure as it stands in tables: in brackets where it cannot be believed.
pub fn shown(valid: bool, figure: String) -> String {
    if valid { figure } else { format!("[{figure}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let shown = |value| number(Some(value));
        assert_eq!(
            [0.0, 0.0123, 0.9996, 9.994, 9.996, 99.94, 99.96, 1234.5].map(shown),
            ["0.00", "0.012", "1.00", "9.99", "10.0", "99.9", "100", "1234"]
        );
        assert_eq!((number(None), percent(None), bytes(None)), ("–".into(), "–".into(), "–".into()));
        assert_eq!(percent(Some(0.125)), "12.5 %");
    }

    #[test]
    fn bytes_have_decimal_units() {
        let shown = |value| bytes(Some(value));
        assert_eq!(
            [0.0, 999.0, 1000.0, 999_600.0, 67_108_864.0, 2.5e9, 3.0e15].map(shown),
            ["0 B", "999 B", "1.00 kB", "1.00 MB", "67.1 MB", "2.50 GB", "3000 TB"]
        );
    }
}
