//! Programs beside this server that look at messages before they are taken: milters and rspamd.
//!
//! Owns: their conversations over one SMTP connection ([`Conversations`]), the changes they ask for, and what happens when
//! one of them fails.
//!
//! Invariants: a message is stored as all filters want it, or it is not stored; a filter that breaks off in the middle of a
//! change has changed nothing. A filter that cannot be asked means 451, unless the configuration says that mail goes
//! past it; then the decision record says so.
//!
//! Limits: each step of a filter ends within its timeout, whatever it sends meanwhile; replies are bounded by
//! [`packet::LIMIT`], what a filter may add to a message by [`edit::ADDED`].

mod edit;
mod milter;
mod packet;
mod rspamd;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use smtp::reply::{Enhanced, Reply};
use smtp::server::Kind;

pub use milter::Scene;

use crate::judge::{Check, Judgement, Verdict};
use crate::pipeline::Arrival;
use crate::shared::Shared;
use crate::strangers;
use edit::Edit;
use milter::Conversation;

/// A filter could not be asked (A57).
pub const UNAVAILABLE: Reply = Reply::new(
    451,
    Enhanced(4, 7, 1),
    "The message cannot be examined now, try again later",
);

/// A filter refuses, in words of ours.
pub const REFUSED: Reply = Reply::new(550, Enhanced(5, 7, 1), "Refused by a filter of this server");

/// Where a milter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Host and port.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(address) => f.write_str(address),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A milter, of the tables `[[milter]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milter {
    /// Where it listens.
    pub place: Place,
    /// How long one step may take.
    pub timeout: Duration,
    /// Whether mail goes on without it when it fails.
    pub open: bool,
    /// Whose mail it sees.
    pub kinds: Vec<Kind>,
}

/// The table `[rspamd]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rspamd {
    /// Its address, `http://127.0.0.1:11333`.
    pub url: String,
    /// The password, where it wants one.
    pub password: Option<String>,
    /// How long a check may take.
    pub timeout: Duration,
    /// Whether mail goes on without it when it fails.
    pub open: bool,
    /// Whose mail it sees.
    pub kinds: Vec<Kind>,
}

/// The filters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Milters, in the order in which they are asked.
    pub milters: Vec<Milter>,
    /// Rspamd, asked behind them.
    pub rspamd: Option<Rspamd>,
}

/// What the filters say of a whole message.
#[derive(Debug, Default)]
pub struct Findings {
    /// What each looked at, and its result.
    pub checks: Vec<Check>,
    /// It goes to Junk, and why.
    pub junk: Option<String>,
    /// It is taken and thrown away.
    pub discard: bool,
}

/// Why a filter could not be asked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no answer in {} seconds", .0.as_secs())]
    TimedOut(Duration),
    #[error("it speaks no milter protocol: {0}")]
    Malformed(&'static str),
    #[error("{0}")]
    Http(#[from] crate::http::Error),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer is not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// The filters of one SMTP connection. Nothing is opened before the first MAIL.
#[derive(Debug, Default)]
pub struct Conversations {
    milters: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    milter: Milter,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Talking(Box<Conversation>),
    /// It has seen enough of this transaction.
    Content(Box<Conversation>, Last),
    /// It failed, and mail goes on without it.
    Skipped(String),
}

/// What a milter wants done with the transaction for good.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    Accept,
    Discard,
}

/// What a milter says to one step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Continue,
    Enough(Last),
    Refuse(Reply),
}

impl Conversations {
    /// Those that look at this kind of mail.
    pub fn new(options: &Options, kind: Kind) -> Conversations {
        let mine = options
            .milters
            .iter()
            .filter(|milter| milter.kinds.contains(&kind));
        let running = |milter: &Milter| Running {
            milter: milter.clone(),
            state: State::Idle,
        };
        Conversations {
            milters: mine.map(running).collect(),
        }
    }

    /// MAIL: who connected and who sends.
    pub async fn mail(&mut self, shared: &Shared, scene: &Scene, path: &str) -> Result<(), Reply> {
        for running in &mut self.milters {
            running.mail(shared, scene, path).await?;
        }
        Ok(())
    }

    /// RCPT.
    pub async fn recipient(&mut self, path: &str) -> Result<(), Reply> {
        for running in &mut self.milters {
            let State::Talking(conversation) = &mut running.state else {
                continue;
            };
            let answer = conversation.recipient(path).await;
            running.take(answer)?;
        }
        Ok(())
    }

    /// The message; each milter sees what those before it made of it.
    pub async fn message(&mut self, message: &mut Vec<u8>, id: &str) -> Result<Findings, Reply> {
        let mut findings = Findings::default();
        for running in &mut self.milters {
            running.message(message, id, &mut findings).await?;
            if findings.discard {
                break;
            }
        }
        self.reset().await;
        Ok(findings)
    }

    /// The transaction ended.
    pub async fn reset(&mut self) {
        for running in &mut self.milters {
            let state = std::mem::replace(&mut running.state, State::Idle);
            running.state = match state {
                State::Talking(mut conversation) | State::Content(mut conversation, _) => {
                    match conversation.abort().await {
                        Ok(()) => State::Talking(conversation),
                        // The next MAIL opens another.
                        Err(_) => State::Idle,
                    }
                }
                State::Idle | State::Skipped(_) => State::Idle,
            };
        }
    }

    /// TLS begins: what a milter was told about the client no longer holds.
    pub fn forget(&mut self) {
        for running in &mut self.milters {
            running.state = State::Idle;
        }
    }
}

impl Running {
    async fn mail(&mut self, shared: &Shared, scene: &Scene, path: &str) -> Result<(), Reply> {
        let state = std::mem::replace(&mut self.state, State::Idle);
        // One that is open may have gone meanwhile; a new one is tried before it counts as failed.
        if let State::Talking(mut conversation) = state
            && conversation.is_about(scene)
            && let Ok(answer) = conversation.mail(path, scene).await
        {
            self.state = State::Talking(conversation);
            return self.take(Ok(answer));
        }
        let opened = Conversation::open(shared, &self.milter, scene).await;
        match opened {
            Ok((conversation, Answer::Continue)) => {
                self.state = State::Talking(Box::new(conversation));
            }
            Ok((conversation, answer)) => {
                self.state = State::Talking(Box::new(conversation));
                return self.take(Ok(answer));
            }
            Err(error) => return self.failed(&error),
        }
        let answer = match &mut self.state {
            State::Talking(conversation) => conversation.mail(path, scene).await,
            _ => Ok(Answer::Continue),
        };
        self.take(answer)
    }

    async fn message(
        &mut self,
        message: &mut Vec<u8>,
        id: &str,
        findings: &mut Findings,
    ) -> Result<(), Reply> {
        let place = self.milter.place.to_string();
        let named = |result: &str, words: String| {
            Check::new("milter", result, words).with("milter", &place)
        };
        let answer = match &mut self.state {
            State::Talking(conversation) => conversation.message(message, id).await,
            State::Content(_, Last::Discard) => {
                findings.discard = true;
                let words = "The filter had it thrown away.".to_owned();
                findings.checks.push(named("discard", words));
                return Ok(());
            }
            State::Content(_, Last::Accept) => {
                let words = "The filter let it pass without looking at it.".to_owned();
                findings.checks.push(named("accept", words));
                return Ok(());
            }
            State::Skipped(why) => {
                let words = format!("The filter could not be asked: {why}.");
                findings.checks.push(named("temperror", words));
                return Ok(());
            }
            State::Idle => return Err(UNAVAILABLE),
        };
        let (answer, edits) = match answer {
            Ok(answered) => answered,
            Err(error) => {
                self.failed(&error)?;
                let words = format!("The filter could not be asked: {error}.");
                findings.checks.push(named("temperror", words));
                return Ok(());
            }
        };
        self.take(Ok(answer))?;
        if matches!(self.state, State::Content(_, Last::Discard)) {
            findings.discard = true;
        }
        let (quarantine, edits): (Vec<_>, Vec<_>) = edits
            .into_iter()
            .partition(|edit| matches!(edit, Edit::Quarantine(_)));
        if let Some(Edit::Quarantine(why)) = quarantine.into_iter().next() {
            findings
                .checks
                .push(named("quarantine", format!("The filter says: {why}")));
            findings.junk = Some(why);
        }
        let words = match edits.len() {
            0 => "The filter let it pass.".to_owned(),
            count => format!("The filter let it pass with {count} changes."),
        };
        findings.checks.push(named("accept", words));
        if !edits.is_empty() {
            *message = edit::apply(message, &edits).ok_or(UNAVAILABLE)?;
        }
        Ok(())
    }

    fn take(&mut self, answer: Result<Answer, Error>) -> Result<(), Reply> {
        match answer {
            Ok(Answer::Continue) => Ok(()),
            Ok(Answer::Refuse(reply)) => Err(reply),
            Ok(Answer::Enough(verdict)) => {
                let state = std::mem::replace(&mut self.state, State::Idle);
                if let State::Talking(conversation) = state {
                    self.state = State::Content(conversation, verdict);
                }
                Ok(())
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &Error) -> Result<(), Reply> {
        tracing::warn!(milter = %self.milter.place, %error, open = self.milter.open, "a milter failed");
        self.state = match self.milter.open {
            true => State::Skipped(error.to_string()),
            false => State::Idle,
        };
        match self.milter.open {
            true => Ok(()),
            false => Err(UNAVAILABLE),
        }
    }
}

/// What accompanies an SMTP connection: filters, and what lists say of its peer.
#[derive(Debug, Default)]
pub struct Aside {
    conversations: Conversations,
    scene: Option<Scene>,
    /// What lists say.
    pub standing: Vec<Check>,
}

impl Aside {
    /// For a connection of this kind.
    pub fn new(options: &Options, kind: Kind) -> Aside {
        Aside {
            conversations: Conversations::new(options, kind),
            ..Aside::default()
        }
    }

    /// MAIL.
    pub async fn mail(&mut self, shared: &Shared, scene: Scene, path: &str) -> Result<(), Reply> {
        let told = self.conversations.mail(shared, &scene, path).await;
        self.scene = Some(scene);
        if told.is_err() {
            self.reset().await;
        }
        told
    }

    /// RCPT.
    pub async fn recipient(&mut self, path: &str) -> Result<(), Reply> {
        self.conversations.recipient(path).await
    }

    /// The transaction ended without a message.
    pub async fn reset(&mut self) {
        self.conversations.reset().await;
    }

    /// TLS begins: what was known in the clear does not hold.
    pub fn forget(&mut self) {
        self.conversations.forget();
        self.scene = None;
    }
}

/// The filters look at a whole message, and all points are added up. Changes `arrival.message`, the verdict and the record;
/// whether the message is to be thrown away.
pub async fn examine(
    shared: &Arc<Shared>,
    aside: &mut Aside,
    arrival: &mut Arrival,
    judgement: &mut Judgement,
    id: &str,
) -> bool {
    let config = shared.config();
    judgement.record.checks.append(&mut aside.standing.clone());
    let mut examined = aside.conversations.message(&mut arrival.message, id).await;
    if let (Ok(findings), Some(scene)) = (&mut examined, &aside.scene) {
        let asked = rspamd(shared, &config.filters, scene, arrival, id, findings).await;
        if let Err(reply) = asked {
            judgement.record.checks.append(&mut findings.checks);
            examined = Err(reply);
        }
    }
    let record = &mut judgement.record;
    let discard = match examined {
        Ok(findings) => {
            record.checks.extend(findings.checks);
            if let (Some(why), Verdict::Accept) = (findings.junk, &judgement.verdict) {
                judgement.verdict = Verdict::Junk;
                record.why = format!("It goes to Junk, because a filter says so: {why}");
            }
            findings.discard
        }
        Err(reply) => {
            record.why = format!("A filter refuses it: {reply}");
            judgement.verdict = match reply.is_permanent() {
                true => Verdict::Reject(reply),
                false => Verdict::Defer(reply),
            };
            false
        }
    };
    weigh(&config.strangers, judgement);
    judgement.record.decision = match discard {
        true => "discard".to_owned(),
        false => judgement.verdict.name().to_owned(),
    };
    discard
}

/// What all points together lead to.
fn weigh(options: &strangers::Options, judgement: &mut Judgement) {
    let record = &mut judgement.record;
    record.score = record.checks.iter().map(|check| check.weight).sum();
    let score = record.score;
    if judgement.verdict.refusal().is_some() || score < options.junk_at {
        return;
    }
    if score >= options.refuse_at {
        record.why = format!(
            "It is refused with {score:.1} points of {:.1}.",
            options.refuse_at
        );
        let text = "Too much speaks against this message; its sender can ask the postmaster why";
        judgement.verdict = Verdict::Reject(REFUSED.with_text(text));
    } else if judgement.verdict == Verdict::Accept {
        record.why = format!(
            "It goes to Junk with {score:.1} points of {:.1}.",
            options.junk_at
        );
        judgement.verdict = Verdict::Junk;
    }
}

/// Asks rspamd, where there is one for this kind of mail.
async fn rspamd(
    shared: &Arc<Shared>,
    options: &Options,
    scene: &Scene,
    arrival: &mut Arrival,
    id: &str,
    findings: &mut Findings,
) -> Result<(), Reply> {
    let mine = options.rspamd.as_ref();
    let Some(rspamd) = mine.filter(|rspamd| rspamd.kinds.contains(&scene.kind)) else {
        return Ok(());
    };
    let recipients: Vec<String> = arrival
        .recipients
        .iter()
        .map(|path| path.address.clone())
        .collect();
    let question = rspamd::Question {
        scene,
        sender: &arrival.from.to_string(),
        recipients: &recipients,
        id,
    };
    match rspamd::ask(shared, rspamd, &question, &arrival.message).await {
        Ok(opinion) => opinion.obey(&mut arrival.message, findings),
        Err(error) => {
            tracing::warn!(url = rspamd.url, %error, open = rspamd.open, "rspamd failed");
            if !rspamd.open {
                return Err(UNAVAILABLE);
            }
            let words = format!("rspamd could not be asked: {error}.");
            findings
                .checks
                .push(Check::new("rspamd", "temperror", words));
            Ok(())
        }
    }
}
