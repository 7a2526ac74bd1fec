//! SASLprep (RFC 4013): one spelling for names and passwords that look alike.

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// Prepares a user name or password. `None` when it holds forbidden characters or is empty once prepared.
///
/// Code points that Unicode 3.2 (2002) did not assign are let through, as RFC 3454 §7 has it for queries: a client
/// prepares a query, and a server that refused to store what clients may send would refuse every emoji.
pub fn prepare(text: &str) -> Option<String> {
    // RFC 4013 §2.1
    let mapped = text
        .chars()
        .map(|letter| match tables::non_ascii_space_character(letter) {
            true => ' ',
            false => letter,
        })
        .filter(|letter| !tables::commonly_mapped_to_nothing(*letter));
    // RFC 4013 §2.2
    let prepared: String = mapped.nfkc().collect();
    let right = !prepared.is_empty() && !prepared.contains(is_prohibited) && has_one_way(&prepared);
    right.then_some(prepared)
}

/// RFC 4013 §2.3
fn is_prohibited(letter: char) -> bool {
    tables::non_ascii_space_character(letter)
        || tables::ascii_control_character(letter)
        || tables::non_ascii_control_character(letter)
        || tables::private_use(letter)
        || tables::non_character_code_point(letter)
        || tables::surrogate_code(letter)
        || tables::inappropriate_for_plain_text(letter)
        || tables::inappropriate_for_canonical_representation(letter)
        || tables::change_display_properties_or_deprecated(letter)
        || tables::tagging_character(letter)
}

/// RFC 3454 §6: where anything is written from right to left, nothing is written from left to right, and both ends
/// are of the former.
fn has_one_way(text: &str) -> bool {
    if !text.contains(tables::bidi_r_or_al) {
        return true;
    }
    !text.contains(tables::bidi_l)
        && text.starts_with(tables::bidi_r_or_al)
        && text.ends_with(tables::bidi_r_or_al)
}
