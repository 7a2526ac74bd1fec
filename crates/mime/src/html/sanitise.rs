//! HTML that is safe to show: read with html5ever's tokenizer, written anew from a list of what is allowed.
//!
//! Nothing is passed through: every tag is written from its parsed name and attributes, every text is escaped, what was opened
//! is closed. Elements whose content is no text (scripts, styles, frames, foreign content) go with all that is in them, so the
//! output has no place where a browser could read it differently.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::escape;

/// What is done with pictures on other machines: loading one tells its sender that the message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// They are left out; pictures of the message itself (`cid:`) stay.
    Blocked,
    /// They stay.
    Allowed,
}

const ALLOWED: [&str; 58] = [
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
];
const ALLOWED_MORE: [&str; 6] = ["thead", "tr", "tt", "u", "ul", "var"];
/// Elements without content.
const VOID: [&str; 4] = ["br", "col", "hr", "img"];
/// Elements that go with their content; the tokenizer has to know which content is no markup.
const DROPPED: [&str; 19] = [
    "applet", "audio", "canvas", "embed", "frameset", "head", "iframe", "math", "noembed",
    "noframes", "noscript", "object", "script", "select", "style", "svg", "template", "textarea",
    "title",
];
const ATTRIBUTES: [&str; 27] = [
    "abbr",
    "align",
    "alt",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "cite",
    "class",
    "color",
    "colspan",
    "datetime",
    "dir",
    "face",
    "height",
    "headers",
    "hspace",
    "lang",
    "rowspan",
    "scope",
    "size",
    "span",
    "start",
    "title",
    "valign",
    "vspace",
    "width",
];
/// Elements open at once that are still written as elements; deeper ones are flattened.
const MAX_OPEN: usize = 200;

/// HTML for showing in a page: without scripts, styles, forms, frames, remote pictures if they are blocked, and links to
/// anything but web and mail.
///
/// ```
/// use waxwing_mime::html::{Remote, sanitise};
/// let html = sanitise("<p onclick=x()>Hi <script>alert(1)</script><a href='javascript:x'>y</a>", Remote::Blocked);
/// assert_eq!(html, "<p>Hi <a>y</a></p>");
/// ```
pub fn sanitise(html: &str, remote: Remote) -> String {
    let sink = Sink {
        state: RefCell::new(State {
            out: String::new(),
            open: Vec::new(),
            dropped: Vec::new(),
        }),
        remote,
    };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let mut state = tokenizer.sink.state.take();
    while let Some(name) = state.open.pop() {
        state.out.push_str(&format!("</{name}>"));
    }
    state.out
}

#[derive(Default)]
struct State {
    out: String,
    /// Names of elements that were written and not closed.
    open: Vec<String>,
    /// Elements that go with their content, as they are open.
    dropped: Vec<String>,
}

struct Sink {
    state: RefCell<State>,
    remote: Remote,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                return self.start(&mut state, &tag);
            }
            Token::TagToken(tag) => end(&mut state, &tag.name),
            Token::CharacterTokens(text) if state.dropped.is_empty() => {
                let text = escape(&text);
                state.out.push_str(&text);
            }
            _ => (),
        }
        TokenSinkResult::Continue
    }
}

impl Sink {
    fn start(&self, state: &mut State, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        // The body is shown, whatever a head before it forgot to close.
        if name == "body" {
            state.dropped.clear();
        }
        if DROPPED.contains(&name) {
            if state.dropped.len() < MAX_OPEN
                && !(tag.self_closing && matches!(name, "svg" | "math"))
            {
                state.dropped.push(name.to_string());
            }
            return match name {
                "script" | "style" | "iframe" | "noembed" | "noframes" => {
                    TokenSinkResult::RawData(RawKind::Rawtext)
                }
                "textarea" | "title" => TokenSinkResult::RawData(RawKind::Rcdata),
                // No end tag follows.
                "embed" => {
                    state.dropped.pop();
                    TokenSinkResult::Continue
                }
                _ => TokenSinkResult::Continue,
            };
        }
        if name == "plaintext" {
            return TokenSinkResult::Plaintext;
        }
        let allowed = ALLOWED.contains(&name) || ALLOWED_MORE.contains(&name);
        if !state.dropped.is_empty() || !allowed || state.open.len() >= MAX_OPEN {
            return TokenSinkResult::Continue;
        }
        state.out.push('<');
        state.out.push_str(name);
        for attribute in &tag.attrs {
            let key: &str = &attribute.name.local;
            if let Some(value) = self.attribute(name, key, &attribute.value) {
                state
                    .out
                    .push_str(&format!(" {key}=\"{}\"", escape(&value)));
            }
        }
        if name == "a" && state.out.ends_with('"') {
            state
                .out
                .push_str(" target=\"_blank\" rel=\"noopener noreferrer nofollow\"");
        }
        state.out.push('>');
        if !VOID.contains(&name) {
            state.open.push(name.to_string());
        }
        TokenSinkResult::Continue
    }

    /// The value of an attribute that may stay.
    fn attribute(&self, element: &str, name: &str, value: &str) -> Option<String> {
        match name {
            "href" if element == "a" => has_scheme(value, &["http", "https", "mailto", "tel"])
                .then(|| value.trim().to_string()),
            "src" if element == "img" => {
                let own = has_scheme(value, &["cid"]);
                let remote =
                    self.remote == Remote::Allowed && has_scheme(value, &["http", "https"]);
                (own || remote).then(|| value.trim().to_string())
            }
            "cite" => has_scheme(value, &["http", "https"]).then(|| value.trim().to_string()),
            _ if ATTRIBUTES.contains(&name) => Some(value.to_string()),
            _ => None,
        }
    }
}

fn end(state: &mut State, name: &str) {
    if let Some(at) = state.dropped.iter().rposition(|open| open == name) {
        state.dropped.truncate(at);
        return;
    }
    if !state.dropped.is_empty() {
        return;
    }
    if let Some(at) = state.open.iter().rposition(|open| open == name) {
        while state.open.len() > at {
            let Some(open) = state.open.pop() else { break };
            state.out.push_str(&format!("</{open}>"));
        }
    }
}

/// An absolute address of one of these schemes. Control characters, which browsers leave out, make it none.
fn has_scheme(value: &str, schemes: &[&str]) -> bool {
    let value = value.trim();
    let Some((scheme, _)) = value.split_once(':') else {
        return false;
    };
    !value.chars().any(char::is_control)
        && schemes
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dangerous_goes() {
        for (html, safe) in [
            ("<p>a</p>", "<p>a</p>"),
            ("<script>x</script>y", "y"),
            ("<SCRIPT SRC=x></SCRIPT >y<script>never closed <p>", "y"),
            ("<img src=x onerror=alert(1)>", "<img>"),
            (
                "<img src=cid:a><img src='http://t.example/x.gif'>",
                "<img src=\"cid:a\"><img>",
            ),
            ("<a href=' java\nscript:x'>a</a>", "<a>a</a>"),
            ("<a href='&#106;avascript:x'>a</a>", "<a>a</a>"),
            (
                "<a href='https://a.example/?a=\"b'>a",
                "<a href=\"https://a.example/?a=&quot;b\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">a</a>",
            ),
            ("<svg><style><img src=x></style><p>in</svg>out", "out"),
            (
                "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
                "",
            ),
            (
                "<style><img src=\"</style><img src=x onerror=alert(1)>\">",
                "<img>&quot;&gt;",
            ),
            (
                "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
                "",
            ),
            ("<title></title><form action=x><input>text</form>", "text"),
            ("</div></td>a<b>b", "a<b>b</b>"),
            (
                "<html><head><title>t</title></head><body bgcolor=red>b",
                "b",
            ),
            ("<head><p>x<body>shown", "shown"),
            ("a<!-- <script> -->b<!doctype html>", "ab"),
            (
                "<p style='position:fixed' class=c id=i>x",
                "<p class=\"c\">x</p>",
            ),
            ("&lt;script&gt;", "&lt;script&gt;"),
            ("<plaintext><script>", "&lt;script&gt;"),
            ("<xmp><script>x</script></xmp>", ""),
        ] {
            assert_eq!(sanitise(html, Remote::Blocked), safe, "{html}");
        }
        assert_eq!(
            sanitise("<img src=http://a.example/>", Remote::Allowed),
            "<img src=\"http://a.example/\">"
        );
    }

    #[test]
    fn output_stays_as_it_is() {
        for html in [
            "<p>a<b>c</p>d<table><tr><td>x",
            "<a href=mailto:a@b.example>x</a>&amp;&lt;",
            "<ul><li>a<li>b</ul>",
        ] {
            let once = sanitise(html, Remote::Blocked);
            let links = |text: &str| {
                text.replace(
                    " target=\"_blank\" rel=\"noopener noreferrer nofollow\"",
                    "",
                )
            };
            assert_eq!(links(&sanitise(&once, Remote::Blocked)), links(&once));
        }
    }

    #[test]
    fn deep_documents_are_flattened() {
        let out = sanitise(&"<div>".repeat(100_000), Remote::Blocked);
        assert_eq!(out.matches("<div>").count(), MAX_OPEN);
    }
}
