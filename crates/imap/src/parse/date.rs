//! Dates.

use super::{Parsed, Parser};
use crate::{Date, DateTime};

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

impl Parser<'_> {
    /// ```text
    /// date      = date-text / DQUOTE date-text DQUOTE
    /// date-text = date-day "-" date-month "-" date-year
    /// date-day  = 1*2DIGIT
    /// ```
    pub(super) fn date(&mut self) -> Parsed<Date> {
        let error = self.wrong("a date like 1-Feb-2026");
        let quoted = self.cursor.eat(b'"');
        let digits = if self.cursor.rest().get(1).is_some_and(u8::is_ascii_digit) {
            2
        } else {
            1
        };
        let day = self.digits(digits)?;
        let (month, year) = self.month_and_year()?;
        if quoted {
            self.cursor.expect(b'"', "a quote behind the date")?;
        }
        u8::try_from(day)
            .ok()
            .and_then(|day| Date::new(year, month, day))
            .ok_or(error)
    }

    /// ```text
    /// date-time      = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
    /// date-day-fixed = (SP DIGIT) / 2DIGIT
    /// time           = 2DIGIT ":" 2DIGIT ":" 2DIGIT
    /// zone           = ("+" / "-") 4DIGIT
    /// ```
    pub(super) fn date_time(&mut self) -> Parsed<DateTime> {
        let error = self.wrong("a date and time like \"01-Feb-2026 03:04:05 +0600\"");
        self.cursor.expect(b'"', "a date and time in quotes")?;
        // A kindness: iOS, Android Outlook and others leave the space out.
        let short = self.context.quirks.append_day && self.cursor.rest().get(1) == Some(&b'-');
        let day = if self.cursor.eat(b' ') || short {
            self.digits(1)?
        } else {
            self.digits(2)?
        };
        let (month, year) = self.month_and_year()?;
        self.sp()?;
        let hour = self.digits(2)?;
        self.cursor.expect(b':', "a colon")?;
        let minute = self.digits(2)?;
        self.cursor.expect(b':', "a colon")?;
        let second = self.digits(2)?;
        self.sp()?;
        let east = match self.cursor.next() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(error),
        };
        let (zone_hour, zone_minute) = (self.digits(2)?, self.digits(2)?);
        self.cursor.expect(b'"', "a quote behind the time zone")?;
        // 60 is a leap second; it counts as the first of the next minute.
        if hour > 23 || minute > 59 || second > 60 || zone_hour > 23 || zone_minute > 59 {
            return Err(error);
        }
        let Some(date) = u8::try_from(day)
            .ok()
            .and_then(|day| Date::new(year, month, day))
        else {
            return Err(error);
        };
        let offset = east * i32::from(zone_hour * 60 + zone_minute);
        let clock = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let unix = date.days() * 86_400 + clock - i64::from(offset) * 60;
        let Ok(offset) = i16::try_from(offset) else {
            return Err(error);
        };
        Ok(DateTime { unix, offset })
    }

    /// ```text
    /// "-" date-month "-" date-year
    /// ```
    fn month_and_year(&mut self) -> Parsed<(u8, u16)> {
        self.cursor.expect(b'-', "a hyphen and a month")?;
        let error = self.wrong("a month like Feb");
        let name = self.cursor.take(3).unwrap_or_default();
        let month = (1..)
            .zip(MONTHS)
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        let Some((month, _)) = month else {
            return Err(error);
        };
        self.cursor.expect(b'-', "a hyphen and a year")?;
        Ok((month, self.digits(4)?))
    }

    /// Exactly `count` digits, at most four.
    fn digits(&mut self, count: usize) -> Parsed<u16> {
        let error = self.wrong("digits");
        let mut value: u16 = 0;
        for _ in 0..count {
            match self.cursor.next() {
                Some(digit @ b'0'..=b'9') => {
                    value = value
                        .saturating_mul(10)
                        .saturating_add(u16::from(digit - b'0'))
                }
                _ => return Err(error),
            }
        }
        Ok(value)
    }
}
