//! Macros of SPF (RFC 7208 §7).

use std::fmt::Write as _;
use std::net::IpAddr;

/// A string with macros, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro {
        letter: u8,
        /// Uppercase letters escape what is not unreserved in a URI.
        escape: bool,
        /// How many parts from the right; 0 is all.
        parts: usize,
        reverse: bool,
        delimiters: String,
    },
}

/// What macros stand for.
#[derive(Debug, Clone)]
pub(super) struct Values<'a> {
    pub(super) ip: IpAddr,
    /// `local@domain`
    pub(super) sender: &'a str,
    pub(super) hello: &'a str,
    /// The current domain.
    pub(super) domain: &'a str,
    /// The validated name of the address; `unknown` where there is none.
    pub(super) validated: &'a str,
}

impl Template {
    /// A `macro-string`, as unknown modifiers have.
    pub(super) fn text(text: &str) -> Option<Template> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, behind) = match rest.split_once('%') {
                Some((before, behind)) => (before, Some(behind)),
                None => (rest, None),
            };
            // §7.1: visible ASCII but %.
            if !before.bytes().all(|octet| octet.is_ascii_graphic()) {
                return None;
            }
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.to_owned()));
            }
            let Some(behind) = behind else {
                break;
            };
            let (piece, after) = match behind.split_at_checked(1)? {
                ("%", after) => (Piece::Literal("%".to_owned()), after),
                ("_", after) => (Piece::Literal(" ".to_owned()), after),
                ("-", after) => (Piece::Literal("%20".to_owned()), after),
                ("{", after) => {
                    let (inside, after) = after.split_once('}')?;
                    (expand(inside)?, after)
                }
                _ => return None,
            };
            pieces.push(piece);
            rest = after;
        }
        Some(Template(pieces))
    }

    /// A `domain-spec`: ends in a macro or in a top label.
    pub(super) fn domain(text: &str) -> Option<Template> {
        let template = Template::text(text)?;
        let ends_well = match template.0.last()? {
            Piece::Macro { .. } => true,
            Piece::Literal(literal) => is_domain_end(literal),
        };
        ends_well.then_some(template)
    }

    /// Whether `%{p}` is in it, which costs a question.
    pub(super) fn needs_validated(&self) -> bool {
        let is_p = |piece: &Piece| matches!(piece, Piece::Macro { letter: b'p', .. });
        self.0.iter().any(is_p)
    }

    /// The expanded string.
    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Macro {
                    letter,
                    escape,
                    parts,
                    reverse,
                    delimiters,
                } => {
                    let value = values.value(*letter);
                    let value = transformed(&value, *parts, *reverse, delimiters);
                    match escape {
                        true => escaped(&value, &mut out),
                        false => out.push_str(&value),
                    }
                }
            }
        }
        out
    }

    /// The expanded name, shortened from the left to 253 octets (§7.3), without a dot at its end.
    pub(super) fn target(&self, values: &Values<'_>) -> String {
        let expanded = self.expand(values);
        let mut name = expanded.strip_suffix('.').unwrap_or(&expanded);
        while name.len() > 253 {
            match name.split_once('.') {
                Some((_, rest)) => name = rest,
                None => break,
            }
        }
        name.to_ascii_lowercase()
    }
}

/// `"." toplabel [ "." ]`
fn is_domain_end(literal: &str) -> bool {
    let literal = literal.strip_suffix('.').unwrap_or(literal);
    let Some((_, label)) = literal.rsplit_once('.') else {
        return false;
    };
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !label.bytes().all(|octet| octet.is_ascii_digit())
}

/// `macro-letter transformers *delimiter`
fn expand(inside: &str) -> Option<Piece> {
    let (letter, rest) = inside.split_at_checked(1)?;
    let letter = letter.bytes().next()?;
    // §7.2: c, r and t are for explanations, which are not asked for.
    if !matches!(
        letter.to_ascii_lowercase(),
        b's' | b'l' | b'o' | b'd' | b'i' | b'p' | b'h' | b'v'
    ) {
        return None;
    }
    let digits = rest
        .bytes()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let (digits, rest) = rest.split_at_checked(digits)?;
    let parts = match digits {
        "" => 0,
        // §7.1: not zero. More than any value has is all of it.
        _ => match digits.parse::<usize>() {
            Ok(0) => return None,
            Ok(parts) => parts,
            Err(_) => usize::MAX,
        },
    };
    let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if !delimiters
        .bytes()
        .all(|octet| matches!(octet, b'.' | b'-' | b'+' | b',' | b'/' | b'_' | b'='))
    {
        return None;
    }
    Some(Piece::Macro {
        letter: letter.to_ascii_lowercase(),
        escape: letter.is_ascii_uppercase(),
        parts,
        reverse,
        delimiters: delimiters.to_owned(),
    })
}

impl Values<'_> {
    fn value(&self, letter: u8) -> String {
        let (local, domain) = self.sender.rsplit_once('@').unwrap_or(("", self.sender));
        match letter {
            b's' => self.sender.to_owned(),
            b'l' => local.to_owned(),
            b'o' => domain.to_owned(),
            b'd' => self.domain.to_owned(),
            b'i' => dotted(self.ip),
            b'p' => self.validated.to_owned(),
            b'h' => self.hello.to_owned(),
            b'v' if self.ip.is_ipv4() => "in-addr".to_owned(),
            _ => "ip6".to_owned(),
        }
    }
}

/// §7.3: an IPv6 address as its 32 digits with dots between.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let mut out = String::with_capacity(63);
            for octet in ip.octets() {
                let dot = if out.is_empty() { "" } else { "." };
                let _ = write!(out, "{dot}{:x}.{:x}", octet >> 4, octet & 15);
            }
            out
        }
    }
}

fn transformed(value: &str, parts: usize, reverse: bool, delimiters: &str) -> String {
    if parts == 0 && !reverse && delimiters.is_empty() {
        return value.to_owned();
    }
    let ends = |letter: char| match delimiters {
        "" => letter == '.',
        _ => delimiters.contains(letter),
    };
    let mut all: Vec<&str> = value.split(ends).collect();
    if reverse {
        all.reverse();
    }
    let left_out = match parts {
        0 => 0,
        _ => all.len().saturating_sub(parts),
    };
    all.get(left_out..).unwrap_or_default().join(".")
}

/// §7.3: all but the unreserved characters of a URI.
fn escaped(value: &str, out: &mut String) {
    for octet in value.bytes() {
        match octet {
            b'-' | b'.' | b'_' | b'~' => out.push(char::from(octet)),
            _ if octet.is_ascii_alphanumeric() => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "%{octet:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7208 §7.4.
    #[test]
    fn the_examples_of_the_standard() {
        let values = |ip: &'static str| Values {
            ip: ip.parse().unwrap(),
            sender: "strong-bad@email.example.com",
            hello: "mx.example.com",
            domain: "email.example.com",
            validated: "unknown",
        };
        let v4 = values("192.0.2.3");
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            (
                "%{ir}.%{v}._spf.%{d2}",
                "3.2.0.192.in-addr._spf.example.com",
            ),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            (
                "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
                "3.2.0.192.in-addr.strong.lp._spf.example.com",
            ),
            (
                "%{d2}.trusted-domains.example.net",
                "example.com.trusted-domains.example.net",
            ),
            ("%{S}%%%_%-", "strong-bad%40email.example.com% %20"),
        ] {
            let template = Template::text(text).unwrap();
            assert_eq!(template.expand(&v4), expected, "{text}");
        }
        let template = Template::domain("%{ir}.%{v}._spf.%{d2}").unwrap();
        assert_eq!(
            template.expand(&values("2001:db8::cb01")),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn malformed() {
        for text in [
            "%", "%a", "%{}", "%{x}", "%{d0}", "%{d", "%{dx}", "%{d-r}", "é", "%{c}",
        ] {
            assert_eq!(Template::text(text), None, "{text}");
        }
        for text in ["", "example", "a.1", "a.-b", "a.b-", "a..", "%{d}.%%"] {
            assert_eq!(Template::domain(text), None, "{text}");
        }
    }

    /// A36: a macro cannot make a name longer than the DNS allows.
    #[test]
    fn a36_long_names_lose_labels_from_the_left() {
        let sender = format!("{}x@example.com", "a.".repeat(200));
        let values = Values {
            ip: "192.0.2.3".parse().unwrap(),
            sender: &sender,
            hello: "h",
            domain: "example.com",
            validated: "unknown",
        };
        let name = Template::domain("%{l}.example.com")
            .unwrap()
            .target(&values);
        assert!(name.len() <= 253 && name.ends_with("a.x.example.com"));
        assert!(!name.starts_with('.'));
    }
}
