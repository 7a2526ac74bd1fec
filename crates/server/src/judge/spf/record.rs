//! Reading SPF records (RFC 7208 §4.5, §4.6, §12). The whole record is read before any of it is used: an error anywhere
//! makes it invalid.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::macros::Template;

/// A record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spf {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<Template>,
}

/// A mechanism and what it means when it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) qualifier: Qualifier,
    pub(super) mechanism: Mechanism,
    /// As it is in the record, for explanations.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// RFC 7208 §5. Without a template the current domain is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(Template),
    A(Option<Template>, Prefixes),
    Mx(Option<Template>, Prefixes),
    Ptr(Option<Template>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(Template),
}

/// `dual-cidr-length`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefixes {
    pub(super) ip4: u8,
    pub(super) ip6: u8,
}

/// The record is invalid; which term of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid(pub(super) String);

/// Whether a TXT record is an SPF record (RFC 7208 §4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    match text.split_at_checked(6) {
        Some((version, rest)) => {
            version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
        }
        None => false,
    }
}

impl Spf {
    /// Reads a record that [`is_spf`].
    pub(super) fn parse(text: &[u8]) -> Result<Spf, Invalid> {
        // §3.1: US-ASCII; what is not is found in the term that has it.
        let text = String::from_utf8_lossy(text);
        let mut spf = Spf::default();
        let mut explained = false;
        for term in text.get(6..).unwrap_or_default().split(' ') {
            if term.is_empty() {
                continue;
            }
            let invalid = || Invalid(term.to_owned());
            match modifier(term) {
                Some((name, value)) if name.eq_ignore_ascii_case("redirect") => {
                    // §6: redirect and exp once each at most.
                    let target = Template::domain(value).ok_or_else(invalid)?;
                    if spf.redirect.replace(target).is_some() {
                        return Err(invalid());
                    }
                }
                Some((name, value)) if name.eq_ignore_ascii_case("exp") => {
                    // It is read and never asked for: the text is a stranger's.
                    Template::domain(value).ok_or_else(invalid)?;
                    if std::mem::replace(&mut explained, true) {
                        return Err(invalid());
                    }
                }
                Some((_, value)) => drop(Template::text(value).ok_or_else(invalid)?),
                None => spf.directives.push(directive(term).ok_or_else(invalid)?),
            }
        }
        Ok(spf)
    }
}

/// `name "=" macro-string`; the name begins with a letter.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let sound = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.'));
    sound.then_some((name, value))
}

fn directive(term: &str) -> Option<Directive> {
    let (qualifier, rest) = match term.split_at_checked(1)? {
        ("+", rest) => (Qualifier::Pass, rest),
        ("-", rest) => (Qualifier::Fail, rest),
        ("~", rest) => (Qualifier::SoftFail, rest),
        ("?", rest) => (Qualifier::Neutral, rest),
        _ => (Qualifier::Pass, term),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, arguments) = rest.split_at_checked(end)?;
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" => arguments.is_empty().then_some(Mechanism::All)?,
        "include" => Mechanism::Include(Template::domain(arguments.strip_prefix(':')?)?),
        "exists" => Mechanism::Exists(Template::domain(arguments.strip_prefix(':')?)?),
        "ptr" => match arguments {
            "" => Mechanism::Ptr(None),
            _ => Mechanism::Ptr(Some(Template::domain(arguments.strip_prefix(':')?)?)),
        },
        "a" => {
            let (target, prefixes) = target(arguments)?;
            Mechanism::A(target, prefixes)
        }
        "mx" => {
            let (target, prefixes) = target(arguments)?;
            Mechanism::Mx(target, prefixes)
        }
        "ip4" => {
            let (address, prefix) = address(arguments, 32)?;
            Mechanism::Ip4(address.parse().ok()?, prefix)
        }
        "ip6" => {
            let (address, prefix) = address(arguments, 128)?;
            Mechanism::Ip6(address.parse().ok()?, prefix)
        }
        _ => return None,
    };
    Some(Directive {
        qualifier,
        mechanism,
        text: term.to_owned(),
    })
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`
fn target(arguments: &str) -> Option<(Option<Template>, Prefixes)> {
    let (before, ip6) = match arguments.rsplit_once("//") {
        // Slashes may be of the name, too.
        Some((before, digits)) if is_number(digits) => (before, prefix(digits, 128)?),
        _ => (arguments, 128),
    };
    let (before, ip4) = match before.rsplit_once('/') {
        Some((before, digits)) if is_number(digits) => (before, prefix(digits, 32)?),
        _ => (before, 32),
    };
    let template = match before {
        "" => None,
        _ => Some(Template::domain(before.strip_prefix(':')?)?),
    };
    Some((template, Prefixes { ip4, ip6 }))
}

/// `":" ip-network [ cidr-length ]`
fn address(arguments: &str, most: u8) -> Option<(&str, u8)> {
    let arguments = arguments.strip_prefix(':')?;
    match arguments.split_once('/') {
        Some((address, digits)) => Some((address, prefix(digits, most)?)),
        None => Some((arguments, most)),
    }
}

/// Digits without a leading zero (RFC 7208 §12: `ip4-cidr-length`, `ip6-cidr-length`).
fn prefix(digits: &str, most: u8) -> Option<u8> {
    if !is_number(digits) || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse().ok().filter(|prefix| *prefix <= most)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit())
}
