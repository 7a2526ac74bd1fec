//! UTF-7 of mail bodies (RFC 2152).

/// RFC 2152, as kindly as can be; false if something could not be read.
pub(crate) fn decode_mail(bytes: &[u8], out: &mut String) -> bool {
    let mut whole = true;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'+' {
            if byte < 128 {
                out.push(byte as char);
            } else {
                out.push('\u{FFFD}');
                whole = false;
            }
            continue;
        }
        if let Some(more) = after.strip_prefix(b"-") {
            out.push('+');
            rest = more;
            continue;
        }
        let (mut bits, mut held, mut units) = (0u32, 0u32, Vec::new());
        while let Some((value, after)) = rest
            .split_first()
            .and_then(|(b, after)| Some((base64_value(*b)?, after)))
        {
            rest = after;
            held = held << 6 | value;
            bits += 6;
            if bits >= 16 {
                bits -= 16;
                units.push((held >> bits) as u16);
                held &= (1 << bits) - 1;
            }
        }
        rest = rest.strip_prefix(b"-").unwrap_or(rest);
        whole &= !units.is_empty() && held == 0 && bits < 6;
        for unit in char::decode_utf16(units) {
            whole &= unit.is_ok();
            out.push(unit.unwrap_or('\u{FFFD}'));
        }
    }
    whole
}

fn base64_value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let mut out = String::new();
        assert!(decode_mail(b"Hi Mom +Jjo-! 1 +- 1", &mut out));
        assert_eq!(out, "Hi Mom \u{263a}! 1 + 1");
        out.clear();
        assert!(!decode_mail(b"+2AA-\xff+", &mut out));
        assert_eq!(out, "\u{fffd}\u{fffd}");
    }
}
