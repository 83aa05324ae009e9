//! Numbers as people read them.

/// A count with a comma between thousands.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in decimal units, three significant digits.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", significant(value), UNITS[unit])
}

/// A number with three significant digits, no exponent up to a million.
pub(super) fn significant(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits = if size >= 99.95 {
        0
    } else if size >= 9.995 {
        1
    } else if size >= 0.9995 {
        2
    } else if size >= 0.01 {
        3
    } else {
        5
    };
    format!("{value:.digits$}")
}

/// A measured value: whole numbers as such, others with three significant digits.
pub(super) fn measure(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { significant(value) }
}

/// A measured value that is compared with a limit: up to six significant digits, no zeros at the end.
#[must_use]
pub fn precise(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 || !(1e-4..1e6).contains(&size) {
        return measure(value);
    }
    let digits = (1..=9).find(|&digits| size >= 10_f64.powi(6 - digits)).map_or(9, |digits| digits - 1);
    let digits = usize::try_from(digits).unwrap_or(0);
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A share of a whole in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    if part > 0 && share < 0.1 {
        return "<0.1 %".to_owned();
    }
    if part < whole && share > 99.9 {
        return ">99.9 %".to_owned();
    }
    format!("{share:.1} %")
}

/// A stretch of time.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.0005 {
        return "0 s".to_owned();
    }
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 100.0 {
        return format!("{} s", significant(seconds));
    }
    let whole = seconds.round();
    let (hours, minutes) = ((whole / 3600.0).floor(), (whole % 3600.0 / 60.0).floor());
    if hours > 0.0 {
        format!("{hours:.0} h {minutes:02.0} min")
    } else {
        format!("{minutes:.0} min {:02.0} s", whole % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 999, 1000, 12_345, 999_999, 1_000_000, 1_234_567_890, u64::MAX].map(bytes),
            ["0 B", "999 B", "1.00 kB", "12.3 kB", "1.00 MB", "1.00 MB", "1.23 GB", "18.4 EB"]
        );
        assert_eq!(
            [3.0, 0.5, 0.001_23, 12.345, 1e9].map(measure),
            ["3", "0.500", "0.00123", "12.3", "1000000000"]
        );
        assert_eq!(
            [0.1, 0.100_166_66, 1_234.567_89, 123_456.7, 17.0, 0.000_123_456_789].map(precise),
            ["0.1", "0.100167", "1234.57", "123457", "17", "0.000123457"]
        );
        assert_eq!(
            [(1, 3), (0, 5), (1, 9999), (9999, 10_000), (0, 0)].map(|(a, b)| percent(a, b)).join(" "),
            "33.3 % 0.0 % <0.1 % >99.9 % –"
        );
        assert_eq!(
            [0.0, 0.25, 12.34, 125.0, 7322.0].map(duration),
            ["0 s", "250 ms", "12.3 s", "2 min 05 s", "2 h 02 min"]
        );
    }
}
