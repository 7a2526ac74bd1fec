//! The Sender Rewriting Scheme: reverse-paths of mail that an alias sends on.
//!
//! Who forwards under the sender's own reverse-path breaks SPF. The path becomes one of ours, from which a bounce finds
//! back to the sender:
//!
//! | reverse-path that came | that goes out from `us.example` |
//! |---|---|
//! | `ann@a.example` | `SRS0=HHHHHH=TT=a.example=ann@us.example` |
//! | `SRS0=x@b.example`, of another forwarder | `SRS1=HHHHHH=b.example==x@us.example` |
//! | `SRS1=HHHH=b.example==x@c.example` | `SRS1=HHHHHH=b.example==x@us.example` |
//! | one that would not fit into 64 octets | `SRS0=HHHHHH=TT==token@us.example`, the store has the path |
//!
//! H is keyed with a secret of the store; T is the day, modulo 1024. A bounce is sent back only when its hash is right
//! and its day is at most [`DAYS`] ago, so nobody can have mail relayed by making up such an address. Local parts that
//! lost their case on the way still count.
//!
//! Pure, but for [`Secrets::load`]. There is no RFC; the forms are those of the scheme's authors (Meng Weng Wong, Shevek).

use hmac::{Hmac, Mac};
use sha2::Sha256;
use store::{Store, Timestamp};
use subtle::ConstantTimeEq;

/// Days that a bounce has to come back: queues give up after five, and some are told to wait longer.
pub const DAYS: i64 = 21;

const DAY: Timestamp = 24 * 3600;

/// RFC 5321 §4.5.3.1.1. Longer ones work with many, and are lost with the rest.
const LOCAL_LIMIT: usize = 64;

/// Letters of the hash: 30 bits, which can only be tried one connection at a time.
const HASH: usize = 6;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Under which name the store keeps the secret.
const SETTING: &str = "srs/secret";

/// The secret; clones share nothing.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// A rewritten reverse-path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// What goes into MAIL FROM.
    pub address: String,
    /// Token and address that the store must keep for [`DAYS`].
    pub keep: Option<(String, String)>,
}

/// Where a bounce goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reversed {
    /// To this address.
    Address(String),
    /// To the address that the store keeps under this token.
    Kept(String),
}

/// Why an address that looks rewritten is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It does not have the form.
    #[error("it is no rewritten address")]
    Form,
    /// Its hash is not ours.
    #[error("its hash is wrong")]
    Hash,
    /// It was made too long ago.
    #[error("it is too old")]
    Expired,
}

impl Secret {
    /// The secret of a store, made at the first time. Blocks.
    pub fn load(store: &Store) -> store::Result<Secret> {
        let fresh: [u8; 32] = crate::auth::random();
        let octets = store.write(move |tx| match tx.setting(SETTING)? {
            Some(octets) => Ok(octets),
            None => {
                tx.set_setting(SETTING, Some(&fresh))?;
                Ok(fresh.to_vec())
            }
        })?;
        let secret = <[u8; 32]>::try_from(octets.as_slice());
        Ok(Secret(secret.map_err(|_| {
            store::Error::Corrupt(format!("the setting {SETTING}"))
        })?))
    }

    /// Rewrites a reverse-path for a message that leaves from `own`, a domain of ours. None when it is no address.
    pub fn forward(&self, sender: &str, own: &str, now: Timestamp) -> Option<Rewritten> {
        let (local, domain) = sender.rsplit_once('@')?;
        if local.is_empty() || domain.is_empty() {
            return None;
        }
        let day = day_letters(now);
        let (tag, rest) = match (tagged(local, "SRS0"), tagged(local, "SRS1")) {
            (Some(rest), _) => ("SRS1", format!("{domain}=={rest}")),
            // Hash and first forwarder; only the first forwarder knows what follows.
            (_, Some(rest)) => ("SRS1", rest.split_once('=')?.1.to_owned()),
            _ => ("SRS0", format!("{day}={domain}={local}")),
        };
        let whole = format!("{tag}={}={rest}", self.hash(tag, &rest));
        if whole.len() <= LOCAL_LIMIT && is_plain(&whole) {
            return Some(Rewritten {
                address: format!("{whole}@{own}"),
                keep: None,
            });
        }
        let token = self.letters(&["kept", sender], 16);
        let rest = format!("{day}=={token}");
        Some(Rewritten {
            address: format!("SRS0={}={rest}@{own}", self.hash("SRS0", &rest)),
            keep: Some((token, sender.to_owned())),
        })
    }

    /// The address behind one that [`Secret::forward`] made; `local` is the local part of a recipient.
    pub fn reverse(&self, local: &str, now: Timestamp) -> Result<Reversed, Invalid> {
        if let Some(rest) = tagged(local, "SRS1") {
            let rest = self.verified("SRS1", rest)?;
            let (host, opaque) = rest.split_once("==").ok_or(Invalid::Form)?;
            if host.is_empty() || opaque.is_empty() {
                return Err(Invalid::Form);
            }
            return Ok(Reversed::Address(format!("SRS0={opaque}@{host}")));
        }
        let rest = self.verified("SRS0", tagged(local, "SRS0").ok_or(Invalid::Form)?)?;
        let (day, rest) = rest.split_once('=').ok_or(Invalid::Form)?;
        let age = days(now)
            .wrapping_sub(day_number(day).ok_or(Invalid::Form)?)
            .rem_euclid(1024);
        // A day ahead is the clock of another of our servers.
        if age > DAYS && age != 1023 {
            return Err(Invalid::Expired);
        }
        match rest.split_once('=').ok_or(Invalid::Form)? {
            ("", token) => Ok(Reversed::Kept(token.to_ascii_lowercase())),
            (domain, user) if !user.is_empty() => Ok(Reversed::Address(format!("{user}@{domain}"))),
            _ => Err(Invalid::Form),
        }
    }

    /// What follows the hash, if that is right.
    fn verified<'l>(&self, tag: &str, rest: &'l str) -> Result<&'l str, Invalid> {
        let (hash, rest) = rest.split_once('=').ok_or(Invalid::Form)?;
        let expected = self.hash(tag, rest);
        let given = hash.to_ascii_lowercase();
        match bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            true => Ok(rest),
            false => Err(Invalid::Hash),
        }
    }

    /// Case does not count: some systems change it.
    fn hash(&self, tag: &str, rest: &str) -> String {
        self.letters(&[tag, &rest.to_lowercase()], HASH)
    }

    fn letters(&self, parts: &[&str], count: usize) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        let digest = mac.finalize().into_bytes();
        digest
            .iter()
            .take(count)
            .map(|octet| letter(*octet))
            .collect()
    }
}

/// Whether a local part looks like one of ours.
pub fn is_rewritten(local: &str) -> bool {
    tagged(local, "SRS0").or(tagged(local, "SRS1")).is_some()
}

/// What follows the tag and its separator, which may be one of three.
fn tagged<'l>(local: &'l str, tag: &str) -> Option<&'l str> {
    let (head, rest) = local.split_at_checked(tag.len())?;
    let rest = rest.strip_prefix(['=', '+', '-'])?;
    head.eq_ignore_ascii_case(tag).then_some(rest)
}

/// Whether it can stand in a path without quotes: a dot-string (RFC 5321 §4.1.2).
fn is_plain(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| {
                c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
            })
    })
}

fn letter(octet: u8) -> char {
    let at = usize::from(octet & 31);
    ALPHABET.get(at).map_or('a', |letter| char::from(*letter))
}

fn days(now: Timestamp) -> i64 {
    now.div_euclid(DAY)
}

fn day_letters(now: Timestamp) -> String {
    let day = days(now).rem_euclid(1024);
    let part = |shift: i64| letter(u8::try_from(day >> shift & 31).unwrap_or_default());
    [part(5), part(0)].into_iter().collect()
}

fn day_number(letters: &str) -> Option<i64> {
    let [high, low] = letters.as_bytes() else {
        return None;
    };
    let value = |letter: &u8| {
        let at = ALPHABET
            .iter()
            .position(|known| *known == letter.to_ascii_lowercase());
        at.and_then(|at| i64::try_from(at).ok())
    };
    Some(value(high)? << 5 | value(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_795_445_127;

    fn secret() -> Secret {
        Secret([7; 32])
    }

    fn local(address: &str) -> &str {
        address.rsplit_once('@').unwrap().0
    }

    #[test]
    fn there_and_back() {
        for sender in [
            "ann@a.example",
            "Ann.Lee+x=y@a.example",
            "jürgen@bücher.example",
            "a@xn--bcher-kva.example",
            "bounce-1_2=3@[192.0.2.1]",
        ] {
            let made = secret().forward(sender, "us.example", NOW).unwrap();
            assert!(made.address.ends_with("@us.example"), "{made:?}");
            assert!(local(&made.address).len() <= 64);
            let back = secret().reverse(local(&made.address), NOW + 5 * DAY);
            match made.keep {
                None => assert_eq!(back, Ok(Reversed::Address(sender.into()))),
                Some((token, kept)) => {
                    assert_eq!((back, kept.as_str()), (Ok(Reversed::Kept(token)), sender));
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_or_needs_quotes_is_kept() {
        let long = format!("bounces+{}@em.mailer.example", "x".repeat(50));
        for sender in [long.as_str(), "\"a b\"@c.example", "x..y@c.example"] {
            let made = secret().forward(sender, "us.example", NOW).unwrap();
            let (token, address) = made.keep.clone().expect("kept");
            assert_eq!(address, sender);
            assert_eq!(
                secret().reverse(local(&made.address), NOW),
                Ok(Reversed::Kept(token))
            );
            // The same sender needs one row only.
            assert_eq!(secret().forward(sender, "us.example", NOW), Some(made));
        }
        assert_eq!(secret().forward("nobody", "us.example", NOW), None);
        assert_eq!(secret().forward("@a.example", "us.example", NOW), None);
    }

    /// Over two and three forwarders, the bounce goes to the first one, and from there home.
    #[test]
    fn chains_of_forwarders() {
        let (first, second, third) = (Secret([1; 32]), Secret([2; 32]), Secret([3; 32]));
        let one = first.forward("a@b.c", "x.example", NOW).unwrap().address;
        let two = second.forward(&one, "y.example", NOW).unwrap().address;
        assert!(two.starts_with("SRS1="), "{two}");
        let three = third.forward(&two, "z.example", NOW).unwrap().address;
        assert!(three.starts_with("SRS1="), "{three}");
        let back = |secret: &Secret, address: &str| match secret.reverse(local(address), NOW) {
            Ok(Reversed::Address(address)) => address,
            other => panic!("{address}: {other:?}"),
        };
        // Not by way of the second.
        assert_eq!(back(&third, &three), one);
        assert_eq!(back(&second, &two), one);
        assert_eq!(back(&first, &one), "a@b.c");
    }

    #[test]
    fn only_what_we_made_lately_is_taken_back() {
        let made = secret()
            .forward("ann@a.example", "us.example", NOW)
            .unwrap()
            .address;
        let made = local(&made);
        let good = Ok(Reversed::Address("ann@a.example".to_owned()));
        for (address, when, expected) in [
            (made.to_owned(), NOW, good.clone()),
            (made.to_owned(), NOW + DAYS * DAY, good.clone()),
            (
                made.to_owned(),
                NOW + (DAYS + 1) * DAY,
                Err(Invalid::Expired),
            ),
            (made.to_owned(), NOW - DAY, good.clone()),
            (made.to_owned(), NOW - 2 * DAY, Err(Invalid::Expired)),
            (made.replacen("SRS0=", "SRS0+", 1), NOW, good.clone()),
            (made.replace("ann", "eve"), NOW, Err(Invalid::Hash)),
            (
                made.replace("a.example", "b.example"),
                NOW,
                Err(Invalid::Hash),
            ),
            (made.replacen("SRS0", "SRS1", 1), NOW, Err(Invalid::Hash)),
            ("SRS0=".into(), NOW, Err(Invalid::Form)),
            ("SRS0=x".into(), NOW, Err(Invalid::Form)),
            ("SRS0==".into(), NOW, Err(Invalid::Hash)),
            ("SRS0".into(), NOW, Err(Invalid::Form)),
            ("ann".into(), NOW, Err(Invalid::Form)),
            ("SRSé=a".into(), NOW, Err(Invalid::Form)),
        ] {
            assert_eq!(
                secret().reverse(&address, when),
                expected,
                "{address} {when}"
            );
        }
        // Case is lost by some; the user's case then is too.
        assert_eq!(secret().reverse(&made.to_lowercase(), NOW), good);
        assert_eq!(Secret([8; 32]).reverse(made, NOW), Err(Invalid::Hash));
    }

    /// The count of days starts over every 1024 days.
    #[test]
    fn days_go_round() {
        let last = 1023 * DAY;
        let made = secret()
            .forward("ann@a.example", "us.example", last)
            .unwrap()
            .address;
        assert!(secret().reverse(local(&made), last + 2 * DAY).is_ok());
        assert!(secret().reverse(local(&made), last + 1024 * DAY).is_ok());
        assert_eq!(
            secret().reverse(local(&made), last + 30 * DAY),
            Err(Invalid::Expired)
        );
    }
}
