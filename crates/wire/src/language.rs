//! Languages of human text, and which one a client means (RFC 4647).
//!
//! What a text is in a language is its owner's to know: a session is handed functions and passes each text it sends through
//! the one that was chosen.

/// The longest range looked at; the longest registered tag has 35 octets (RFC 5646 §4.4.1).
const RANGE_LIMIT: usize = 64;

/// A language of human text.
#[derive(Debug, Clone, Copy)]
pub struct Language {
    /// Its tag (RFC 5646): `de`.
    pub tag: &'static str,
    /// Its name in itself: `Deutsch`.
    pub name: &'static str,
    /// A text in it; None where it stays as it is.
    pub translate: fn(&str) -> Option<String>,
}

/// The languages that a session can be switched to.
#[derive(Debug, Clone, Copy)]
pub struct Languages {
    /// All of them, in the order told.
    pub all: &'static [Language],
    /// The place of the one that the administrator prefers.
    pub preferred: usize,
}

impl Languages {
    /// No choice.
    pub const NONE: Languages = Languages {
        all: &[],
        preferred: 0,
    };

    /// The language that a range means: `*` the preferred one, others by lookup (RFC 4647 §3.4), which takes `de-AT` for
    /// `de` where there is nothing closer.
    pub fn choose(&self, range: &str) -> Option<&'static Language> {
        if range == "*" {
            return self.all.get(self.preferred);
        }
        if !is_range(range) {
            return None;
        }
        let mut range = range;
        loop {
            let exact = |language: &&Language| language.tag.eq_ignore_ascii_case(range);
            if let Some(found) = self.all.iter().find(exact) {
                return Some(found);
            }
            (range, _) = range.rsplit_once('-')?;
            // RFC 4647 §3.4: a single letter means something only with what follows it.
            while let Some((shorter, last)) = range.rsplit_once('-')
                && last.len() == 1
            {
                range = shorter;
            }
        }
    }
}

/// ```text
/// language-range = (1*8ALPHA *("-" 1*8alphanum)) / "*"
/// ```
/// (RFC 4647 §2.1.)
pub fn is_range(text: &str) -> bool {
    let subtag = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|octet| octet.is_ascii_alphanumeric())
    };
    let primary = text.split('-').next().unwrap_or_default();
    text == "*"
        || (text.len() <= RANGE_LIMIT
            && text.split('-').all(subtag)
            && primary.bytes().all(|octet| octet.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(_: &str) -> Option<String> {
        None
    }

    const fn language(tag: &'static str) -> Language {
        Language {
            tag,
            name: tag,
            translate: same,
        }
    }

    const LANGUAGES: Languages = Languages {
        all: &[
            language("i-default"),
            language("en"),
            language("de"),
            language("zh-Hant"),
        ],
        preferred: 2,
    };

    #[test]
    fn ranges_choose_the_closest() {
        for (range, expected) in [
            ("de", Some("de")),
            ("DE", Some("de")),
            ("de-AT", Some("de")),
            ("de-Latn-AT-1996", Some("de")),
            ("en-x-twain", Some("en")),
            ("zh-Hant-TW", Some("zh-Hant")),
            ("zh", None),
            ("i-default", Some("i-default")),
            ("*", Some("de")),
            ("mul", None),
            ("d", None),
            ("", None),
            ("-de", None),
            ("de-", None),
            ("de_AT", None),
            ("de-\u{e9}", None),
            ("de-*", None),
        ] {
            let found = LANGUAGES.choose(range).map(|language| language.tag);
            assert_eq!(found, expected, "{range}");
        }
        let endless = "a-".repeat(1000);
        assert!(
            LANGUAGES.choose(&endless).is_none()
                && LANGUAGES.choose(&format!("{endless}a")).is_none()
        );
        assert!(Languages::NONE.choose("*").is_none());
    }
}
