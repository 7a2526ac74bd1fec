//! The base subject (RFC 5256 §2.1), exactly: what threads and sorting by subject compare.
//!
//! ```text
//! subj-trailer = "(fwd)" / WSP
//! subj-leader  = (*subj-blob subj-refwd) / WSP
//! subj-blob    = "[" *BLOBCHAR "]" *WSP
//! subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
//! subj-fwd     = subj-fwd-hdr subject subj-fwd-trl
//! subj-fwd-hdr = "[fwd:"
//! subj-fwd-trl = "]"
//! ```
//!
//! Time is linear in the subject: a run of blobs is looked through once.

/// A subject without what replies and forwards put around it.
#[derive(Debug, PartialEq, Eq)]
pub struct BaseSubject {
    /// What is left, not folded.
    pub text: String,
    /// Something of a reply or forward was taken away.
    pub reply: bool,
}

impl BaseSubject {
    /// The base of a subject whose encoded words are decoded.
    pub fn of(subject: &str) -> BaseSubject {
        // Step 1: tabs and continuations are spaces, many of them one.
        let mut plain = String::with_capacity(subject.len());
        for c in subject.chars() {
            let blank = matches!(c, ' ' | '\t' | '\r' | '\n');
            match blank {
                true if plain.ends_with(' ') => {}
                true => plain.push(' '),
                false => plain.push(c),
            }
        }
        let mut reply = false;
        let mut rest = plain.as_str();
        loop {
            rest = without_trailers(rest, &mut reply);
            rest = without_leaders(rest, &mut reply);
            // Step 6.
            match strip(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
                Some(inner) => {
                    reply = true;
                    rest = inner;
                }
                None => break,
            }
        }
        BaseSubject {
            text: rest.to_owned(),
            reply,
        }
    }
}

/// Step 2.
fn without_trailers<'t>(mut text: &'t str, reply: &mut bool) -> &'t str {
    loop {
        text = text.trim_end_matches(' ');
        let cut = text.len().saturating_sub(5);
        match text.split_at_checked(cut) {
            Some((rest, end)) if end.eq_ignore_ascii_case("(fwd)") => {
                *reply = true;
                text = rest;
            }
            _ => return text,
        }
    }
}

/// Steps 3 to 5.
fn without_leaders<'t>(mut text: &'t str, reply: &mut bool) -> &'t str {
    loop {
        text = text.trim_start_matches(' ');
        let behind_blobs = std::iter::successors(Some(text), |rest| blob(rest))
            .last()
            .unwrap_or(text);
        if let Some(rest) = refwd(behind_blobs) {
            *reply = true;
            text = rest;
            continue;
        }
        // Step 4. What follows the blobs is no leader, so they go one by one while something is left, and then there is
        // nothing to repeat for.
        while let Some(rest) = blob(text)
            && !rest.is_empty()
        {
            text = rest;
        }
        return text;
    }
}

/// What follows `subj-blob`.
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    let rest = inner.get(end..)?.strip_prefix(']')?;
    Some(rest.trim_start_matches(' '))
}

/// What follows `subj-refwd`.
fn refwd(text: &str) -> Option<&str> {
    let rest = strip(text, "re")
        .or_else(|| strip(text, "fwd"))
        .or_else(|| strip(text, "fw"))?;
    let rest = rest.trim_start_matches(' ');
    let rest = blob(rest).unwrap_or(rest);
    rest.strip_prefix(':')
}

/// What follows a prefix in any case.
fn strip<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        for (subject, base, reply) in [
            ("hello", "hello", false),
            ("", "", false),
            ("Re: hello", "hello", true),
            ("RE:RE: FWD:  fw : hello", "hello", true),
            ("Re[2]: hello", "hello", true),
            ("Re [x] : hello", "hello", true),
            ("hello (fwd)", "hello", true),
            ("hello (FWD) (fwd)  ", "hello", true),
            ("[list] hello", "hello", false),
            ("[list] Re: hello", "hello", true),
            ("Re: [list] hello", "hello", true),
            ("[a] [b][c] Re: [d] hello", "hello", true),
            ("[list]", "[list]", false),
            ("[a][b]", "[b]", false),
            ("Re: [list]", "[list]", true),
            ("[fwd: hello]", "hello", true),
            ("[Fwd: Re: hello (fwd)]", "hello", true),
            ("Re: [fwd: [fwd: a]]", "a", true),
            ("a \t b\r\n  c", "a b c", false),
            ("re hello", "re hello", false),
            ("rex: hello", "rex: hello", false),
            ("(fwd)", "", true),
            ("Re:", "", true),
            ("Re: Re", "Re", true),
            ("[un closed hello", "[un closed hello", false),
            ("[a[b] c", "[a[b] c", false),
            ("[\u{e9}] \u{fc}ber", "\u{fc}ber", false),
            ("\u{fc}", "\u{fc}", false),
        ] {
            let expected = BaseSubject {
                text: base.to_owned(),
                reply,
            };
            assert_eq!(BaseSubject::of(subject), expected, "{subject:?}");
        }
    }

    #[test]
    fn a20_long_subjects_take_linear_time() {
        let begun = std::time::Instant::now();
        for piece in [
            "[a]",
            "[a] ",
            "re:",
            "[fwd:",
            "(fwd)",
            "[",
            "] ",
            "re[a]:[b]",
            " ",
        ] {
            for end in ["", "x", "]"] {
                BaseSubject::of(&format!("{}{end}", piece.repeat(300_000)));
            }
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    }
}
