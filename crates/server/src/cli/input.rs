//! What commands take in: passwords from standard input, sizes, and the sealing of passwords.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wire::sasl::Secret;

use super::Result;
use crate::auth::password;
use crate::manage::Sealed;

/// The first line of standard input.
pub(super) fn password_line() -> Result<Secret> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        eprint!("Password (shown while you type): ");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(Secret::new(line))
}

/// The password from standard input, or a new random one, which the caller shows.
pub(super) fn password_or_new(from_stdin: bool) -> Result<(Secret, bool)> {
    if from_stdin {
        Ok((password_line()?, false))
    } else {
        Ok((password::new_app_password(), true))
    }
}

/// Seals one password.
pub(super) fn seal(secret: &Secret) -> Result<Sealed> {
    Ok(Sealed::from(&password::seal(secret)?))
}

/// Seals many passwords on all processors, in their order.
pub(super) fn seal_all(secrets: &[Secret]) -> Result<Vec<Sealed>> {
    let next = AtomicUsize::new(0);
    let sealed: Vec<Mutex<Option<std::result::Result<Sealed, password::Unusable>>>> =
        secrets.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..crate::db::workers().min(secrets.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(secret), Some(slot)) = (secrets.get(at), sealed.get(at)) else {
                        return;
                    };
                    let result = password::seal(secret).map(|secret| Sealed::from(&secret));
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    let results = sealed
        .into_iter()
        .map(|slot| slot.into_inner().ok().flatten());
    results
        .map(|result| Ok(result.ok_or("a password was not sealed")??))
        .collect()
}

/// Octets from `500`, `500K`, `20M`, `5G` or `1T`.
pub(super) fn size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write octets, or a number with K, M, G or T");
    let (digits, shift) = match text
        .char_indices()
        .last()
        .map(|(at, letter)| (at, letter.to_ascii_uppercase()))
    {
        Some((at, 'K')) => (&text[..at], 10),
        Some((at, 'M')) => (&text[..at], 20),
        Some((at, 'G')) => (&text[..at], 30),
        Some((at, 'T')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    // SQLite's integers end at 2^63.
    number
        .checked_shl(shift)
        .filter(|size| size >> shift == number && *size < 1 << 62)
        .ok_or_else(wrong)
}

/// A quota: a size, or `none`.
pub(super) fn quota(text: &str) -> std::result::Result<Quota, String> {
    if text.eq_ignore_ascii_case("none") {
        Ok(Quota(None))
    } else {
        size(text).map(|size| Quota(Some(size)))
    }
}

/// A quota as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota(pub(super) Option<u64>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, octets) in [
            ("0", 0),
            ("500", 500),
            ("2k", 2048),
            ("5G", 5 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(octets), "{text}");
        }
        for text in ["", "K", "-1", "1.5G", "1 G", "99999999T", "5Gé", "é"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(quota("none"), Ok(Quota(None)));
    }
}
