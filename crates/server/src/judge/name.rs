//! Domain names as the checks compare and ask for them: A-labels in lower case (A32, A35).

/// The name as A-labels in lower case, without a dot at its end; None for what is no name of the DNS. What has only one
/// label is none either: nobody publishes policies there.
pub fn ascii(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ascii = match name.is_ascii() {
        true => name.to_ascii_lowercase(),
        false => idna::domain_to_ascii(name).ok()?,
    };
    (is_name(&ascii) && ascii.contains('.')).then_some(ascii)
}

/// Labels of letters, digits, hyphens and underscores, none empty or above 63 octets, 253 in all (RFC 1035 §2.3.4). Nothing
/// else is ever asked of the DNS, so no octet of a peer can end a name early or begin another.
pub fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether `name` is `parent` or below it, by labels.
pub fn is_within(name: &str, parent: &str) -> bool {
    match name.strip_suffix(parent) {
        Some(before) => before.is_empty() || before.ends_with('.'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A32: nothing but names of the DNS gets into a question.
    #[test]
    fn a32_only_names_are_asked_for() {
        for wrong in [
            "",
            ".",
            "localhost",
            "a..b",
            ".a.b",
            "legit(a.attack.com",
            "legit.com'a.attack.com",
            "s.\0.any",
            "a b.c",
            "a\\046b.c",
            "\"x\".c",
            "[192.0.2.1]",
        ] {
            assert_eq!(ascii(wrong), None, "{wrong:?}");
        }
        let long = format!("{}.example", "a".repeat(64));
        assert_eq!(ascii(&long), None);
        let long = format!("{}example", "a.".repeat(124));
        assert_eq!(ascii(&long), None);
    }

    #[test]
    fn names_become_a_labels() {
        for (name, expected) in [
            ("Example.ORG.", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--bcher-kva.example", "xn--bcher-kva.example"),
            ("_dmarc.example", "_dmarc.example"),
        ] {
            assert_eq!(ascii(name).as_deref(), Some(expected));
        }
    }

    /// A35: a name that only ends in the same letters is another.
    #[test]
    fn a35_within_is_by_labels() {
        assert!(is_within("legit.example", "legit.example"));
        assert!(is_within("a.legit.example", "legit.example"));
        assert!(!is_within("notlegit.example", "legit.example"));
        assert!(!is_within("example", "legit.example"));
    }
}
