//! The client's side of a dialog, said to any server, and its answers judged.
//!
//! Commands are sent one after the other, and the answers of each are read up
//! to the tagged one, whatever it says. Where a server wants a literal that
//! the dialog sees refused, it gets one of `x`; where it refuses one that the
//! dialog sends, the lines of the literal are left out. A value that it should
//! have named and has not is sent as the name of its hole.

use super::judge::{Expected, Rest, Said, judge};
use super::value::{Response, read};
use super::{Target, pop3};
use crate::connection::Connection;
use crate::dialog::pattern::{Values, replace};
use crate::dialog::{Action, DOMAIN, Dialog, Step};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// How long an answer may take. Servers that poll mailboxes do so each second.
const ANSWER: Duration = Duration::from_secs(8);

/// How long is waited for what a server says by itself, and for its end.
const NEWS: Duration = Duration::from_secs(4);

/// Largest literal of `x` that is sent.
const FILLER: usize = 1 << 20;

/// A command that is answered otherwise.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// The client's line, as it stands in the dialog.
    pub at: String,
    /// Its number.
    pub line: usize,
    /// What is expected and not said.
    pub ours: Vec<String>,
    /// What is said and not expected.
    pub theirs: Vec<Vec<u8>>,
}

/// What came of a dialog.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In the order of the dialog.
    pub differences: Vec<Difference>,
    /// Commands whose answers were compared.
    pub commands: usize,
}

/// Holds a dialog with a server. `stops` says which commands are its last.
pub fn replay(
    target: &dyn Target,
    dialog: &Dialog,
    domain: &str,
    stops: &dyn Fn(&str) -> bool,
) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(&dialog.path).map_err(|e| e.to_string())?;
    let folder = dialog.path.parent().and_then(|p| p.file_name());
    target
        .prepare(dialog, domain)
        .map_err(|e| format!("set-up: {e}"))?;
    let mut replay = Replay {
        target,
        protocol: folder.unwrap_or_default().to_string_lossy().into_owned(),
        tls: dialog.tls,
        domain: domain.to_owned(),
        source: text.lines().map(str::to_owned).collect(),
        stops,
        values: Values::new(),
        peers: BTreeMap::new(),
        outcome: Outcome::default(),
    };
    let mut steps = dialog.steps.clone();
    for step in &mut steps {
        if let Action::Send(pattern) | Action::Expect(pattern) = &mut step.action {
            pattern.replace(DOMAIN.as_bytes(), domain.as_bytes());
        }
    }
    let finished = replay.all(&steps);
    for (_, peer) in std::mem::take(&mut replay.peers) {
        replay.keep(peer.command);
    }
    finished?;
    let mut outcome = replay.outcome;
    outcome.differences.sort_by_key(|d| d.line);
    Ok(outcome)
}

/// A connection and the command that is under way on it.
struct Peer {
    connection: Connection,
    command: Difference,
    /// The command's last line, as it was sent.
    sent: Vec<u8>,
    /// The server is to ask for more of the command.
    unfinished: bool,
    /// It answered before it had all of the command.
    early: Vec<Said>,
    /// The dialog skips lines up to the next that it names.
    skipping: bool,
}

/// What one side says in turn, and what is expected then.
#[derive(Default)]
struct Exchange<'a> {
    sends: Vec<&'a Step>,
    expects: Vec<&'a Step>,
}

/// Why a dialog cannot go on.
enum End {
    Stop,
    Failure(String),
}

struct Replay<'a> {
    target: &'a dyn Target,
    protocol: String,
    tls: bool,
    domain: String,
    source: Vec<String>,
    stops: &'a dyn Fn(&str) -> bool,
    values: Values,
    peers: BTreeMap<u8, Peer>,
    outcome: Outcome,
}

impl Replay<'_> {
    fn all(&mut self, steps: &[Step]) -> Result<(), String> {
        let mut rest = steps;
        while let Some(first) = rest.first() {
            let number = first.connection;
            let mut exchange = Exchange::default();
            while let Some((step, tail)) = rest.split_first() {
                let sends = matches!(step.action, Action::Send(_));
                let expects = matches!(
                    step.action,
                    Action::Expect(_) | Action::Has(_) | Action::Skip
                );
                let turn = sends && !exchange.expects.is_empty();
                if step.connection != number || turn || !(sends || expects) {
                    break;
                }
                match sends {
                    true => exchange.sends.push(step),
                    false => exchange.expects.push(step),
                }
                rest = tail;
            }
            let empty = exchange.sends.is_empty() && exchange.expects.is_empty();
            let done = match (empty, rest.split_first()) {
                (true, Some((step, tail))) => {
                    rest = tail;
                    self.control(step)
                }
                _ => self.exchange(number, &exchange),
            };
            match done {
                Ok(()) => {}
                Err(End::Stop) => return Ok(()),
                Err(End::Failure(why)) => return Err(format!("line {}: {why}", first.line)),
            }
        }
        Ok(())
    }

    fn control(&mut self, step: &Step) -> Result<(), End> {
        let number = step.connection;
        match &step.action {
            Action::ClientCloses => {
                if let Some(peer) = self.peers.remove(&number) {
                    self.keep(peer.command);
                }
                Ok(())
            }
            Action::StartTls => {
                let certificate = self.target.certificate().to_vec();
                let peer = self.peer(number, step)?;
                let _ = peer.connection.set_patience(ANSWER);
                let done = peer.connection.start_tls(&certificate);
                done.map_err(|e| End::Failure(format!("TLS: {e}")))
            }
            Action::ServerCloses => {
                let until = Instant::now() + NEWS;
                let (said, end) = self.read_until(number, step, until, &mut |_, _| false)?;
                let mut rest = Rest::default();
                if !matches!(end, Reading::Closed) {
                    rest.ours.push("(closes the connection)".to_owned());
                    rest.theirs = said.into_iter().map(|s| s.raw).collect();
                }
                self.note(number, rest)
            }
            _ => Ok(()),
        }
    }

    /// The connection of that number, which a step opens when there is none.
    fn peer(&mut self, number: u8, step: &Step) -> Result<&mut Peer, End> {
        use std::collections::btree_map::Entry;
        let line = step.line;
        match self.peers.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let connection = self.target.connect(&self.protocol, self.tls);
                let connection = connection.map_err(|e| End::Failure(format!("connect: {e}")))?;
                Ok(entry.insert(Peer {
                    connection,
                    command: Difference {
                        at: self.source.get(line - 1).cloned().unwrap_or_default(),
                        line,
                        ..Difference::default()
                    },
                    sent: Vec::new(),
                    unfinished: false,
                    early: Vec::new(),
                    skipping: false,
                }))
            }
        }
    }

    fn exchange(&mut self, number: u8, exchange: &Exchange<'_>) -> Result<(), End> {
        let first = exchange.sends.first().or(exchange.expects.first());
        let Some(first) = first else {
            return Ok(());
        };
        let at = self.source.get(first.line - 1).cloned().unwrap_or_default();
        let peer = self.peer(number, first)?;
        let begins = !exchange.sends.is_empty() && !peer.unfinished;
        if begins {
            peer.early.clear();
            let command = Difference {
                at,
                line: first.line,
                ..Difference::default()
            };
            let before = std::mem::replace(&mut peer.command, command);
            self.outcome.commands += 1;
            self.keep_or_stop(before)?;
        }
        let early = self.peer(number, first)?.early.clone();
        if early.is_empty() {
            self.send(number, first, &exchange.sends)?;
        }
        let skips = |s: &&Step| s.action == Action::Skip;
        let peer = self.peer(number, first)?;
        let open = peer.skipping || exchange.expects.iter().any(skips);
        peer.skipping = match exchange.expects.last() {
            Some(last) => skips(last),
            None => peer.skipping,
        };
        match self.protocol.as_str() {
            "pop3" => self.pop3(number, first, &exchange.expects, open, early),
            _ => self.imap(number, first, &exchange.expects, open, early),
        }
    }

    fn send(&mut self, number: u8, first: &Step, sends: &[&Step]) -> Result<(), End> {
        let mut bytes = Vec::new();
        for step in sends {
            let Action::Send(pattern) = &step.action else {
                continue;
            };
            // What the server never said is named by the hole: it will not understand that.
            while let Some(name) = pattern.unbound(&self.values).map(str::to_owned) {
                self.values.insert(name.clone(), name.into_bytes());
            }
            let line = pattern.fill(&self.values).map_err(End::Failure)?;
            bytes.extend_from_slice(&line);
        }
        let peer = self.peer(number, first)?;
        // A server that has closed is found out when its answer is read.
        let _ = peer.connection.send(&bytes);
        peer.sent = bytes;
        Ok(())
    }

    fn imap(
        &mut self,
        number: u8,
        first: &Step,
        steps: &[&Step],
        open: bool,
        early: Vec<Said>,
    ) -> Result<(), End> {
        let expected = expectations(steps, &self.source).map_err(End::Failure)?;
        let tags: Vec<String> = expected.iter().filter_map(Expected::tag).collect();
        let invites = expected.last().is_some_and(Expected::invites);
        if !early.is_empty() {
            // The command is over already. What it was to say at its end is judged by what it said.
            if invites {
                return Ok(());
            }
            let peer = self.peer(number, first)?;
            (peer.unfinished, peer.early) = (false, Vec::new());
            let at = peer.command.at.clone();
            let rest = judge(&at, &expected, open, early, &mut self.values);
            return self.note(number, rest);
        }
        if expected.is_empty() {
            return Ok(());
        }
        let news = tags.is_empty() && !invites;
        let until = Instant::now() + if news { NEWS } else { ANSWER };
        let at = self.peer(number, first)?.command.at.clone();
        let values = self.values.clone();
        let mut waiting = tags.clone();
        let mut enough = |peer: &mut Peer, said: &[Said]| {
            let last = said.last();
            if news {
                let rest = judge(&at, &expected, true, said.to_vec(), &mut values.clone());
                return rest.ours.is_empty();
            }
            if let Some(tag) = last.and_then(Said::tag) {
                let known = waiting.iter().position(|w| w == tag || w.contains("{{"));
                if let Some(n) = known {
                    waiting.remove(n);
                }
                return waiting.is_empty();
            }
            let bad = last.is_some_and(|s| s.raw.starts_with(b"* BAD"));
            let asks = last.is_some_and(|s| s.raw.starts_with(b"+"));
            if asks && !invites {
                peer.fill();
            }
            asks && invites || bad && waiting.iter().any(|w| w.contains("{{"))
        };
        let (said, end) = self.read_until(number, first, until, &mut enough)?;
        let peer = self.peer(number, first)?;
        let answered = said.last().is_some_and(|s| s.tag().is_some());
        peer.unfinished = invites || news && peer.unfinished;
        if invites && answered {
            peer.early = said.clone();
            let ours = expected.iter().filter(|e| e.invites());
            let rest = Rest {
                ours: ours.map(|e| e.text.clone()).collect(),
                theirs: Vec::new(),
            };
            return self.note(number, rest);
        }
        let mut rest = judge(&at, &expected, open, said, &mut self.values);
        let quiet = news && matches!(end, Reading::Silent);
        if let Some(what) = end.text().filter(|_| !quiet) {
            rest.theirs.push(what.into_bytes());
            self.note(number, rest)?;
            return Err(End::Stop);
        }
        self.note(number, rest)
    }

    fn pop3(
        &mut self,
        number: u8,
        first: &Step,
        steps: &[&Step],
        open: bool,
        early: Vec<Said>,
    ) -> Result<(), End> {
        let mut expected = Vec::new();
        for step in steps {
            if let Action::Expect(pattern) = &step.action {
                let text = self.source.get(step.line - 1).cloned().unwrap_or_default();
                expected.push((bare(&text).to_owned(), pattern.clone()));
            }
        }
        let invites = expected.last().is_some_and(|(_, p)| p.invites_more());
        let mut said = early.clone();
        let peer = self.peer(number, first)?;
        if early.is_empty() {
            let command = String::from_utf8_lossy(&peer.sent).into_owned();
            let long = pop3::is_long(&command);
            let plain = expected.iter().filter(|(_, p)| {
                let source = p.source();
                source.starts_with(b"+") || source.starts_with(b"-ERR")
            });
            let answers = plain.count();
            let mut enough = |_: &mut Peer, said: &[Said]| {
                let good = said.first().is_some_and(|s| s.raw.starts_with(b"+OK"));
                match long && good {
                    true => said.len() > 1 && said.last().is_some_and(|s| s.raw == b"."),
                    false => said.len() >= answers,
                }
            };
            let patience = if answers > 1 { NEWS } else { ANSWER };
            let until = Instant::now() + patience;
            let (lines, end) = self.read_until(number, first, until, &mut enough)?;
            said = lines;
            if said.is_empty() {
                let theirs = vec![end.text().unwrap_or_default().as_bytes().to_vec()];
                let ours = expected.into_iter().map(|(text, _)| text).collect();
                self.note(number, Rest { ours, theirs })?;
                return Err(End::Stop);
            }
        } else if invites {
            return Ok(());
        }
        let refused = said.first().is_some_and(|s| s.raw.starts_with(b"-ERR"));
        let peer = self.peer(number, first)?;
        peer.unfinished = invites;
        peer.early = if invites && refused {
            said.clone()
        } else {
            Vec::new()
        };
        let rest = match invites && refused {
            true => Rest {
                ours: expected.into_iter().map(|(text, _)| text).collect(),
                theirs: Vec::new(),
            },
            false => {
                let lines: Vec<Vec<u8>> = said.into_iter().map(|s| s.raw).collect();
                pop3::judge(&expected, open, &lines, &mut self.values)
            }
        };
        self.note(number, rest)
    }

    /// Adds to what differs in the command under way.
    fn note(&mut self, number: u8, rest: Rest) -> Result<(), End> {
        let domain = self.domain.clone();
        let own = |bytes: &[u8]| replace(bytes, domain.as_bytes(), DOMAIN.as_bytes());
        if let Some(peer) = self.peers.get_mut(&number) {
            peer.command.ours.extend(rest.ours);
            let theirs = rest.theirs.iter().map(|raw| own(raw));
            peer.command.theirs.extend(theirs);
        }
        Ok(())
    }

    fn keep(&mut self, mut command: Difference) {
        self.pair_what_came_late(&mut command);
        if !command.ours.is_empty() || !command.theirs.is_empty() {
            self.outcome.differences.push(command);
        }
    }

    /// What a server says by itself may come when the dialog is further on: when it is said is not judged.
    fn pair_what_came_late(&mut self, command: &mut Difference) {
        let mut theirs = std::mem::take(&mut command.theirs);
        command.ours.retain(|text| {
            let source = text.replace("\\r\\n", "\r\n");
            if !matches!(read(source.as_bytes()), Some(Response::Data(_))) {
                return true;
            }
            let Ok(expected) = Expected::line(text.clone(), source.as_bytes()) else {
                return true;
            };
            let found = theirs.iter().position(|raw| {
                let said = vec![Said::imap(raw.clone())];
                let expected = std::slice::from_ref(&expected);
                let rest = judge(&command.at, expected, false, said, &mut self.values.clone());
                rest.ours.is_empty()
            });
            found.map(|n| theirs.remove(n)).is_none()
        });
        command.theirs = theirs;
    }

    fn keep_or_stop(&mut self, command: Difference) -> Result<(), End> {
        let stop = (self.stops)(&command.at);
        self.keep(command);
        if stop { Err(End::Stop) } else { Ok(()) }
    }

    /// Reads responses until there are enough of them.
    fn read_until(
        &mut self,
        number: u8,
        step: &Step,
        until: Instant,
        enough: &mut dyn FnMut(&mut Peer, &[Said]) -> bool,
    ) -> Result<(Vec<Said>, Reading), End> {
        let imap = self.protocol != "pop3";
        let peer = self.peer(number, step)?;
        let mut said = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let patience = left.max(Duration::from_millis(10));
            let _ = peer.connection.set_patience(patience);
            match response(&mut peer.connection, imap) {
                Ok(Some(raw)) => said.push(match imap {
                    true => Said::imap(raw),
                    false => Said { raw, tree: None },
                }),
                Ok(None) => return Ok((said, Reading::Closed)),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    return Ok((said, Reading::Silent));
                }
                Err(e) => return Ok((said, Reading::Garbled(e.to_string()))),
            }
            if enough(peer, &said) {
                return Ok((said, Reading::Enough));
            }
        }
    }
}

impl Peer {
    /// Gives the server the literal that it asks for, or gives up what it wants to go on with.
    fn fill(&mut self) {
        let line = self.sent.strip_suffix(b"\r\n").unwrap_or(&self.sent);
        let line = String::from_utf8_lossy(line);
        let count = line.strip_suffix('}').and_then(|l| l.rsplit_once('{'));
        let count = count.and_then(|(_, digits)| digits.parse().ok());
        let bytes = match count {
            Some(n) if n <= FILLER => [&vec![b'x'; n], b"\r\n".as_slice()].concat(),
            Some(_) => return,
            None => b"*\r\n".to_vec(),
        };
        let _ = self.connection.send(&bytes);
    }
}

/// How reading ended.
#[derive(Debug)]
enum Reading {
    Enough,
    Closed,
    Silent,
    Garbled(String),
}

impl Reading {
    fn text(&self) -> Option<String> {
        match self {
            Reading::Enough => None,
            Reading::Closed => Some("(closes the connection)".to_owned()),
            Reading::Silent => Some("(says no more)".to_owned()),
            Reading::Garbled(why) => Some(format!("({why})")),
        }
    }
}

/// A line; over IMAP with the literals in it.
fn response(connection: &mut Connection, imap: bool) -> io::Result<Option<Vec<u8>>> {
    let Some(mut raw) = connection.read_line()? else {
        return Ok(None);
    };
    while let Some(count) = announced(&raw).filter(|_| imap) {
        raw.extend_from_slice(b"\r\n");
        raw.extend_from_slice(&connection.read_octets(count)?);
        raw.extend_from_slice(&connection.read_line()?.unwrap_or_default());
    }
    Ok(Some(raw))
}

/// The line of a dialog without `S: ` before it.
fn bare(line: &str) -> &str {
    let text = line.split_once(':').map_or(line, |(_, text)| text);
    text.strip_prefix(' ').unwrap_or(text)
}

/// What the steps expect; the lines of a literal belong to one response.
fn expectations(steps: &[&Step], source: &[String]) -> Result<Vec<Expected>, String> {
    let mut expected = Vec::new();
    let mut rest = steps.iter();
    while let Some(step) = rest.next() {
        let text = |step: &Step| bare(source.get(step.line - 1).map_or("", |l| l)).to_owned();
        match &step.action {
            Action::Has(words) => expected.push(Expected::words(text(step), words)),
            Action::Expect(pattern) if goes_on(&expected, &pattern.source()) => {
                if let Some(before) = expected.pop() {
                    expected.push(before.and(&text(step), &pattern.source())?);
                }
            }
            Action::Expect(pattern) => {
                let (mut name, mut bytes) = (text(step), pattern.source());
                while let Some(count) = announced(&bytes) {
                    let begin = bytes.len() + 2;
                    while bytes.len() < begin + count + usize::from(count == 0) {
                        let next = rest.next();
                        let Some((line, Action::Expect(more))) = next.map(|s| (s, &s.action))
                        else {
                            return Err(format!("line {}: the literal is cut short", step.line));
                        };
                        bytes.extend_from_slice(b"\r\n");
                        bytes.extend_from_slice(&more.source());
                        name = format!("{name}\\r\\n{}", text(line));
                    }
                }
                expected.push(Expected::line(name, &bytes)?);
            }
            _ => {}
        }
    }
    Ok(expected)
}

/// Whether a line belongs to the response before it, whose literal `{{*}}` hides.
fn goes_on(before: &[Expected], line: &[u8]) -> bool {
    let words = line.split(|&b| b == b' ').collect::<Vec<_>>();
    let any_answer = matches!(words.as_slice(), [tag, b"{{*}}"] if !tag.ends_with(b":"));
    let begins = line.starts_with(b"* ") || any_answer;
    before.last().is_some_and(Expected::may_hide_a_literal) && !begins && read(line).is_none()
}

/// The octets of the literal that a response goes on with.
fn announced(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let (_, digits) = text.strip_suffix('}')?.rsplit_once('{')?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_literal_are_one_expectation() {
        let text = "S: * 1 FETCH (BODY[1] {5}\nS: a\nS: b\n S:\n".replace(" S:\n", "");
        let text = format!("{text}S:  UID 1)\nS: c OK {{{{*}}}}\n");
        let text = text.replace("{5}", "{6}");
        let dialog = Dialog::parse(&text).expect("dialog");
        let source: Vec<String> = text.lines().map(str::to_owned).collect();
        let steps: Vec<&Step> = dialog.steps.iter().collect();
        let expected = expectations(&steps, &source).expect("expectations");
        assert_eq!(expected.len(), 2);
        assert_eq!(expected[1].tag().as_deref(), Some("c"));
        assert!(expected[0].text.ends_with("{6}\\r\\na\\r\\nb\\r\\n UID 1)"));
    }
}
