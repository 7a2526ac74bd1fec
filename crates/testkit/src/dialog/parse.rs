//! Reading a dialog file.

use super::pattern::Pattern;
use std::path::{Path, PathBuf};

/// A message that lies in a mailbox when the dialog begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Local part of the account.
    pub account: String,
    /// By APPEND with these arguments (mailbox, flags, date), else by LMTP.
    pub append: Option<String>,
    /// The message, CRLF lines.
    pub text: Vec<u8>,
}

/// What one line of a dialog does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The client sends this.
    Send(Pattern),
    /// The server's next line matches.
    Expect(Pattern),
    /// The server's next line has these words, and not those with `!`.
    Has(Vec<String>),
    /// Lines are skipped up to the next expectation.
    Skip,
    /// The server closes.
    ServerCloses,
    /// The client closes.
    ClientCloses,
    /// The client begins TLS.
    StartTls,
    /// End of a pipelined group.
    Sync,
}

/// A line of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line number in the file, from 1.
    pub line: usize,
    /// Connection, 1 to 9.
    pub connection: u8,
    /// What happens.
    pub action: Action,
}

/// A dialog file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialog {
    /// Where it was read.
    pub path: PathBuf,
    /// Local parts of the accounts, each with a quota in octets (0: none).
    pub accounts: Vec<(String, u64)>,
    /// Local part of the alias and those of its targets.
    pub aliases: Vec<(String, Vec<String>)>,
    /// Messages present from the start.
    pub mails: Vec<Mail>,
    /// Settings `table.key=value` of a server of its own.
    pub settings: Vec<(String, String)>,
    /// Implicit TLS.
    pub tls: bool,
    /// Why it is not run pipelined.
    pub no_pipeline: Option<String>,
    /// Why it is not run octet by octet.
    pub no_octets: Option<String>,
    /// Capabilities that a server must have for this dialog.
    pub needs: Vec<String>,
    /// Why other servers are not asked.
    pub ours: Option<String>,
    /// The conversation.
    pub steps: Vec<Step>,
}

impl Dialog {
    /// Reads a file; errors name the line.
    pub fn read(path: &Path) -> Result<Dialog, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut dialog = Dialog::parse(&text).map_err(|e| format!("{}:{e}", path.display()))?;
        dialog.path = path.to_owned();
        Ok(dialog)
    }

    /// Parses the text of a file.
    pub fn parse(text: &str) -> Result<Dialog, String> {
        let mut dialog = Dialog::default();
        let mut in_mail = false;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let fail = |why: String| format!("{number}: {why}");
            if let Some(body) = line.strip_prefix('|') {
                let mail = dialog.mails.last_mut().filter(|_| in_mail);
                let mail =
                    mail.ok_or_else(|| fail("`|` without @append or @deliver".to_owned()))?;
                mail.text
                    .extend_from_slice(body.strip_prefix(' ').unwrap_or(body).as_bytes());
                mail.text.extend_from_slice(b"\r\n");
                continue;
            }
            in_mail = false;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(directive) = line.strip_prefix('@') {
                in_mail = dialog.directive(number, directive).map_err(fail)?;
            } else {
                let step = step(number, line).map_err(fail)?;
                dialog.steps.push(step);
            }
        }
        if dialog.steps.is_empty() {
            return Err("1: no C: or S: line".to_owned());
        }
        Ok(dialog)
    }

    /// Returns whether message lines follow.
    fn directive(&mut self, line: usize, text: &str) -> Result<bool, String> {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        match name {
            "account" => {
                let (account, options) = rest.split_once(' ').unwrap_or((rest, ""));
                let quota = match options.trim() {
                    "" => 0,
                    option => option
                        .strip_prefix("quota=")
                        .and_then(|n| n.parse().ok())
                        .ok_or_else(|| format!("unknown option {option:?}"))?,
                };
                self.accounts.push((account.to_owned(), quota));
            }
            "alias" => {
                let mut words = rest.split_whitespace().map(str::to_owned);
                let alias = words.next().ok_or("@alias NAME TARGET…")?;
                self.aliases.push((alias, words.collect()));
            }
            "append" | "deliver" => {
                let (account, arguments) = rest.split_once(' ').unwrap_or((rest, "INBOX"));
                self.mails.push(Mail {
                    account: account.to_owned(),
                    append: (name == "append").then(|| arguments.to_owned()),
                    text: Vec::new(),
                });
                return Ok(true);
            }
            "server" => {
                let (key, value) = rest.split_once('=').ok_or("@server table.key=value")?;
                self.settings.push((key.to_owned(), value.to_owned()));
            }
            "tls" => self.tls = true,
            "needs" if !rest.is_empty() => {
                let words = rest.split_whitespace();
                self.needs.extend(words.map(str::to_ascii_uppercase));
            }
            "ours" if !rest.is_empty() => self.ours = Some(rest.to_owned()),
            "no-octets" if !rest.is_empty() => self.no_octets = Some(rest.to_owned()),
            "no-pipeline" if rest.is_empty() => {
                return Err("@no-pipeline wants a reason".to_owned());
            }
            "no-pipeline" => self.no_pipeline = Some(rest.to_owned()),
            "sync" => self.steps.push(Step {
                line,
                connection: 1,
                action: Action::Sync,
            }),
            other => return Err(format!("unknown directive @{other}")),
        }
        Ok(false)
    }
}

fn step(line: usize, text: &str) -> Result<Step, String> {
    let (head, body) = text.split_once(':').unwrap_or((text, ""));
    let body = body.strip_prefix(' ').unwrap_or(body);
    let (side, suffix) = head.split_once('-').unwrap_or((head, ""));
    let mut side = side.chars();
    let who = side.next();
    let connection = match side.as_str() {
        "" => 1,
        digit => digit
            .parse::<u8>()
            .ok()
            .filter(|n| (1..=9).contains(n))
            .ok_or("C1 to C9")?,
    };
    let action = match (who, suffix) {
        (Some('C'), "") => Action::Send(Pattern::parse(&format!("{body}\r\n"))?),
        (Some('C'), "raw") => Action::Send(Pattern::raw(body)?),
        (Some('C'), "tls") => Action::StartTls,
        (Some('C'), "close") => Action::ClientCloses,
        (Some('S'), "") if body == "..." => Action::Skip,
        (Some('S'), "") => Action::Expect(Pattern::parse(body)?),
        (Some('S'), "has") => Action::Has(body.split_whitespace().map(str::to_owned).collect()),
        (Some('S'), "close") => Action::ServerCloses,
        _ => return Err(format!("neither C:, S: nor @directive: {text:?}")),
    };
    Ok(Step {
        line,
        connection,
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_accounts_mails_and_steps() {
        let dialog = Dialog::parse(
            "# head\n@account alice quota=10\n@append alice INBOX (\\Seen)\n| A: b\n|\n| c\n\nS: * OK {{*}}\nC2: x NOOP\nS-has: A !B\nC-close\n",
        )
        .expect("dialog");
        assert_eq!(dialog.accounts, [("alice".to_owned(), 10)]);
        assert_eq!(dialog.mails[0].text, b"A: b\r\n\r\nc\r\n");
        assert_eq!(dialog.mails[0].append.as_deref(), Some("INBOX (\\Seen)"));
        let connections: Vec<u8> = dialog.steps.iter().map(|s| s.connection).collect();
        assert_eq!(connections, [1, 2, 1, 1]);
        assert_eq!(dialog.steps[3].action, Action::ClientCloses);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, want) in [
            ("X: y\n", "1: neither"),
            ("S: a\n| b\n", "2: `|` without"),
            ("@no-pipeline\nS: a\n", "1: @no-pipeline wants"),
            ("# nothing\n", "1: no C:"),
            ("C: {{x\n", "1: `{{` without"),
        ] {
            let got = Dialog::parse(text).expect_err(text);
            assert!(got.starts_with(want), "{got:?} for {text:?}");
        }
    }
}
