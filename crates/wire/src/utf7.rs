//! The modified UTF-7 of IMAP mailbox names (RFC 3501 §5.1.3, RFC 9051 appendix A).
//!
//! Invariant: a name has exactly one form, so that one mailbox has one name in either encoding.

/// The octets are not the one encoding of a mailbox name that RFC 3501 §5.1.3 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("octet {0} of the mailbox name is no valid modified UTF-7")]
pub struct Invalid(pub usize);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The modified UTF-7 form of a mailbox name: the only one there is.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut wide: Vec<u8> = Vec::new();
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut wide, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                wide.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut wide, &mut out);
    out
}

fn flush(wide: &mut Vec<u8>, out: &mut String) {
    if wide.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in wide.drain(..) {
        held = held << 8 | u32::from(byte);
        bits += 8;
        while bits >= 6 {
            bits -= 6;
            out.push(symbol(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(symbol(held << (6 - bits)));
    }
    out.push('-');
}

fn symbol(value: u32) -> char {
    ALPHABET
        .get((value & 63) as usize)
        .map_or('A', |b| *b as char)
}

/// The name that a modified UTF-7 form stands for. Strict: a form that [`encode`] would not write is refused, so that one
/// mailbox has one name.
pub fn decode(name: &[u8]) -> Result<String, Invalid> {
    let mut out = String::with_capacity(name.len());
    let mut at = 0;
    while let Some(&byte) = name.get(at) {
        match byte {
            b'&' => at = shifted(name, at, &mut out)?,
            b' '..=b'~' => {
                out.push(byte as char);
                at += 1;
            }
            _ => return Err(Invalid(at)),
        }
    }
    // All that could be written in another way (ASCII in base64, two runs side by side) shows here.
    if encode(&out).as_bytes() == name {
        Ok(out)
    } else {
        Err(Invalid(0))
    }
}

/// A run from `&` to `-`; returns the position after it.
fn shifted(name: &[u8], start: usize, out: &mut String) -> Result<usize, Invalid> {
    if name.get(start + 1) == Some(&b'-') {
        out.push('&');
        return Ok(start + 2);
    }
    let (mut bits, mut held, mut units) = (0u32, 0u32, Vec::new());
    let mut at = start + 1;
    loop {
        let byte = *name.get(at).ok_or(Invalid(start))?;
        at += 1;
        if byte == b'-' {
            break;
        }
        let value = ALPHABET
            .iter()
            .position(|b| *b == byte)
            .ok_or(Invalid(at - 1))?;
        held = held << 6 | value as u32;
        bits += 6;
        if bits >= 16 {
            bits -= 16;
            units.push((held >> bits) as u16);
            held &= (1 << bits) - 1;
        }
    }
    if bits >= 6 || held != 0 || units.is_empty() {
        return Err(Invalid(start));
    }
    for unit in char::decode_utf16(units) {
        out.push(unit.map_err(|_| Invalid(start))?);
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_both_forms() {
        for (name, form) in [
            ("INBOX", "INBOX"),
            ("a&b", "a&-b"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("😀", "&2D3eAA-"),
            ("", ""),
        ] {
            assert_eq!(encode(name), form);
            assert_eq!(decode(form.as_bytes()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a26_other_forms_are_refused() {
        for form in [
            "&AC8-",
            "&AGE-",
            "&",
            "&A",
            "&AAA",
            "&2AA-",
            "&AOkA-",
            "&AOk",
            "&AOk-&AOk-",
            "a\x7f",
            "a\x01",
            "\u{e9}",
            "&AOl-",
            "&AO/-",
        ] {
            assert!(decode(form.as_bytes()).is_err(), "{form}");
        }
        // NUL has this one form; whether a mailbox may be called so is for others to say.
        assert_eq!(decode(b"&AAA-").as_deref(), Ok("\0"));
    }
}
