//! FUZZY (RFC 6203): words that are like those asked for, and how much.
//!
//! A text matches when each word of the needle is like some word of the text: the same, its beginning, part of it, or
//! written with a letter or two wrong. Marks on letters do not count, nor does the order of words. The score is the mean
//! of how near the words come; rarer keys score by [`super::eval`].
//!
//! Limits: [`WORDS`] words are asked for, each of [`LETTERS`] letters; longer words of a text are compared by their
//! beginning. So a text costs time in proportion to its length.

use unicode_normalization::char::is_combining_mark;

use super::fold::Collation;

/// Words of a needle that count.
const WORDS: usize = 16;

/// Letters of a word that count.
const LETTERS: usize = 32;

/// The words of a fuzzy needle.
#[derive(Debug)]
pub struct Fuzzy {
    words: Vec<Vec<char>>,
}

impl Fuzzy {
    /// The words of a text.
    pub fn new(text: &str) -> Fuzzy {
        let mut found = Vec::new();
        each_word(text, &mut |word| {
            if found.len() < WORDS {
                found.push(word.to_vec());
            }
        });
        Fuzzy { words: found }
    }

    /// No words: the text was signs and blanks.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How well the text matches, from 1 to 100; `None` if a word is missing.
    pub fn score(&self, text: &str) -> Option<u8> {
        let mut best = vec![0u8; self.words.len()];
        let mut rows = Rows::default();
        each_word(text, &mut |word| {
            for (wanted, best) in self.words.iter().zip(&mut best) {
                if *best < 100 {
                    *best = (*best).max(likeness(wanted, word, &mut rows));
                }
            }
        });
        if best.contains(&0) {
            return None;
        }
        let sum: u32 = best.iter().map(|score| u32::from(*score)).sum();
        let count = u32::try_from(best.len()).unwrap_or(1).max(1);
        u8::try_from(sum / count).ok()
    }
}

/// Shows each word of a text, folded and without marks.
fn each_word(text: &str, each: &mut dyn FnMut(&[char])) {
    let mut word: Vec<char> = Vec::with_capacity(LETTERS);
    let mut folded = String::new();
    // A stretch of signs and blanks ends a word; folding whole texts would take room in proportion.
    for stretch in text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c)) {
        if stretch.is_empty() {
            continue;
        }
        folded.clear();
        let end = stretch
            .char_indices()
            .nth(LETTERS * 2)
            .map_or(stretch.len(), |(at, _)| at);
        Collation::UnicodeCasemap.fold_into(stretch.get(..end).unwrap_or(stretch), &mut folded);
        word.clear();
        word.extend(
            folded
                .chars()
                .filter(|c| !is_combining_mark(*c))
                .take(LETTERS),
        );
        if !word.is_empty() {
            each(&word);
        }
    }
}

/// Three rows of the table of edit distances.
#[derive(Default)]
struct Rows {
    before: Vec<u8>,
    last: Vec<u8>,
    next: Vec<u8>,
}

/// How like the wanted word a word is, 0 for not at all.
fn likeness(wanted: &[char], word: &[char], rows: &mut Rows) -> u8 {
    if word == wanted {
        return 100;
    }
    if word.starts_with(wanted) {
        return 85;
    }
    if wanted.len() >= 3 && word.windows(wanted.len()).any(|part| part == wanted) {
        return 70;
    }
    let allowed = match wanted.len() {
        0..=3 => return 0,
        4..=7 => 1,
        _ => 2,
    };
    if word.len().abs_diff(wanted.len()) > allowed {
        return 0;
    }
    match distance(wanted, word, rows) {
        1 => 60,
        2 if allowed == 2 => 40,
        _ => 0,
    }
}

/// Letters to insert, remove, change or swap. Both words are [`LETTERS`] long at most, so the table is small.
fn distance(one: &[char], other: &[char], rows: &mut Rows) -> usize {
    let width = other.len().saturating_add(1);
    rows.before.clear();
    rows.before.resize(width, 0);
    rows.last.clear();
    rows.last.extend((0..width).map(|n| n as u8));
    for (i, a) in one.iter().enumerate() {
        rows.next.clear();
        rows.next.push((i as u8).saturating_add(1));
        for (j, b) in other.iter().enumerate() {
            let at = |row: &[u8], n: usize| row.get(n).copied().unwrap_or(u8::MAX);
            let change = at(&rows.last, j).saturating_add(u8::from(a != b));
            let insert = at(&rows.next, j).saturating_add(1);
            let remove = at(&rows.last, j.saturating_add(1)).saturating_add(1);
            let mut least = change.min(insert).min(remove);
            let swapped = i > 0
                && j > 0
                && one.get(i.saturating_sub(1)) == Some(b)
                && other.get(j.saturating_sub(1)) == Some(a);
            if swapped {
                least = least.min(at(&rows.before, j.saturating_sub(1)).saturating_add(1));
            }
            rows.next.push(least);
        }
        std::mem::swap(&mut rows.before, &mut rows.last);
        std::mem::swap(&mut rows.last, &mut rows.next);
    }
    usize::from(rows.last.last().copied().unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_alike() {
        for (wanted, text, expected) in [
            ("Helo", "he said: hello!", Some(60)),
            ("Helo", "help me", Some(60)),
            ("Helo", "HELO there", Some(100)),
            ("IMAP break", "broken IMAP: a break", Some(100)),
            ("IMAP break", "breaks in imap", Some(92)),
            ("cafe", "Café", Some(100)),
            ("received", "recieved", Some(60)),
            ("received", "recived it", Some(60)),
            ("cat", "cot", None),
            ("cat", "concatenate", Some(70)),
            ("meeting", "totally different", None),
            ("отпуск", "ОТПУСКА", Some(85)),
        ] {
            assert_eq!(Fuzzy::new(wanted).score(text), expected, "{wanted}: {text}");
        }
        assert!(Fuzzy::new("... --").is_empty());
    }

    #[test]
    fn long_words_cost_little() {
        let text = "x".repeat(1 << 20);
        assert_eq!(Fuzzy::new("yyyyyyyyyyyy").score(&text), None);
        let marks = format!("e{}", "\u{301}".repeat(1 << 18));
        assert_eq!(Fuzzy::new("ever").score(&marks), None);
    }
}
