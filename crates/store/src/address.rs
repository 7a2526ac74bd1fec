//! Addresses as the store compares them: lower case, the local part in NFC and quoted only where it needs its quotes, the domain
//! in A-labels, as the DNS has it.
//!
//! SMTP says that local parts may differ by case (RFC 5321 §2.4); every server that people use ignores it, and so does this one.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// Octets of a local part (RFC 5321 §4.5.3.1.1), and of a domain (§4.5.3.1.2). Internationalised ones are counted alike.
const LOCAL: usize = 64;
const DOMAIN: usize = 255;
/// What separates the sub-address from the user (RFC 5233).
const SEPARATOR: char = '+';

/// A normalised address; the local part is empty for a catch-all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Without quotes.
    pub(crate) local: String,
    pub(crate) domain: String,
}

impl Address {
    /// Parses `local@domain` without angle brackets.
    pub(crate) fn parse(text: &str) -> Result<Address> {
        let (local, domain_) = text.rsplit_once('@').ok_or_else(|| invalid(text))?;
        let local = unquote(local).ok_or_else(|| invalid(text))?;
        // Normalising may change the length, so the limit holds for both.
        let local: String = local.to_lowercase().nfc().collect();
        if local.is_empty() || local.len() > LOCAL || local.chars().any(char::is_control) {
            return Err(invalid(text));
        }
        Ok(Address {
            local,
            domain: domain(domain_)?,
        })
    }

    /// Parses an alias: an address or `@domain`.
    pub(crate) fn parse_alias(text: &str) -> Result<Address> {
        match text.strip_prefix('@') {
            Some(name) => Ok(Address {
                local: String::new(),
                domain: domain(name)?,
            }),
            None => Address::parse(text),
        }
    }

    /// The address without its sub-address, and that.
    pub(crate) fn split_detail(&self) -> Option<(Address, String)> {
        let (user, detail) = self
            .local
            .split_once(SEPARATOR)
            .filter(|(user, _)| !user.is_empty())?;
        Some((
            Address {
                local: user.to_owned(),
                domain: self.domain.clone(),
            },
            detail.to_owned(),
        ))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local.is_empty() || is_dot_atom(&self.local) {
            write!(f, "{}@{}", self.local, self.domain)
        } else {
            let escaped = self.local.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "\"{escaped}\"@{}", self.domain)
        }
    }
}

/// Normalises a domain name.
pub(crate) fn domain(name: &str) -> Result<String> {
    let name = a_labels(name.strip_suffix('.').unwrap_or(name)).ok_or_else(|| invalid(name))?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    if name.len() <= DOMAIN && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(invalid(&name))
    }
}

/// RFC 5890 §2.3.2.1: `bücher.example` and `xn--bcher-kva.example` are one name. What calls itself an A-label and is none
/// stays as it is: it may be in the DNS all the same.
fn a_labels(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if lower.is_ascii() && !lower.split('.').any(|label| label.starts_with("xn--")) {
        return Some(lower);
    }
    match idna::domain_to_ascii(&lower) {
        Ok(ascii) => Some(ascii),
        Err(_) if lower.is_ascii() => Some(lower),
        Err(_) => None,
    }
}

/// Normalises the target of an alias. The case of a remote local part is its owner's business and stays.
pub(crate) fn target(text: &str) -> Result<String> {
    Address::parse(text)?;
    let (local, name) = text.rsplit_once('@').ok_or_else(|| invalid(text))?;
    Ok(format!("{local}@{}", domain(name)?))
}

fn unquote(local: &str) -> Option<String> {
    let Some(inner) = local.strip_prefix('"') else {
        return is_dot_atom(local).then(|| local.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

/// RFC 5321 §4.1.2 Dot-string, RFC 6531 §3.3.
fn is_dot_atom(local: &str) -> bool {
    let atom = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            || (!c.is_ascii() && !c.is_control())
    };
    local
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(atom))
}

fn invalid(text: &str) -> Error {
    Error::Invalid(format!("not an address or domain: {}", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_case_and_needless_quotes() {
        for same in [
            "Bob@Example.ORG",
            "\"bob\"@example.org",
            "bob@example.org.",
            "\"b\\ob\"@example.org",
        ] {
            assert_eq!(
                Address::parse(same).unwrap().to_string(),
                "bob@example.org",
                "{same}"
            );
        }
        assert_eq!(
            Address::parse("\"a b\"@x.org").unwrap().to_string(),
            "\"a b\"@x.org"
        );
        // U-labels and A-labels of the same name, also where they are written otherwise.
        for same in [
            "bob@b\u{fc}cher.example",
            "bob@xn--bcher-kva.example",
            "Bob@B\u{dc}CHER.Example",
            "bob@bu\u{308}cher.example",
            "bob@XN--BCHER-KVA.example.",
            "bob@b\u{fc}cher\u{3002}example",
        ] {
            assert_eq!(
                Address::parse(same).unwrap().to_string(),
                "bob@xn--bcher-kva.example",
                "{same}"
            );
        }
        assert_eq!(
            domain("xn--zzzzzzzz.example").unwrap(),
            "xn--zzzzzzzz.example"
        );
        // NFD and NFC of the same name.
        assert_eq!(
            Address::parse("u\u{308}ber@x.org").unwrap(),
            Address::parse("\u{fc}ber@x.org").unwrap()
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a..b@c",
            ".a@c",
            "a@-b",
            "a@\u{fc}\u{200b} b",
            "a@\u{ff0d}b",
            "a@b\u{2024}\u{2024}c",
            "a@b\u{200e}",
            "a@b..c",
            "a",
            "\"a@b",
            "a\u{0}@b",
            "\"a\nb\"@c",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sub_address_is_split_off() {
        let (user, detail) = Address::parse("bob+a+b@x.org")
            .unwrap()
            .split_detail()
            .unwrap();
        assert_eq!(
            (user.to_string().as_str(), detail.as_str()),
            ("bob@x.org", "a+b")
        );
        assert!(Address::parse("+a@x.org").unwrap().split_detail().is_none());
    }
}
