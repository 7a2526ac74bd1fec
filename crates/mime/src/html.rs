//! Text from HTML, and HTML that is safe to show.

/// The text of an HTML document in a few lines, for previews and search: tags, scripts and styles removed, entities of
/// everyday use replaced. One pass; nothing is interpreted.
pub fn to_text_plainly(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 4);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (text, tail) = rest.split_at(at);
        out.push_str(text);
        rest = match tail.strip_prefix('<') {
            Some(tag) => skip_tag(tag, &mut out),
            None => entity(tail, &mut out),
        };
    }
    out.push_str(rest);
    out
}

/// Behind the `<` of a tag; what is after the tag, or after the element if it has no text.
fn skip_tag<'a>(tag: &'a str, out: &mut String) -> &'a str {
    if let Some(comment) = tag.strip_prefix("!--") {
        return comment
            .find("-->")
            .and_then(|at| comment.get(at + 3..))
            .unwrap_or_default();
    }
    if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
        out.push('<');
        return tag;
    }
    let end = tag.find('>').map_or(tag.len(), |at| at + 1);
    let (inside, rest) = tag.split_at_checked(end).unwrap_or((tag, ""));
    let name: String = inside
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '/')
        .collect::<String>()
        .to_ascii_lowercase();
    if matches!(name.as_str(), "script" | "style" | "title" | "head")
        && !inside.ends_with("/>")
        && name != "head"
    {
        let close = format!("</{name}");
        let at = find_ignoring_case(rest, &close).unwrap_or(rest.len());
        let tail = rest.get(at..).unwrap_or_default();
        return tail
            .find('>')
            .and_then(|at| tail.get(at + 1..))
            .unwrap_or_default();
    }
    let block = matches!(
        name.trim_start_matches('/'),
        "p" | "br"
            | "div"
            | "li"
            | "ul"
            | "ol"
            | "tr"
            | "td"
            | "th"
            | "table"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "blockquote"
            | "pre"
            | "hr"
    );
    if block {
        out.push('\n');
    }
    rest
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'<', bytes).find(|at| {
        bytes
            .get(*at..*at + wanted.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

/// At an `&`.
fn entity<'a>(tail: &'a str, out: &mut String) -> &'a str {
    let body = tail.get(1..).unwrap_or_default();
    let end = body
        .bytes()
        .take(32)
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'#')
        .count();
    let (name, rest) = body.split_at_checked(end).unwrap_or((body, ""));
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    let number = name
        .strip_prefix('#')
        .and_then(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        });
    let found = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "shy" | "zwnj" | "zwj" => return rest,
        "hellip" => Some('…'),
        "ndash" => Some('–'),
        "mdash" => Some('—'),
        "lsquo" => Some('‘'),
        "rsquo" => Some('’'),
        "ldquo" => Some('“'),
        "rdquo" => Some('”'),
        "auml" => Some('ä'),
        "ouml" => Some('ö'),
        "uuml" => Some('ü'),
        "Auml" => Some('Ä'),
        "Ouml" => Some('Ö'),
        "Uuml" => Some('Ü'),
        "szlig" => Some('ß'),
        "eacute" => Some('é'),
        "egrave" => Some('è'),
        "euro" => Some('€'),
        _ => number.and_then(char::from_u32),
    };
    match found {
        Some(c) => {
            out.push(c);
            rest
        }
        None => {
            out.push('&');
            body
        }
    }
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{FFFD}'),
            _ => out.push(c),
        }
    }
    out
}

/// The text of an HTML document for reading: tables, lists, links and quotes laid out, lines of at most `width` characters.
/// Documents that the layout gives up on are read plainly.
#[cfg(feature = "html")]
pub fn to_text(html: &str, width: usize) -> String {
    // The layout needs memory for every element: no reader misses what is behind that much.
    const MOST: usize = 4 << 20;
    let mut end = html.len().min(MOST);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    let html = html.get(..end).unwrap_or_default();
    if nested_too_deep(html) {
        return to_text_plainly(html);
    }
    html2text::from_read(html.as_bytes(), width.max(20)).unwrap_or_else(|_| to_text_plainly(html))
}

/// The layout keeps a stack for open elements; documents of people stay far below.
#[cfg(feature = "html")]
fn nested_too_deep(html: &str) -> bool {
    let (mut depth, mut deepest) = (0usize, 0usize);
    for at in memchr::memchr_iter(b'<', html.as_bytes()) {
        match html.as_bytes().get(at + 1) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b) if b.is_ascii_alphabetic() => {
                let name = html.as_bytes().get(at + 1..at + 4).unwrap_or_default();
                let void = [
                    &b"br"[..],
                    b"img",
                    b"hr",
                    b"met",
                    b"lin",
                    b"inp",
                    b"p>",
                    b"li",
                ];
                if !void.iter().any(|tag| {
                    name.get(..tag.len())
                        .is_some_and(|n| n.eq_ignore_ascii_case(tag))
                }) {
                    depth += 1;
                }
            }
            _ => (),
        }
        deepest = deepest.max(depth);
    }
    deepest > 500
}

#[cfg(feature = "html")]
pub use sanitise::{Remote, sanitise};

#[cfg(feature = "html")]
mod sanitise;

#[cfg(test)]
mod tests {
    use super::to_text_plainly;

    #[test]
    fn tags_and_entities_go() {
        for (html, text) in [
            ("a<b>b</b>c", "abc"),
            ("<p>a<br>b", "\na\nb"),
            ("<STYLE>x<y></style >z<script>alert('<p>')</script>", "z"),
            (
                "1 < 2 &amp; 3 &#x3e; 2 &unknown; &#99999999;",
                "1 < 2 & 3 > 2 &unknown; &#99999999;",
            ),
            ("a<!-- <b> -->c<", "ac<"),
            ("<p", "\n"),
            ("&", "&"),
        ] {
            assert_eq!(to_text_plainly(html), text, "{html}");
        }
    }
}
