//! `waxwing mime`: looks into a message in a file, without any server or store.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use mime::{Kind, Message, Part};
use serde_json::{Value, json};

use super::{Context, Result, show};

/// What is done with the message. `-` for FILE reads standard input.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the parts: type, size, name
    Tree { file: PathBuf },
    /// Show the header fields, decoded
    Headers { file: PathBuf },
    /// Show the message as plain text
    Text { file: PathBuf },
    /// Show the HTML of the message, made safe; without its remote pictures
    Html { file: PathBuf },
    /// Save the attachments, under names made safe
    Extract { dir: PathBuf, file: PathBuf },
    /// Say what is wrong with the message, and where; fails if anything is
    Lint { file: PathBuf },
}

pub(super) fn run(command: Command, context: &Context) -> Result<ExitCode> {
    let json = context.json;
    match command {
        Command::Tree { file } => tree(&Message::parse(&read(&file)?), json),
        Command::Headers { file } => headers(&Message::parse(&read(&file)?), json),
        Command::Text { file } => text(&Message::parse(&read(&file)?), json),
        Command::Html { file } => html(&Message::parse(&read(&file)?), json),
        Command::Extract { dir, file } => extract(&Message::parse(&read(&file)?), &dir, json)?,
        Command::Lint { file } => return Ok(lint(&Message::parse(&read(&file)?), json)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The octets of a file, or of standard input for `-`.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        let mut raw = Vec::new();
        std::io::stdin().read_to_end(&mut raw)?;
        return Ok(raw);
    }
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Text from a message on one line of a terminal.
fn line(text: &str) -> String {
    show::text(&Value::from(text))
}

fn part_json(part: Part) -> Value {
    let (kind, subtype) = part.media_type();
    json!({
        "type": format!("{kind}/{subtype}"),
        "encoding": part.encoding().name(),
        "size": part.raw_body().len(),
        "name": part.file_name(),
        "disposition": part.disposition().map(|(token, _)| token.into_owned()),
        "header": [part.header_range().start, part.header_range().end],
        "body": [part.body_range().start, part.body_range().end],
        "parts": part.children().map(part_json).collect::<Vec<_>>(),
    })
}

fn tree(message: &Message, json: bool) {
    if json {
        return say!("{:#}", part_json(message.root()));
    }
    for part in message.parts() {
        let depth = std::iter::successors(part.parent(), Part::parent).count();
        let (kind, subtype) = part.media_type();
        let name = part
            .file_name()
            .map(|name| format!("  {}", line(&name)))
            .unwrap_or_default();
        let size = part.raw_body().len();
        say!(
            "{}{kind}/{subtype}  {}  {size}{name}",
            "  ".repeat(depth),
            part.encoding().name()
        );
    }
}

fn headers(message: &Message, json: bool) {
    let fields = message.root().fields();
    if json {
        let rows: Vec<Value> = fields
            .map(|field| json!({ "name": field.name_text(), "value": field.text() }))
            .collect();
        return say!("{:#}", Value::from(rows));
    }
    for field in fields {
        say!("{}: {}", field.name_text(), line(&field.text()));
    }
}

fn text(message: &Message, json: bool) {
    let mut out = String::new();
    for part in message
        .body_lists()
        .text
        .iter()
        .filter(|part| part.is_text())
    {
        let (text, _) = part.text();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&if part.is("text", "html") {
            mime::html::to_text(&text, 80)
        } else {
            text
        });
    }
    match json {
        true => say!("{:#}", json!({ "text": out })),
        false => say!("{}", out.trim_end()),
    }
}

fn html(message: &Message, json: bool) {
    let mut out = String::new();
    for part in message
        .body_lists()
        .html
        .iter()
        .filter(|part| part.is_text())
    {
        let (text, _) = part.text();
        let source = if part.is("text", "html") {
            text
        } else {
            format!("<pre>{}</pre>", mime::html::escape(&text))
        };
        out.push_str(&mime::html::sanitise(&source, mime::html::Remote::Blocked));
    }
    match json {
        true => say!("{:#}", json!({ "html": out })),
        false => say!("{}", out.trim_end()),
    }
}

/// Two attachments of one name get numbers; a file that is there is left alone.
fn extract(message: &Message, dir: &Path, json: bool) -> Result {
    std::fs::create_dir_all(dir)?;
    let mut rows = Vec::new();
    for part in message.body_lists().attachments {
        let raw_name = part.file_name().or_else(|| {
            part.children()
                .next()
                .and_then(|inner| inner.subject())
                .map(|subject| subject + ".eml")
        });
        let name = mime::file_name::safe(raw_name.as_deref().unwrap_or_default());
        let data = if part.kind() == Kind::Leaf {
            part.decoded().0.into_owned()
        } else {
            part.raw_body().to_vec()
        };
        let path = write_new(dir, &name, &data)?;
        if !json {
            say!("{}", path.display());
        }
        rows.push(json!({ "file": path, "name": part.file_name(), "size": data.len() }));
    }
    if json {
        say!("{:#}", Value::from(rows));
    }
    Ok(())
}

fn write_new(dir: &Path, name: &str, data: &[u8]) -> Result<PathBuf> {
    use std::io::Write;
    /// More files of one name are no accident.
    const MOST: usize = 10_000;
    for n in 0..MOST {
        let path = dir.join(if n == 0 {
            name.to_owned()
        } else {
            format!("{n}-{name}")
        });
        match std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
        {
            Ok(mut file) => {
                file.write_all(data)?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => (),
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        }
    }
    Err(format!("{} has too many files named {name}", dir.display()).into())
}

fn lint(message: &Message, json: bool) -> ExitCode {
    let defects = mime::lint(message);
    if json {
        say!(
            "{:#}",
            Value::from(defects.iter().map(defect_json).collect::<Vec<_>>())
        );
    } else {
        for defect in &defects {
            say!("{defect}");
        }
    }
    if defects.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is wrong, where, and what it means.
pub(super) fn defect_json(defect: &mime::Defect) -> Value {
    json!({
        "kind": format!("{:?}", defect.kind),
        "start": defect.range.start,
        "end": defect.range.end,
        "explanation": defect.kind.explain(),
        "ambiguous": defect.kind.is_ambiguous(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &[u8] = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
        Content-Type: image/png; name=\"../a.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\nQUJD\r\n\
        --b\r\nContent-Type: image/png; name=a.png\r\nContent-Disposition: attachment\r\n\r\nDEF\r\n--b--\r\n";

    #[test]
    fn attachments_are_saved_beside_each_other() {
        let dir = tempfile::tempdir().unwrap();
        extract(&Message::parse(RAW), dir.path(), false).unwrap();
        assert_eq!(std::fs::read(dir.path().join("a.png")).unwrap(), b"ABC");
        assert_eq!(std::fs::read(dir.path().join("1-a.png")).unwrap(), b"DEF");
    }

    #[test]
    fn trees_hold_all_parts() {
        let tree = part_json(Message::parse(RAW).root());
        assert_eq!(tree["parts"].as_array().unwrap().len(), 3);
        assert_eq!(tree["parts"][1]["encoding"], "base64");
    }

    #[test]
    fn lint_fails_on_defects() {
        let code = |raw: &[u8]| format!("{:?}", lint(&Message::parse(raw), true));
        assert_eq!(code(RAW), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(b"no header"), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(b"Date: ?\r\n\r\n"), format!("{:?}", ExitCode::FAILURE));
    }
}
