//! Which messages belong together (RFC 8474 §5.2): assigned when content comes into an account, never changed.
//!
//! A message has keys: each Message-ID it names (References, In-Reply-To, its own), together with its base subject, so that
//! a reply under a new subject begins a thread of its own. It joins the thread that one of its keys is known in, or
//! begins one that is named after its first key. So in whatever order messages come they meet, and equal messages of
//! different accounts mostly have equal threads; those of one delivery always have, because they are the same message.
//!
//! Limits: [`KEYS`] of a message.

use crate::engine::values;
use crate::error::Result;
use crate::tx::Tx;
use crate::types::*;

/// Keys of one message: the first references lead to the root, the last ones to what was answered.
const KEYS: usize = 24;

/// The keys of a message, the one a thread would be named after first.
pub(crate) fn keys(raw: &[u8], header: std::ops::Range<usize>) -> Vec<i64> {
    let (mut references, mut answered, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let mut subject = String::new();
    for field in mime::header::fields(raw, header) {
        match field.id() {
            mime::Name::References => references.extend(field.ids()),
            mime::Name::InReplyTo => answered.extend(field.ids()),
            mime::Name::MessageId if own.is_empty() => own.extend(field.ids()),
            // What cannot be decoded stands for itself.
            mime::Name::Subject if subject.is_empty() => {
                field.text_into(&mut subject);
            }
            _ => {}
        }
    }
    let subject = base_subject(&subject);
    let mut ids: Vec<&String> = references.iter().chain(&answered).collect();
    if ids.len() >= KEYS {
        let last = ids.len().saturating_sub(KEYS / 2);
        ids.drain(KEYS / 2 - 1..last);
    }
    ids.extend(own.first());
    let mut keys: Vec<i64> = Vec::with_capacity(ids.len());
    for id in ids {
        let key = key(id.as_bytes(), subject.as_bytes());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// FNV-1a of both, mixed, below 2^62. Who makes two ids meet could as well have referred to one with the other.
fn key(id: &[u8], subject: &[u8]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for octet in id.iter().chain(&[0]).chain(subject) {
        hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    i64::try_from((hash ^ (hash >> 29)) >> 2).unwrap_or(i64::MAX)
}

/// A subject without what answering and forwarding put around it, in the spirit of RFC 5256 §2.1.
fn base_subject(subject: &str) -> String {
    let words: Vec<&str> = subject.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    let mut rest = text.as_str();
    loop {
        let before = rest;
        rest = rest.trim();
        rest = rest.strip_suffix("(fwd)").unwrap_or(rest);
        if let Some(after) = prefix(rest) {
            rest = after;
        }
        if let Some(inner) = rest
            .strip_prefix("[fwd:")
            .and_then(|inner| inner.strip_suffix(']'))
        {
            rest = inner;
        }
        if rest == before {
            return rest.to_owned();
        }
    }
}

/// What is behind `re:`, `fwd:` or `[list]`.
fn prefix(text: &str) -> Option<&str> {
    for word in ["re", "fwd", "fw", "aw", "wg", "sv", "vs"] {
        let Some(rest) = text.strip_prefix(word) else {
            continue;
        };
        // `Re[2]:` and `Re (3):` are counted answers.
        let counted = |c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '(' | ')' | ' ');
        if let Some(rest) = rest.trim_start_matches(counted).strip_prefix(':') {
            return Some(rest);
        }
    }
    let rest = text
        .strip_prefix('[')
        .filter(|rest| !rest.starts_with("fwd:"))?;
    let (_, after) = rest.split_once(']')?;
    // A blob that is all there is, is the subject.
    (!after.trim().is_empty()).then_some(after)
}

impl Tx<'_> {
    /// Finds or begins the thread of a message with these keys, and makes the keys known. With `given` it is that one.
    pub(crate) fn thread(
        &self,
        account: AccountId,
        body: BodyId,
        keys: &[i64],
        given: Option<i64>,
    ) -> Result<i64> {
        let mut thread = given;
        for key in keys {
            if thread.is_some() {
                break;
            }
            let sql = "SELECT thread FROM thread_key WHERE account_id = $1 AND thread_key = $2";
            thread = self
                .sql
                .row(sql, values![account, *key], |row| row.int(0))?;
        }
        // Without any key it is alone; its own octets name the thread, above all keys.
        let alone = || (1 << 62) | (body.0 & ((1 << 62) - 1));
        let thread = thread.unwrap_or_else(|| keys.first().copied().unwrap_or_else(alone));
        for key in keys {
            self.sql.execute(
                "INSERT INTO thread_key (account_id, thread_key, thread, refs) VALUES ($1, $2, $3, 1) \
                 ON CONFLICT (account_id, thread_key) DO UPDATE SET refs = thread_key.refs + 1",
                values![account, *key, thread],
            )?;
        }
        Ok(thread)
    }

    /// The keys of content that is gone are known once less for each time they are listed.
    pub(crate) fn forget_keys(&self, account: AccountId, mut keys: Vec<i64>) -> Result<()> {
        keys.sort_unstable();
        for group in keys.chunk_by(|a, b| a == b) {
            let (Some(key), times) = (group.first().copied(), group.len() as u64) else {
                continue;
            };
            let last =
                "DELETE FROM thread_key WHERE account_id = $1 AND thread_key = $2 AND refs <= $3";
            if self.sql.execute(last, values![account, key, times])? == 0 {
                let sql = "UPDATE thread_key SET refs = refs - $3 WHERE account_id = $1 AND thread_key = $2";
                self.sql.execute(sql, values![account, key, times])?;
            }
        }
        Ok(())
    }
}

/// Keys as a column holds them.
pub(crate) fn to_bytes(keys: &[i64]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_be_bytes()).collect()
}

/// And back.
pub(crate) fn from_bytes(octets: &[u8]) -> Vec<i64> {
    octets
        .chunks_exact(8)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0i64, |key, octet| (key << 8) | i64::from(*octet))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Vec<i64> {
        let raw = header.replace('\n', "\r\n");
        keys(raw.as_bytes(), 0..raw.len())
    }

    #[test]
    fn subjects_lose_what_answering_adds() {
        for (subject, base) in [
            ("Message A", "message a"),
            ("Re: Message  A", "message a"),
            ("RE[2]: Fwd: [list] message a (fwd)", "message a"),
            ("AW: Re: message a", "message a"),
            ("[Fwd: Message A]", "message a"),
            ("[only]", "[only]"),
            ("Regards", "regards"),
            ("", ""),
        ] {
            assert_eq!(base_subject(subject), base, "{subject:?}");
        }
    }

    #[test]
    fn answers_share_a_key_and_new_subjects_do_not() {
        let root = of("Subject: A\nMessage-ID: <1@x>\n\n");
        let answer = of("Subject: Re: A\nMessage-ID: <2@x>\nReferences: <1@x>\n\n");
        let other = of("Subject: B\nMessage-ID: <3@x>\nReferences: <1@x>\n\n");
        assert_eq!(root.len(), 1);
        assert_eq!(answer.first(), root.first());
        assert!(other.iter().all(|key| !root.contains(key)));
        assert!(of("Subject: A\n\n").is_empty());
    }

    #[test]
    fn many_references_are_cut_in_the_middle() {
        let ids: String = (0..1000).map(|n| format!(" <{n}@x>\n")).collect();
        let keys = of(&format!(
            "Subject: A\nMessage-ID: <own@x>\nReferences:{ids}\n"
        ));
        assert!(keys.len() <= KEYS, "{}", keys.len());
        assert_eq!(
            keys.first(),
            of("Subject: A\nMessage-ID: <0@x>\n\n").first()
        );
        assert_eq!(
            keys.last(),
            of("Subject: A\nMessage-ID: <own@x>\n\n").first()
        );
        assert_eq!(from_bytes(&to_bytes(&keys)), keys);
    }
}
