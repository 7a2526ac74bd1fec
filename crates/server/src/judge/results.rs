//! Authentication-Results (RFC 8601): writing ours, reading those that sealers report, and removing what claims to be ours.

use std::fmt::Write as _;
use std::ops::Range;

/// Methods read from one field; nobody's has as many.
const RESULTS: usize = 100;

/// The field that is being written.
#[derive(Debug)]
pub struct Field {
    text: String,
    empty: bool,
}

/// A result of a field that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// `dmarc`, in lower case.
    pub method: String,
    /// `pass`, in lower case.
    pub result: String,
    /// `ptype.property` in lower case, and the value.
    properties: Vec<(String, String)>,
}

impl Field {
    /// A field of the server of this name.
    pub fn new(server: &str) -> Field {
        Field {
            text: format!("Authentication-Results: {server}"),
            empty: true,
        }
    }

    /// Adds a result with its properties. Empty properties are left out.
    pub fn add(&mut self, method: &str, result: &str, comment: &str, properties: &[(&str, &str)]) {
        self.empty = false;
        let _ = write!(self.text, ";\r\n\t{method}={result}");
        let comment: String = comment
            .chars()
            .filter(|letter| letter.is_ascii_alphanumeric() || " .,=-_".contains(*letter))
            .collect();
        if !comment.is_empty() {
            let _ = write!(self.text, " ({comment})");
        }
        for (property, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(self.text, "\r\n\t {property}={}", quoted(value));
        }
    }

    /// The field with its line break.
    pub fn finish(mut self) -> String {
        if self.empty {
            self.text.push_str("; none");
        }
        self.text.push_str("\r\n");
        self.text
    }
}

/// A `pvalue`: as it is where it is a token or a plain address, else quoted. Nothing in it can end the field or begin
/// another result (A32).
fn quoted(value: &str) -> String {
    let token = |octet: u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet);
    let plain = match value.rsplit_once('@') {
        Some((local, domain)) => {
            !local.is_empty() && local.bytes().all(token) && domain.bytes().all(token)
        }
        None => value.bytes().all(token),
    };
    if plain && !value.is_empty() {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for letter in value.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        // The message may not be one of RFC 6532.
        out.push(if letter.is_ascii() { letter } else { '?' });
    }
    out.push('"');
    out
}

/// The fields of a header that claim to be of the server of this name (RFC 8601 §5), as ranges of the message.
pub fn claiming(message: &[u8], header: usize, server: &str) -> Vec<Range<usize>> {
    mime::header::fields(message, 0..header)
        .filter(|field| {
            let name = field.name().trim_ascii();
            name.eq_ignore_ascii_case(b"Authentication-Results")
                && words(field.value()).next().is_none_or(|first| {
                    let id = first.first().map(|(text, _)| text.as_str());
                    id.is_none_or(|id| id.trim_end_matches('.').eq_ignore_ascii_case(server))
                })
        })
        .map(|field| field.range())
        .collect()
}

/// The results of a field's value. The server's name and the instance of an ARC field are no results.
pub fn parse(value: &[u8]) -> Vec<Read> {
    let mut all = Vec::new();
    for words in words(value).take(RESULTS) {
        let Some((method, result)) = pair(&words, 0) else {
            continue;
        };
        // `method/version`
        let method = method.split('/').next().unwrap_or_default();
        let mut read = Read {
            method: method.to_ascii_lowercase(),
            result: result.to_ascii_lowercase(),
            properties: Vec::new(),
        };
        let mut at = 3;
        while at < words.len() {
            match pair(&words, at) {
                Some((name, value)) => {
                    let property = (name.to_ascii_lowercase(), value.to_owned());
                    read.properties.push(property);
                    at = at.saturating_add(3);
                }
                None => at = at.saturating_add(1),
            }
        }
        all.push(read);
    }
    all
}

impl Read {
    /// The value of a property, `header.from`; None where it is not told, or twice.
    pub fn property(&self, name: &str) -> Option<&str> {
        let mut found = self.properties.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// A word, and whether it was quoted.
type Word = (String, bool);

fn pair(words: &[Word], at: usize) -> Option<(&str, &str)> {
    match words.get(at..at.saturating_add(3))? {
        [(name, false), (equals, false), (value, _)] if equals == "=" => Some((name, value)),
        _ => None,
    }
}

/// The words between semicolons: atoms, `=`, and quoted strings; comments are none (RFC 5322 §3.2.2).
fn words(value: &[u8]) -> impl Iterator<Item = Vec<Word>> {
    let text = String::from_utf8_lossy(value).into_owned();
    let mut all = vec![Vec::new()];
    let mut word = String::new();
    let mut letters = text.chars();
    let mut depth = 0_usize;
    while let Some(letter) = letters.next() {
        let ends = depth > 0 || letter.is_whitespace() || "();=\"".contains(letter);
        if ends && !word.is_empty() {
            add(&mut all, (std::mem::take(&mut word), false));
        }
        match letter {
            '\\' if depth > 0 => drop(letters.next()),
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 || letter.is_whitespace() => {}
            ';' => all.push(Vec::new()),
            '=' => add(&mut all, ("=".to_owned(), false)),
            '"' => {
                let mut string = String::new();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' => string.extend(letters.next()),
                        other => string.push(other),
                    }
                }
                add(&mut all, (string, true));
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        add(&mut all, (word, false));
    }
    all.into_iter()
}

fn add(all: &mut [Vec<Word>], word: Word) {
    if let Some(last) = all.last_mut() {
        last.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let mut field = Field::new("mx.example.test");
        field.add("spf", "pass", "", &[("smtp.mailfrom", "a@b.example")]);
        field.add("iprev", "fail", "", &[("policy.iprev", "2001:db8::1")]);
        field.add(
            "dmarc",
            "fail",
            "p=reject (x)",
            &[("header.from", "b.example"), ("x.y", "")],
        );
        let field = field.finish();
        assert_eq!(
            field,
            "Authentication-Results: mx.example.test;\r\n\tspf=pass\r\n\t smtp.mailfrom=a@b.example;\r\n\
             \tiprev=fail\r\n\t policy.iprev=\"2001:db8::1\";\r\n\tdmarc=fail (p=reject x)\r\n\t header.from=b.example\r\n"
        );
        let value = field.split_once(':').unwrap().1;
        let read = parse(value.as_bytes());
        assert_eq!(read.len(), 3);
        assert_eq!(read[1].property("policy.iprev"), Some("2001:db8::1"));
        assert_eq!(
            (read[2].method.as_str(), read[2].result.as_str()),
            ("dmarc", "fail")
        );
        assert_eq!(
            Field::new("x").finish(),
            "Authentication-Results: x; none\r\n"
        );
    }

    /// A32: values of peers stay values.
    #[test]
    fn a32_values_cannot_forge_results() {
        for value in [
            "x; dkim=pass header.d=legit.example",
            "a\"; dkim=pass; x=\"b",
            "a\\\"; dkim=pass",
            "a\r\nAuthentication-Results: mx.example.test; dkim=pass",
            "(",
            ")",
            "a@b@c",
            "legit(a.attack.example",
            "a b",
            "é@ü.example",
        ] {
            let mut field = Field::new("mx.example.test");
            field.add("spf", "fail", value, &[("smtp.mailfrom", value)]);
            let field = field.finish();
            assert_eq!(
                field.matches("\r\n").count(),
                field.matches("\r\n\t").count() + 1,
                "{field:?}"
            );
            let read = parse(field.split_once(':').unwrap().1.as_bytes());
            assert_eq!(read.len(), 1, "{field}");
            let clean: String = value
                .chars()
                .filter(|letter| !letter.is_control())
                .map(|letter| if letter.is_ascii() { letter } else { '?' })
                .collect();
            assert_eq!(
                read[0].property("smtp.mailfrom"),
                Some(clean.as_str()),
                "{field}"
            );
        }
    }

    /// A32: fields that claim to be ours, in every spelling.
    #[test]
    fn a32_forged_fields_are_found() {
        for value in [
            " mx.example.test; dkim=pass",
            "mx.example.test 1; none",
            "\r\n (it is us)\r\n MX.Example.Test.;dkim=pass",
            " \"mx.example.test\"; dkim=pass",
            " ((a)\\)b) mx.example.test(x);",
            "",
        ] {
            for name in [
                "Authentication-Results",
                "AUTHENTICATION-RESULTS",
                "Authentication-Results ",
            ] {
                let message = format!("{name}:{value}\r\nTo: x\r\n\r\n").into_bytes();
                let found = claiming(&message, message.len(), "mx.example.test");
                assert_eq!(found.len(), 1, "{name}:{value:?}");
            }
        }
        for other in [
            "Authentication-Results: mx.example.test.evil.example; dkim=pass",
            "Authentication-Results: other.example (mx.example.test); dkim=pass",
            "ARC-Authentication-Results: i=1; mx.example.test; dkim=pass",
            "X-Authentication-Results: mx.example.test; dkim=pass",
        ] {
            let message = format!("{other}\r\n\r\n").into_bytes();
            assert!(
                claiming(&message, message.len(), "mx.example.test").is_empty(),
                "{other}"
            );
        }
    }

    #[test]
    fn what_sealers_write_is_read() {
        let value =
            b" i=1; mx.google.example;\r\n dkim=pass header.i=@a.example header.s=s (ok; fine)\
            header.b=abc;\r\n arc=none; dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=A.example";
        let read = parse(value);
        let dmarc = read.iter().find(|result| result.method == "dmarc").unwrap();
        assert_eq!(dmarc.property("header.from"), Some("A.example"));
        let dkim = read.iter().find(|result| result.method == "dkim").unwrap();
        assert_eq!(dkim.property("header.b"), Some("abc"));
        // A property told twice is believed in neither form.
        let twice = parse(b"x; dmarc=pass header.from=a.example header.from=b.example");
        assert_eq!(twice[0].property("header.from"), None);
    }
}
