//! What commands print: JSON as it came, or a table of the columns people want.

use serde_json::Value;

/// A column: its title, the key in each row, and how to write the value.
pub(super) struct Column(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) fn(&Value) -> String,
);

/// Prints rows.
pub(super) fn table(rows: &Value, columns: &[Column], json: bool) {
    if json {
        say!("{rows:#}");
        return;
    }
    let Some(rows) = rows.as_array().filter(|rows| !rows.is_empty()) else {
        // Nothing is an answer too, but not one for scripts that count lines.
        eprintln!("none");
        return;
    };
    let mut lines: Vec<Vec<String>> = vec![
        columns
            .iter()
            .map(|Column(title, ..)| (*title).to_owned())
            .collect(),
    ];
    for row in rows {
        lines.push(
            columns
                .iter()
                .map(|Column(_, key, write)| row.get(key).map(write).unwrap_or_default())
                .collect(),
        );
    }
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        say!("{}", cells.join("  ").trim_end());
    }
}

/// Text as it is, controls escaped.
pub(super) fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars()
        .flat_map(|letter| {
            let escaped: Vec<char> = if letter.is_control() {
                letter.escape_unicode().collect()
            } else {
                vec![letter]
            };
            escaped
        })
        .collect()
}

/// A number as it is.
pub(super) fn number(value: &Value) -> String {
    value
        .as_u64()
        .map(|number| number.to_string())
        .unwrap_or_default()
}

/// Octets in the unit that fits; nothing for null.
pub(super) fn size(value: &Value) -> String {
    value.as_u64().map(octets).unwrap_or_default()
}

/// A list with commas.
pub(super) fn list(value: &Value) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A day in UTC; nothing for null.
pub(super) fn day(value: &Value) -> String {
    value.as_i64().map(civil).unwrap_or_default()
}

/// Octets in the unit that fits.
pub(super) fn octets(octets: u64) -> String {
    let mut unit = "";
    let mut value = octets as f64;
    for next in ["K", "M", "G", "T"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit.is_empty() {
        format!("{octets}")
    } else {
        format!("{value:.1}{unit}")
    }
}

/// The date of a Unix time: days counted in eras of 400 years, which all have the same length.
fn civil(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_sizes() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_798_761_599, "2026-12-31"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(civil(seconds), text);
        }
        for (value, text) in [(0, "0"), (1023, "1023"), (1024, "1.0K"), (5 << 30, "5.0G")] {
            assert_eq!(octets(value), text);
        }
        assert_eq!(text(&Value::from("a\u{1b}b")), "a\\u{1b}b");
    }
}
