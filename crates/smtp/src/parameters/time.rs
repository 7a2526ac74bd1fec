//! Instants in parameters: the date-time of RFC 3339 §5.6 without fractions, as seconds since 1970. No clock is read.

use wire::cursor::Cursor;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// `full-date "T" hour ":" minute ":" second ("Z" / ("+" / "-") hour ":" minute)`. A leap second is the second after
/// the one before it; `time-secfrac` is refused (RFC 7293 §3.1).
pub fn parse(text: &str) -> Option<i64> {
    let mut cursor = Cursor::new(text.as_bytes());
    let year = digits(&mut cursor, 4)?;
    punctuation(&mut cursor, b"-")?;
    let month = digits(&mut cursor, 2).filter(|month| (1..=12).contains(month))?;
    punctuation(&mut cursor, b"-")?;
    let day =
        digits(&mut cursor, 2).filter(|day| (1..=days_of_month(year, month)).contains(day))?;
    punctuation(&mut cursor, b"Tt")?;
    let hour = digits(&mut cursor, 2).filter(|hour| *hour < 24)?;
    punctuation(&mut cursor, b":")?;
    let minute = digits(&mut cursor, 2).filter(|minute| *minute < 60)?;
    punctuation(&mut cursor, b":")?;
    let second = digits(&mut cursor, 2).filter(|second| *second <= 60)?;
    let offset = match cursor.next()? {
        b'Z' | b'z' => 0,
        sign @ (b'+' | b'-') => {
            let hours = digits(&mut cursor, 2).filter(|hours| *hours < 24)?;
            punctuation(&mut cursor, b":")?;
            let minutes = digits(&mut cursor, 2).filter(|minutes| *minutes < 60)?;
            let offset = hours * 3600 + minutes * 60;
            if sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    if !cursor.rest().is_empty() {
        return None;
    }
    Some(days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset)
}

/// The instant in UTC, `2026-11-23T14:45:00Z`. Years outside of 0 to 9999 are cut to those.
pub fn format(seconds: i64) -> String {
    // 0000-01-01 and 9999-12-31T23:59:59.
    let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn digits(cursor: &mut Cursor<'_>, count: usize) -> Option<i64> {
    let digits = cursor.take(count)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn punctuation(cursor: &mut Cursor<'_>, any_of: &[u8]) -> Option<()> {
    cursor
        .next()
        .filter(|octet| any_of.contains(octet))
        .map(|_| ())
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let before_month = (153 * month + 2) / 5;
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + before_month
        + day
        - 719_469
}

/// The inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2014-04-03T23:01:00Z", 1_396_566_060),
            ("2014-04-03t16:01:00-07:00", 1_396_566_060),
            ("1969-12-31T23:59:60Z", 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for seconds in [
            0,
            1,
            951_782_399,
            951_825_600,
            1_396_566_060,
            -1,
            4_102_444_799,
        ] {
            assert_eq!(parse(&format(seconds)), Some(seconds));
        }
        assert_eq!(format(1_396_566_060), "2014-04-03T23:01:00Z");
        assert_eq!(format(i64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -200_000..200_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "2014-04-03",
            "2014-04-03T23:01:00",
            "2014-04-03T23:01:00.5Z",
            "2014-02-29T00:00:00Z",
            "2014-13-01T00:00:00Z",
            "2014-04-31T00:00:00Z",
            "2014-04-03T24:00:00Z",
            "2014-04-03T23:60:00Z",
            "2014-04-03T23:01:61Z",
            "2014-04-03 23:01:00Z",
            "2014-04-03T23:01:00+25:00",
            "2014-04-03T23:01:00ZZ",
            "+014-04-03T23:01:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
