//! File names that a message proposes, made safe to use.

/// Longest name given out, in octets; file systems take 255.
const MAX_LEN: usize = 200;

/// A file name with nothing dangerous in it: the last component of a path, without control and direction characters, characters
/// that some file system forbids, dots and blanks at its ends, or a device name of Windows. Never empty: `attachment` if
/// nothing is left.
///
/// ```
/// assert_eq!(waxwing_mime::file_name::safe("../../etc/passwd"), "passwd");
/// assert_eq!(waxwing_mime::file_name::safe("C:\\temp\\a\u{202e}fdp.exe"), "afdp.exe");
/// assert_eq!(waxwing_mime::file_name::safe("con.txt"), "_con.txt");
/// assert_eq!(waxwing_mime::file_name::safe(".."), "attachment");
/// ```
pub fn safe(name: &str) -> String {
    let last = name
        .rsplit(['/', '\\'])
        .find(|piece| !piece.trim_matches(['.', ' ']).is_empty())
        .unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .map(|c| {
            if matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') {
                '_'
            } else {
                c
            }
        })
        .collect();
    let clean = clean.trim_matches(['.', ' ']);
    let mut out = shorten(clean);
    if out.is_empty() {
        return "attachment".into();
    }
    let stem = out
        .split('.')
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    if device {
        out.insert(0, '_');
    }
    out
}

/// Characters that change how the rest is shown, or are not seen themselves.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// Cut in the middle of the stem, so that the extension stays.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_LEN {
        return name.to_string();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 20 => (stem, extension),
        _ => (name, ""),
    };
    let mut end = MAX_LEN - extension.len() - 1;
    while end > 0 && !stem.is_char_boundary(end) {
        end -= 1;
    }
    let stem = stem.get(..end).unwrap_or_default();
    if extension.is_empty() {
        stem.to_string()
    } else {
        format!("{stem}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn names_stay_names() {
        for (raw, name) in [
            ("report.pdf", "report.pdf"),
            ("日本語.txt", "日本語.txt"),
            ("a\0b\r\nc.txt", "abc.txt"),
            ("..hidden", "hidden"),
            ("dir/", "dir"),
            ("LPT1", "_LPT1"),
            ("", "attachment"),
            ("a:b", "a_b"),
        ] {
            assert_eq!(safe(raw), name);
        }
        let long = safe(&format!("{}.pdf", "é".repeat(300)));
        assert!(long.len() <= 200 && long.ends_with(".pdf"));
    }
}
