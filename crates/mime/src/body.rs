//! Which parts of a message are its text, its HTML and its attachments (RFC 8621 §4.1.4), and a preview.

use crate::{Kind, Message, Part};

/// The parts by what a reader does with them. Media shown within the text are in both `text` and `html`, as RFC 8621 has it.
#[derive(Clone, Debug, Default)]
pub struct BodyLists<'a> {
    /// To be shown as plain text.
    pub text: Vec<Part<'a>>,
    /// To be shown as HTML.
    pub html: Vec<Part<'a>>,
    /// To be saved.
    pub attachments: Vec<Part<'a>>,
}

/// Which way down a multipart leads.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// In a multipart/alternative.
    alternative: bool,
    /// The list still takes parts of this way.
    to_text: bool,
    to_html: bool,
}

impl Message<'_> {
    /// Sorts the leaves of the message. Nested messages are attachments, and not looked into.
    ///
    /// ```
    /// let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\nContent-Type: image/png\r\n\
    ///     Content-Disposition: attachment\r\n\r\n...\r\n--b--\r\n";
    /// let message = waxwing_mime::Message::parse(raw);
    /// let lists = message.body_lists();
    /// assert_eq!((lists.text.len(), lists.html.len(), lists.attachments.len()), (1, 1, 1));
    /// ```
    pub fn body_lists(&self) -> BodyLists<'_> {
        let mut lists = BodyLists::default();
        collect(
            &[self.root()],
            "mixed",
            Way {
                alternative: false,
                to_text: true,
                to_html: true,
            },
            &mut lists,
        );
        lists
    }

    /// The part that `cid:` followed by this id refers to (RFC 2392).
    pub fn by_content_id(&self, id: &str) -> Option<Part<'_>> {
        let id = id.trim_start_matches('<').trim_end_matches('>');
        self.parts()
            .find(|part| part.content_id().is_some_and(|own| own == id))
    }

    /// Up to 256 characters of what the message says, without quoted lines and surplus blanks.
    pub fn preview(&self) -> String {
        let lists = self.body_lists();
        let mut out = String::new();
        for part in &lists.text {
            if !part.is_text() {
                continue;
            }
            // Enough for 256 characters of any text with some quoting before them.
            let (text, _) = part.text_up_to(PREVIEW_SOURCE);
            let text = if part.is("text", "html") {
                crate::html::to_text_plainly(&text)
            } else {
                text
            };
            add_preview(&text, &mut out);
            if out.chars().count() >= PREVIEW {
                break;
            }
        }
        out.chars()
            .take(PREVIEW)
            .collect::<String>()
            .trim_end()
            .to_string()
    }
}

/// RFC 8621 §4.1.4: a preview has at most 256 characters.
const PREVIEW: usize = 256;
/// Octets of a body that are read for a preview.
const PREVIEW_SOURCE: usize = 64 * 1024;

fn add_preview(text: &str, out: &mut String) {
    for line in text.lines().filter(|line| !line.starts_with('>')) {
        for word in line.split_whitespace() {
            if out.len() > PREVIEW * 4 {
                return;
            }
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
}

/// RFC 8621 §4.1.4, the algorithm given there in words of our own: a part is inline if it is text or displayable media, not
/// marked as an attachment, and the first of its multipart or without a file name. Depth is bounded by the parser.
fn collect<'a>(parts: &[Part<'a>], subtype: &str, mut way: Way, lists: &mut BodyLists<'a>) {
    let (text_before, html_before) = (lists.text.len(), lists.html.len());
    for (index, part) in parts.iter().copied().enumerate() {
        if part.kind() == Kind::Multipart {
            let children: Vec<Part> = part.children().collect();
            let (_, own) = part.media_type();
            let alternative = way.alternative || own == "alternative";
            collect(&children, &own, Way { alternative, ..way }, lists);
            continue;
        }
        if !is_inline(part, index, subtype) {
            lists.attachments.push(part);
            continue;
        }
        if subtype == "alternative" {
            match () {
                _ if part.is("text", "plain") => lists.text.push(part),
                _ if part.is("text", "html") => lists.html.push(part),
                _ => lists.attachments.push(part),
            }
            continue;
        }
        if way.alternative {
            way.to_html &= !part.is("text", "plain");
            way.to_text &= !part.is("text", "html");
        }
        if way.to_text {
            lists.text.push(part);
        }
        if way.to_html {
            lists.html.push(part);
        }
        if (!way.to_text || !way.to_html) && is_media(part) {
            lists.attachments.push(part);
        }
    }
    if subtype == "alternative" && way.to_text && way.to_html {
        // Only one kind is there: it stands for the other too.
        if lists.text.len() == text_before {
            lists
                .text
                .extend_from_slice(lists.html.get(html_before..).unwrap_or_default());
        } else if lists.html.len() == html_before {
            lists
                .html
                .extend_from_slice(lists.text.get(text_before..).unwrap_or_default());
        }
    }
}

fn is_media(part: Part) -> bool {
    part.is("image", "*") || part.is("audio", "*") || part.is("video", "*")
}

fn is_inline(part: Part, index: usize, subtype: &str) -> bool {
    let shown = part.is("text", "plain") || part.is("text", "html") || is_media(part);
    let attached = part
        .disposition()
        .is_some_and(|(token, _)| token == "attachment");
    part.kind() == Kind::Leaf
        && shown
        && !attached
        && (index == 0 || (subtype != "related" && (is_media(part) || part.file_name().is_none())))
}

#[cfg(test)]
mod tests {
    use crate::Message;
    use crate::write::build::{Builder, PartBuilder};

    fn lists(raw: &[u8]) -> [Vec<u32>; 3] {
        let message = Message::parse(raw);
        let lists = message.body_lists();
        [lists.text, lists.html, lists.attachments]
            .map(|list| list.iter().map(|part| part.id()).collect())
    }

    #[test]
    fn usual_structures() {
        let both = Builder::new()
            .text("t")
            .html("<p>h")
            .inline(PartBuilder::bytes("image/png", *b"i").inline("c"))
            .attach(PartBuilder::bytes("application/pdf", *b"p").attachment("p.pdf"))
            .to_vec();
        // 0 mixed, 1 alternative, 2 text, 3 related, 4 html, 5 image, 6 pdf
        assert_eq!(lists(&both), [vec![2], vec![4], vec![5, 6]]);
        assert_eq!(
            Message::parse(&both)
                .by_content_id("c")
                .map(|part| part.id()),
            Some(5)
        );
        assert_eq!(
            lists(&Builder::new().html("<p>h").to_vec()),
            [vec![0], vec![0], vec![]]
        );
        assert_eq!(lists(b"\r\nhello"), [vec![0], vec![0], vec![]]);
        let nested = Builder::new()
            .text("see")
            .attach(PartBuilder::message("Subject: x\r\n\r\ninner"))
            .to_vec();
        assert_eq!(lists(&nested), [vec![1], vec![1], vec![2]]);
    }

    #[test]
    fn the_example_of_rfc_8621() {
        let text = |name: &str| PartBuilder::text(name);
        let image = |name: &str| PartBuilder::bytes("image/jpeg", name.as_bytes());
        let raw = Builder::new()
            .body(PartBuilder::multipart(
                "mixed",
                [
                    text("A"),
                    PartBuilder::multipart(
                        "mixed",
                        [
                            PartBuilder::multipart(
                                "alternative",
                                [
                                    PartBuilder::multipart(
                                        "mixed",
                                        [text("B"), image("C").inline("c"), text("D")],
                                    ),
                                    PartBuilder::multipart(
                                        "related",
                                        [PartBuilder::html("E"), image("F")],
                                    ),
                                ],
                            ),
                            image("G").attachment("g.jpg"),
                            PartBuilder::bytes("application/x-excel", *b"H"),
                            PartBuilder::message(*b"Subject: J\r\n\r\n"),
                        ],
                    ),
                    text("K"),
                ],
            ))
            .to_vec();
        let message = Message::parse(&raw);
        let lists = message.body_lists();
        let names = |list: &[crate::Part]| {
            list.iter()
                .map(|part| {
                    String::from_utf8_lossy(&part.decoded().0)
                        .chars()
                        .next()
                        .unwrap()
                })
                .collect::<String>()
        };
        assert_eq!(names(&lists.text), "ABCDK");
        assert_eq!(names(&lists.html), "AEK");
        assert_eq!(names(&lists.attachments), "CFGHS");
    }

    #[test]
    fn previews() {
        let raw = b"\r\n> quoted\r\n  Hello\r\n\r\n  there,   you\r\n";
        assert_eq!(Message::parse(raw).preview(), "Hello there, you");
        let raw = b"Content-Type: text/html\r\n\r\n<style>p{}</style><p>Hello&nbsp;<b>there</b>&amp; you</p>";
        assert_eq!(Message::parse(raw).preview(), "Hello there& you");
        let long = [b"\r\n".as_slice(), &b"word ".repeat(1000)].concat();
        assert!(Message::parse(&long).preview().chars().count() <= 256);
    }
}
