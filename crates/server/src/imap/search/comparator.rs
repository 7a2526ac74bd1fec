//! COMPARATOR (RFC 5255 §4.7): what SEARCH, SORT and THREAD of a session compare with.

use ::imap::{Code, Reply, Status, Untagged};

use super::fold::Collation;
use crate::imap::{Answer, Imap, Link};

/// RFC 5255 §4.9
const NONE: Reply = Reply::coded(
    Status::No,
    Code::BadComparator,
    "there is no such comparator",
);

/// Tells the active comparator, or chooses another: the first wanted that is there.
pub fn comparator(imap: &mut Imap, link: &mut Link, wanted: &[String]) -> Answer {
    let mut matching: Vec<Collation> = Vec::new();
    for name in wanted {
        for collation in matched(name) {
            if !matching.contains(&collation) {
                matching.push(collation);
            }
        }
    }
    match matching.first() {
        Some(first) => imap.collation = *first,
        None if wanted.is_empty() => {}
        None => return Ok(NONE),
    }
    let names = matching.iter().map(|collation| collation.name().to_owned());
    // RFC 5255 §4.8: the list only where there is more than one.
    let several = matching.len() > 1;
    link.session.untagged(&Untagged::Comparator {
        active: imap.collation.name().to_owned(),
        matching: names.filter(|_| several).collect(),
    });
    Ok(Reply::ok("that is what texts are compared with"))
}

/// The comparators that a collation order names (RFC 4790 §3.2): by name, by pattern with `*`, or `default`.
fn matched(wanted: &str) -> Vec<Collation> {
    // What may not be a pattern is none.
    if wanted.len() > 255 {
        return Vec::new();
    }
    if wanted.eq_ignore_ascii_case("default") {
        return vec![Collation::default()];
    }
    let fits = |collation: &Collation| fits(&wanted.to_ascii_lowercase(), collation.name());
    Collation::ALL.into_iter().filter(fits).collect()
}

/// Whether a pattern fits a name: its pieces are there one behind the other, the first and last at the ends.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match name.find(piece) {
            Some(at) => name = name.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        use Collation::*;
        for (wanted, expected) in [
            ("i;octet", vec![Octet]),
            ("I;Octet", vec![Octet]),
            ("default", vec![UnicodeCasemap]),
            ("i;*-casemap", vec![UnicodeCasemap, AsciiCasemap]),
            ("*", vec![UnicodeCasemap, AsciiCasemap, Octet]),
            ("i;*c*casemap", vec![UnicodeCasemap, AsciiCasemap]),
            ("cz;*", vec![]),
            ("i;basic", vec![]),
            ("i;octe", vec![]),
            ("i;octet*et", vec![]),
        ] {
            assert_eq!(matched(wanted), expected, "{wanted}");
        }
    }
}
