//! LANGUAGE (RFC 5255 §3): in which language people read what the server answers.

use ::imap::{Reply, Untagged};

use super::{Answer, Imap, Link, list};
use crate::language::languages;

/// Tells the languages, or chooses the first wanted that is there.
pub fn language(imap: &mut Imap, link: &mut Link, wanted: &[String]) -> Answer {
    let languages = languages(imap.shared.config().language);
    if wanted.is_empty() {
        let tags = languages.all.iter().map(|language| language.tag.to_owned());
        link.session.untagged(&Untagged::Language(tags.collect()));
        return Ok(Reply::ok("the languages are"));
    }
    // RFC 5255 §3.2: `default` is the administrator's choice. `*` means the same in POP3, and is a range.
    let chosen = wanted.iter().find_map(|range| match range.as_str() {
        default if default.eq_ignore_ascii_case("default") => languages.choose("*"),
        range => languages.choose(range),
    });
    let Some(chosen) = chosen else {
        return Ok(Reply::no("this language is not known here"));
    };
    link.session.set_language(chosen);
    let told = Untagged::Language(vec![chosen.tag.to_owned()]);
    link.session.untagged(&told);
    if imap.account.is_some() {
        list::namespace(link);
    }
    Ok(Reply::ok("this is the language from here on"))
}
