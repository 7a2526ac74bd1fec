//! Calendar dates of SEARCH and the date-time of INTERNALDATE and APPEND.

/// A calendar date (`date-text`, RFC 9051 §9), checked: such a day exists. No zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The date, if there is one: year 0-9999, month 1-12, day 1 to the last of that month.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Date> {
        (year <= 9999 && day >= 1 && day <= days_in_month(year, month)?).then_some(Date {
            year,
            month,
            day,
        })
    }

    /// Year, month (1-12), day of the month (1-31).
    pub fn parts(self) -> (u16, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// Days since 1970-01-01, negative before it.
    pub fn days(self) -> i64 {
        // Years begin in March here, so that the leap day is the last of its year and months fall on a line.
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The date of a count of days since 1970-01-01, if its year is within 0-9999.
    pub fn from_days(days: i64) -> Option<Date> {
        let days = days.checked_add(719_468)?;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date::new(
            u16::try_from(year).ok()?,
            u8::try_from(month).ok()?,
            u8::try_from(day).ok()?,
        )
    }
}

/// A moment with the zone it was written in (`date-time`, RFC 9051 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix: i64,
    /// Minutes east of UTC, from -1439 to 1439.
    pub offset: i16,
}

impl DateTime {
    /// A moment written in UTC.
    pub fn utc(unix: i64) -> DateTime {
        DateTime { unix, offset: 0 }
    }

    /// The calendar date at that moment in its own zone, which SEARCH BEFORE, ON and SINCE compare
    /// ("disregarding time and timezone", RFC 9051 §6.4.4).
    pub fn date(self) -> Option<Date> {
        Date::from_days(
            self.unix
                .checked_add(i64::from(self.offset) * 60)?
                .div_euclid(86_400),
        )
    }
}

/// Length of a month of a year; `None` if there is no such month.
fn days_in_month(year: u16, month: u8) -> Option<u8> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}
