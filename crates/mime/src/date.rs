//! Dates of header fields (RFC 5322 §3.3 and §4.3), and what is sent in their place.

use crate::parse::cursor::Cursor;

/// A date with its zone, as the sender wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Full year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60 (leap second).
    pub second: u8,
    /// Minutes east of Greenwich.
    pub offset: i16,
}

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTH_NAMES: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl DateTime {
    /// The date in a field value. The weekday, comments and the zone may be missing; None if day, month or year can't be
    /// found or are impossible.
    pub fn parse(value: &[u8]) -> Option<DateTime> {
        if let Some(found) = usual(value) {
            return Some(found);
        }
        let mut cursor = Cursor::new(value, 0..value.len());
        let mut found = Found::default();
        loop {
            cursor.skip_cfws();
            let Some(byte) = cursor.peek() else { break };
            if byte.is_ascii_digit() {
                found.number(&mut cursor);
            } else if byte.is_ascii_alphabetic() {
                let word = cursor.take_while(|b| b.is_ascii_alphabetic());
                found.word(cursor.slice(word));
            } else if matches!(byte, b'+' | b'-') && found.has_time {
                cursor.skip();
                let digits = cursor.take_while(|b| b.is_ascii_digit() || b == b':');
                found.zone(byte == b'-', cursor.slice(digits));
            } else {
                cursor.skip();
            }
        }
        found.finish()
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(&self) -> i64 {
        let days = days_from_civil(
            i64::from(self.year),
            i64::from(self.month),
            i64::from(self.day),
        );
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        days * 86_400 + seconds - i64::from(self.offset) * 60
    }

    /// The date of that second, in a zone so many minutes east of Greenwich. Years outside 1 to 9999 are cut to them.
    pub fn from_timestamp(seconds: i64, offset: i16) -> DateTime {
        let lowest = -62_135_596_800 + 86_400;
        let local = seconds.clamp(lowest, 253_402_300_799 - 86_400) + i64::from(offset) * 60;
        let (year, month, day) = civil_from_days(local.div_euclid(86_400));
        let rest = local.rem_euclid(86_400);
        DateTime {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
            offset,
        }
    }
}

/// As RFC 5322 §3.3 writes it: `Fri, 21 Nov 1997 09:55:06 -0600`.
impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = days_from_civil(
            i64::from(self.year),
            i64::from(self.month),
            i64::from(self.day),
        );
        let weekday = DAYS
            .get(days.rem_euclid(7) as usize)
            .copied()
            .unwrap_or("Thu");
        let month = MONTH_NAMES
            .get((self.month as usize).wrapping_sub(1))
            .copied()
            .unwrap_or("Jan");
        let (sign, offset) = (
            if self.offset < 0 { '-' } else { '+' },
            self.offset.unsigned_abs(),
        );
        write!(
            f,
            "{weekday}, {} {month} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            self.day,
            self.year,
            self.hour,
            self.minute,
            self.second,
            offset / 60,
            offset % 60
        )
    }
}

/// The pieces of a date while they are found.
#[derive(Default)]
struct Found {
    day: Option<u32>,
    month: Option<u32>,
    year: Option<u32>,
    time: [u32; 3],
    has_time: bool,
    offset: Option<i16>,
}

impl Found {
    /// Digits: a day, a year, `hh:mm:ss`, or an ISO date, by what is still missing.
    fn number(&mut self, cursor: &mut Cursor) {
        let digits = cursor.take_while(|b| b.is_ascii_digit());
        let value = number(cursor.slice(digits.clone()));
        let mut ahead = cursor.clone();
        ahead.skip_cfws();
        if ahead.peek() == Some(b':')
            || (self.year.is_some() && !self.has_time && cursor.peek() == Some(b'.'))
        {
            self.clock(value, cursor);
        } else if digits.len() == 4 && self.day.is_none() && cursor.peek() == Some(b'-') {
            self.iso(value, cursor);
        } else if self.day.is_none() && digits.len() <= 2 {
            self.day = Some(value);
        } else if self.month.is_none() && digits.len() <= 2 && (1..=12).contains(&value) {
            self.month = Some(value);
        } else if self.year.is_none() {
            self.year = Some(full_year(value, digits.len()));
        }
        // `21-Nov-1997`: the dash is no sign of a zone.
        if !self.has_time && cursor.peek() == Some(b'-') {
            cursor.skip();
        }
    }

    fn clock(&mut self, hour: u32, cursor: &mut Cursor) {
        let mut time = [hour, 0, 0];
        for slot in time.iter_mut().skip(1) {
            let mut ahead = cursor.clone();
            ahead.skip_cfws();
            if !ahead.eat(b':') && !ahead.eat(b'.') {
                break;
            }
            ahead.skip_cfws();
            let digits = ahead.take_while(|b| b.is_ascii_digit());
            *slot = number(ahead.slice(digits));
            *cursor = ahead;
        }
        // Fractions of a second.
        if cursor.peek() == Some(b'.') {
            cursor.skip();
            cursor.take_while(|b| b.is_ascii_digit());
        }
        if !self.has_time {
            self.time = time;
            self.has_time = true;
        }
    }

    fn iso(&mut self, year: u32, cursor: &mut Cursor) {
        cursor.skip();
        let month = cursor.take_while(|b| b.is_ascii_digit());
        cursor.eat(b'-');
        let day = cursor.take_while(|b| b.is_ascii_digit());
        self.year = Some(year);
        self.month = Some(number(cursor.slice(month)));
        self.day = Some(number(cursor.slice(day)));
    }

    fn word(&mut self, word: &[u8]) {
        let head = word.get(..3).unwrap_or(word);
        if let Some(at) = MONTHS
            .iter()
            .position(|month| head.eq_ignore_ascii_case(*month))
        {
            self.month.get_or_insert(at as u32 + 1);
            return;
        }
        if !self.has_time {
            return;
        }
        // RFC 5322 §4.3: of the names only these have a meaning; all others are -0000.
        let hours = match word.to_ascii_uppercase().as_slice() {
            b"EST" => -5,
            b"EDT" => -4,
            b"CST" => -6,
            b"CDT" => -5,
            b"MST" => -7,
            b"MDT" => -6,
            b"PST" => -8,
            b"PDT" => -7,
            b"PM" if self.time[0] < 12 => {
                self.time[0] += 12;
                return;
            }
            b"AM" if self.time[0] == 12 => {
                self.time[0] = 0;
                return;
            }
            b"GMT" | b"UT" | b"UTC" | b"Z" => 0,
            _ => return,
        };
        self.offset.get_or_insert(hours * 60);
    }

    fn zone(&mut self, negative: bool, digits: &[u8]) {
        let clean: Vec<u8> = digits
            .iter()
            .copied()
            .filter(u8::is_ascii_digit)
            .take(4)
            .collect();
        let value = number(&clean) as i16;
        let minutes = match clean.len() {
            0 => return,
            1 | 2 => value * 60,
            _ => value / 100 * 60 + value % 100,
        };
        if minutes <= 24 * 60 {
            // `GMT+0200`: the number is what was meant.
            self.offset = Some(if negative { -minutes } else { minutes });
        }
    }

    fn finish(self) -> Option<DateTime> {
        let (day, month, year) = (self.day?, self.month?, self.year?);
        let [hour, minute, second] = self.time;
        let valid =
            (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month) && year <= 9999;
        (valid && hour < 24 && minute < 60 && second <= 60).then_some(DateTime {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
            offset: self.offset.unwrap_or(0),
        })
    }
}

/// `Fri, 21 Nov 1997 09:55:06 -0600` to the letter, as nearly all programs write it; anything else is left to the reader above.
fn usual(value: &[u8]) -> Option<DateTime> {
    let value = value.trim_ascii();
    let [_, _, _, b',', b' ', rest @ ..] = value else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| u32::from(tens & 15) * 10 + u32::from(ones & 15))
    };
    let (day, rest) = match rest {
        [ones, b' ', rest @ ..] => (two(b'0', *ones)?, rest),
        [tens, ones, b' ', rest @ ..] => (two(*tens, *ones)?, rest),
        _ => return None,
    };
    let [
        m0,
        m1,
        m2,
        b' ',
        y0,
        y1,
        y2,
        y3,
        b' ',
        h0,
        h1,
        b':',
        i0,
        i1,
        b':',
        s0,
        s1,
        b' ',
        sign @ (b'+' | b'-'),
        z0,
        z1,
        z2,
        z3,
        tail @ ..,
    ] = rest
    else {
        return None;
    };
    // Only a comment may follow, such as `(UTC)`.
    if !matches!(tail, [] | [b' ', b'(', ..]) {
        return None;
    }
    let month = [
        m0.to_ascii_lowercase(),
        m1.to_ascii_lowercase(),
        m2.to_ascii_lowercase(),
    ];
    let minutes = (two(*z0, *z1)? * 60 + two(*z2, *z3)?) as i16;
    let found = Found {
        day: Some(day),
        month: Some(MONTHS.iter().position(|name| **name == month)? as u32 + 1),
        year: Some(two(*y0, *y1)? * 100 + two(*y2, *y3)?),
        time: [two(*h0, *h1)?, two(*i0, *i1)?, two(*s0, *s1)?],
        has_time: true,
        offset: (minutes <= 24 * 60).then_some(if *sign == b'-' { -minutes } else { minutes }),
    };
    found.finish()
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().take(9).fold(0, |value, digit| {
        value * 10 + u32::from(digit.wrapping_sub(b'0') % 10)
    })
}

/// RFC 5322 §4.3: two digits below 50 are of 2000, other two and all three digits count from 1900.
fn full_year(value: u32, digits: usize) -> u32 {
    match digits {
        0..=2 if value < 50 => value + 2000,
        0..=3 => value + 1900,
        _ => value,
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; March is the first month, so that leap days end a year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        DateTime::parse(text.as_bytes()).map(|date| date.timestamp())
    }

    #[test]
    fn dates_in_many_forms() {
        assert_eq!(
            seconds("Fri, 21 Nov 1997 09:55:06 -0600"),
            Some(880_127_706)
        );
        assert_eq!(seconds("21 Nov 97 09:55:06 CST"), Some(880_127_706));
        assert_eq!(
            seconds(" Fri, 21 Nov 1997 09(comment):   55  :  06 -0600"),
            Some(880_127_706)
        );
        assert_eq!(seconds("Fri Nov 21 09:55:06 1997 -0600"), Some(880_127_706));
        assert_eq!(seconds("1997-11-21T15:55:06Z"), Some(880_127_706));
        assert_eq!(seconds("21-Nov-1997 15:55:06"), Some(880_127_706));
        assert_eq!(seconds("Thu, 1 Jan 1970 00:00 GMT"), Some(0));
        assert_eq!(seconds("31 Feb 2020 00:00 GMT"), None);
        assert_eq!(seconds("nonsense"), None);
        assert_eq!(seconds(""), None);
    }

    #[test]
    fn written_dates_are_read_back() {
        for at in [0, 880_127_706, 951_782_400, 4_102_444_799, -1] {
            let date = DateTime::from_timestamp(at, 90);
            assert_eq!(date.timestamp(), at);
            assert_eq!(DateTime::parse(date.to_string().as_bytes()), Some(date));
        }
        assert_eq!(
            DateTime::from_timestamp(880_127_706, -360).to_string(),
            "Fri, 21 Nov 1997 09:55:06 -0600"
        );
    }
}
