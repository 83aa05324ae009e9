//! Dates as headers and listings write them. The calendar is Howard Hinnant's `civil_from_days`.

use std::time::{SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_SECS: i64 = 86_400;

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    seconds(SystemTime::now())
}

/// Seconds since 1970 of a file's time.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).expect("the year is before 292 billion")
}

/// Year, month from 1 and day from 1 of a number of days since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    // Years start in March here, so that the leap day is the last one.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn time(seconds: i64) -> (i64, i64, i64) {
    let second = seconds.rem_euclid(DAY_SECS);
    (second / 3600, second / 60 % 60, second % 60)
}

/// `Fri, 24 May 2013 00:00:00 GMT`, for headers.
pub(super) fn http_date(seconds: i64) -> String {
    let days = seconds.div_euclid(DAY_SECS);
    let (year, month, day) = date(days);
    let (hour, minute, second) = time(seconds);
    let index = |number: i64| usize::try_from(number).expect("a remainder is not negative");
    let (weekday, month) = (WEEKDAYS[index(days.rem_euclid(7))], MONTHS[index(month - 1)]);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// `2013-05-24T00:00:00.000Z`, for listings.
pub(super) fn iso_date(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(DAY_SECS));
    let (hour, minute, second) = time(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// Seconds of `20130524T000000Z`, the date of a signature.
pub(super) fn parse_signature_date(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?.replacen('T', "", 1);
    if text.len() != 16 || digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let day = days(number(0, 4)?, number(4, 6)?, number(6, 8)?);
    Some(day * DAY_SECS + number(8, 10)? * 3600 + number(10, 12)? * 60 + number(12, 14)?)
}

#[cfg(test)]
mod tests {
    use super::{date, days, http_date, iso_date, parse_signature_date};

    #[test]
    fn dates_there_and_back() {
        assert_eq!(parse_signature_date("20130524T000000Z"), Some(1_369_353_600));
        assert_eq!(http_date(1_369_353_600), "Fri, 24 May 2013 00:00:00 GMT");
        assert_eq!(iso_date(1_709_210_096), "2024-02-29T12:34:56.000Z");
        assert_eq!(parse_signature_date("2013-05-24T00:00Z"), None);
        for day in (-800_000..800_000).step_by(37) {
            let (year, month, day_of_month) = date(day);
            assert_eq!(days(year, month, day_of_month), day);
        }
    }
}
