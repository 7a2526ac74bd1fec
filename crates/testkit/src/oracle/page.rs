//! The page of documentation that a file of differences becomes.

use super::explain::{Differences, Ground};
use std::fmt::Write as _;

/// Longest text of a cell.
const CELL: usize = 160;

/// The tables, Markdown.
pub fn tables(differences: &Differences) -> String {
    let mut page = String::from(
        "## In every dialog\n\n| Ours | Theirs | Right | Paragraph | Why |\n|---|---|---|---|---|\n",
    );
    for (ours, theirs, ground) in differences.everywhere() {
        let cells = [lines(ours), lines(theirs)];
        let _ = writeln!(page, "| {} | {} | {} |", cells[0], cells[1], why(ground));
    }
    let mut dialog = "";
    for entry in &differences.entries {
        // What follows from a difference says nothing by itself.
        if matches!(entry.ground, Ground::Follows(_)) {
            continue;
        }
        if entry.dialog != dialog {
            dialog = &entry.dialog;
            let _ = write!(
                page,
                "\n## {dialog}\n\n| Client | Ours | Theirs | Right | Paragraph | Why |\n|---|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            code(&entry.at),
            lines(&entry.ours),
            lines(&entry.theirs),
            why(&entry.ground)
        );
    }
    page
}

fn why(ground: &Ground) -> String {
    match ground {
        Ground::Paragraph(reason) => {
            format!("{} | {} | {}", reason.right, reason.rfc, plain(&reason.why))
        }
        Ground::Lacks(word) => format!("– | – | it does not announce {}", code(word)),
        Ground::Follows(at) => format!("– | – | follows {}", code(at)),
    }
}

fn lines(texts: &[String]) -> String {
    match texts {
        [] => "–".to_owned(),
        texts => texts
            .iter()
            .map(|t| code(t))
            .collect::<Vec<_>>()
            .join("<br>"),
    }
}

/// A text as it is on the wire.
fn code(text: &str) -> String {
    let mut cut: String = text.chars().take(CELL).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    let cut = cut.replace('|', "\\|");
    match cut.contains('`') {
        true => format!("`` {cut} ``"),
        false => format!("`{cut}`"),
    }
}

fn plain(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('*', "\\*")
        .replace('_', "\\_")
}
