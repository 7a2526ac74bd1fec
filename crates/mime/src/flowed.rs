//! format=flowed (RFC 3676): paragraphs whose lines were broken for transport.

/// A line of the text, put together again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How many times it is quoted.
    pub quotes: usize,
    /// Without quote marks.
    pub text: String,
}

/// RFC 3676 §4: joins lines that flow, takes quote marks and stuffing away. `delsp`: the parameter DelSp was `yes`.
///
/// ```
/// let lines = waxwing_mime::flowed::decode("> one \r\n> two\r\nthree\r\n", false);
/// assert_eq!((lines[0].quotes, lines[0].text.as_str()), (1, "one two"));
/// assert_eq!((lines[1].quotes, lines[1].text.as_str()), (0, "three"));
/// ```
pub fn decode(text: &str, delsp: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = false;
    for raw in text.lines() {
        let unquoted = raw.trim_start_matches('>');
        let quotes = raw.len() - unquoted.len();
        let content = unquoted.strip_prefix(' ').unwrap_or(unquoted);
        // RFC 3676 §4.3: the signature separator flows with nothing.
        let signature = content == "-- ";
        let flows = content.ends_with(' ') && !signature;
        let kept = if flows && delsp {
            content.strip_suffix(' ').unwrap_or(content)
        } else {
            content
        };
        match lines
            .last_mut()
            .filter(|last| open && !signature && last.quotes == quotes)
        {
            Some(last) => last.text.push_str(kept),
            None => lines.push(Line {
                quotes,
                text: kept.to_string(),
            }),
        }
        open = flows;
    }
    lines
}

/// RFC 3676 §4.2: breaks paragraphs into lines of at most 72 characters that flow together again.
pub fn encode(lines: &[Line]) -> String {
    const WIDTH: usize = 72;
    let mut out = String::new();
    for line in lines {
        let marks = ">".repeat(line.quotes);
        let signature = line.text == "-- ";
        let text = if signature {
            line.text.as_str()
        } else {
            line.text.trim_end_matches(' ')
        };
        let mut rest = text;
        loop {
            let stuffed =
                line.quotes > 0 || rest.starts_with([' ', '>']) || rest.starts_with("From ");
            let head = if stuffed {
                format!("{marks} ")
            } else {
                String::new()
            };
            out.push_str(&head);
            let room = WIDTH.saturating_sub(head.len()).max(20);
            let fits = rest.char_indices().nth(room).map(|(at, _)| at);
            let cut = fits.filter(|_| !signature).and_then(|limit| {
                let window = rest.get(..limit).unwrap_or_default();
                window
                    .rfind(' ')
                    .or_else(|| rest.find(' '))
                    .map(|at| at + 1)
                    .filter(|at| *at < rest.len())
            });
            let Some((now, later)) = cut.and_then(|at| rest.split_at_checked(at)) else {
                out.push_str(rest);
                out.push_str("\r\n");
                break;
            };
            out.push_str(now);
            out.push_str("\r\n");
            rest = later;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_survive() {
        let long = "word ".repeat(50);
        let lines = vec![
            Line {
                quotes: 0,
                text: long.trim_end().into(),
            },
            Line {
                quotes: 2,
                text: long.trim_end().into(),
            },
            Line {
                quotes: 0,
                text: " stuffed".into(),
            },
            Line {
                quotes: 0,
                text: ">no quote".into(),
            },
            Line {
                quotes: 0,
                text: "-- ".into(),
            },
            Line {
                quotes: 0,
                text: String::new(),
            },
            Line {
                quotes: 0,
                text: "From me".into(),
            },
        ];
        let text = encode(&lines);
        assert!(text.lines().all(|line| line.len() <= 78));
        assert_eq!(decode(&text, false), lines);
    }

    #[test]
    fn blanks_that_are_no_text() {
        assert_eq!(
            decode("a \r\nb", true),
            [Line {
                quotes: 0,
                text: "ab".into()
            }]
        );
        assert_eq!(
            decode("> a \r\nb", false),
            [
                Line {
                    quotes: 1,
                    text: "a ".into()
                },
                Line {
                    quotes: 0,
                    text: "b".into()
                }
            ]
        );
    }
}
