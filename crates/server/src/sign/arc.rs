//! ARC (RFC 8617): a message that is sent on to another server carries what we found out about it, sealed.
//!
//! What is forwarded fails SPF there, and DKIM where somebody changed it; with the seal the next server can see that it
//! was good when it came to us. The set is made over the message as it came, before our own trace fields.
//!
//! The library's sealer takes its own results of checks only, so that the set is written here, with its keys and body
//! hash.

use mail_auth::common::crypto::{DkimKey, SigningKey};
use store::Timestamp;

use crate::judge::Chain;

use super::signature::{Octets, Subject, body_hash, choose, header_end, squeezed};

/// RFC 8617 §4.2.1: instances from 1 to 50.
const INSTANCES: u32 = 50;

/// With what to seal.
pub(super) struct Sealer<'k> {
    pub(super) domain: &'k str,
    pub(super) selector: &'k str,
    pub(super) key: &'k DkimKey,
    pub(super) now: Timestamp,
}

/// The three fields of an instance, in canonical form with their line ends.
#[derive(Debug, Default, Clone)]
struct Set {
    results: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
    seal: Option<Vec<u8>>,
    failed: bool,
}

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

impl Sealer<'_> {
    /// The fields of a new set over a message, to be put on top; `results` is the value of our Authentication-Results,
    /// with the name of this server first. None when the chain may not be continued.
    pub(super) fn seal(
        &self,
        message: &[u8],
        results: &str,
        chain: Chain,
    ) -> mail_auth::Result<Option<String>> {
        let sets = sets(message);
        let highest = u32::try_from(sets.len()).unwrap_or(u32::MAX);
        // RFC 8617 §5.1: what has failed once stays so, and nothing more is said about it.
        if highest >= INSTANCES || sets.last().is_some_and(|set| set.failed) {
            return Ok(None);
        }
        let chain = match (sets.is_empty(), chain) {
            (true, _) => Chain::None,
            // Sets that nobody validated, as in mail of those who are trusted, are neither vouched for nor broken.
            (false, Chain::None) => return Ok(None),
            (false, chain) => chain,
        };
        let instance = highest.saturating_add(1);
        let value = String::from_utf8_lossy(&squeezed(results.as_bytes())).into_owned();
        let aar = format!("{RESULTS}: i={instance};\r\n\t{value}\r\n");
        let ams = self.message_signature(message, instance)?;

        // RFC 8617 §5.1.1: all sets in their order, then the new one; of a broken chain the new one alone.
        let mut input = Vec::new();
        if chain == Chain::Pass {
            for set in &sets {
                for field in [&set.results, &set.signature, &set.seal] {
                    input.extend_from_slice(field.as_deref().unwrap_or_default());
                }
            }
        }
        input.extend(canonical(&aar));
        input.extend(canonical(&ams));
        let seal = format!(
            "{SEAL}: i={instance}; a={}; t={}; cv={};\r\n\td={}; s={};\r\n\tb=",
            self.algorithm(),
            self.now,
            chain.name(),
            self.domain,
            self.selector
        );
        input.extend(canonical_open(&seal));
        let seal = self.signed(seal, &input)?;
        Ok(Some(format!("{seal}{ams}{aar}")))
    }

    /// RFC 8617 §4.1.2: as a DKIM signature, over the signatures that came as well.
    fn message_signature(&self, message: &[u8], instance: u32) -> mail_auth::Result<String> {
        let subject = Subject { top: b"", message };
        let chosen = choose(&subject, &["DKIM-Signature"]);
        let hash = base64(&body_hash(&subject, self.key));
        let field = format!(
            "{SIGNATURE}: i={instance}; a={}; c=relaxed/relaxed;\r\n\td={}; s={}; t={};\r\n\th={};\r\n\tbh={hash};\r\n\tb=",
            self.algorithm(),
            self.domain,
            self.selector,
            self.now,
            folded_names(&chosen.names),
        );
        let mut input = chosen.octets;
        input.extend(canonical_open(&field));
        self.signed(field, &input)
    }

    /// Completes a field that ends with `b=`.
    fn signed(&self, mut field: String, input: &[u8]) -> mail_auth::Result<String> {
        let signature = base64(&self.key.sign(Octets(input))?);
        let lines: Vec<&str> = signature
            .as_bytes()
            .chunks(72)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .collect();
        field.push_str(&lines.join("\r\n\t "));
        field.push_str("\r\n");
        Ok(field)
    }

    fn algorithm(&self) -> &'static str {
        self.key.algorithm().name()
    }
}

/// The sets of a message by instance, the first one first; a gap is an empty set.
fn sets(message: &[u8]) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for field in mime::header::fields(message, 0..header_end(message)) {
        let Some(name) = [RESULTS, SIGNATURE, SEAL]
            .into_iter()
            .find(|name| field.is(name))
        else {
            continue;
        };
        let value = String::from_utf8_lossy(field.value()).into_owned();
        let Some(instance) = tag(&value, "i").and_then(|text| text.parse::<u32>().ok()) else {
            continue;
        };
        let Some(index) = instance
            .checked_sub(1)
            .filter(|_| instance <= INSTANCES)
            .and_then(|index| usize::try_from(index).ok())
        else {
            continue;
        };
        if sets.len() <= index {
            sets.resize(index.saturating_add(1), Set::default());
        }
        let Some(set) = sets.get_mut(index) else {
            continue;
        };
        let mut line = name.to_ascii_lowercase().into_bytes();
        line.push(b':');
        line.extend(squeezed(field.value()));
        line.extend_from_slice(b"\r\n");
        match name {
            RESULTS => set.results = Some(line),
            SIGNATURE => set.signature = Some(line),
            _ => {
                set.failed = tag(&value, "cv").is_some_and(|cv| cv.eq_ignore_ascii_case("fail"));
                set.seal = Some(line);
            }
        }
    }
    sets
}

/// The value of a tag (RFC 6376 §3.2).
fn tag<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    value.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// A field of ours in the relaxed form, with its line end.
fn canonical(field: &str) -> Vec<u8> {
    let mut line = canonical_open(field);
    line.extend_from_slice(b"\r\n");
    line
}

/// The same without: the field that holds the signature comes last and has none (RFC 6376 §3.7).
fn canonical_open(field: &str) -> Vec<u8> {
    let (name, value) = field.split_once(':').unwrap_or((field, ""));
    let mut line = name.to_ascii_lowercase().into_bytes();
    line.push(b':');
    line.extend(squeezed(value.as_bytes()));
    line
}

/// Names for `h=`, folded between them.
fn folded_names(names: &[String]) -> String {
    let (mut out, mut width) = (String::new(), 0_usize);
    for name in names {
        if !out.is_empty() {
            out.push(':');
            width = width.saturating_add(1);
        }
        if width.saturating_add(name.len()) > 70 {
            out.push_str("\r\n\t ");
            width = 0;
        }
        out.push_str(name);
        width = width.saturating_add(name.len());
    }
    out
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;

    fn sealed(message: &[u8], chain: Chain) -> Option<String> {
        let new = key::generate(key::Algorithm::Ed25519, "s".into()).unwrap();
        let key = key::read(&new.algorithm, &new.private).unwrap();
        let sealer = Sealer {
            domain: "us.example",
            selector: "s",
            key: &key,
            now: 1_795_445_127,
        };
        sealer
            .seal(
                message,
                "mx.us.example; spf=pass\r\n\tsmtp.mailfrom=a.example",
                chain,
            )
            .unwrap()
    }

    #[test]
    fn the_first_set() {
        let fields = sealed(
            b"From: a@b.example\r\nDKIM-Signature: x\r\n\r\nbody\r\n",
            Chain::None,
        )
        .unwrap();
        let names: Vec<&str> = fields
            .split("\r\n")
            .filter(|line| !line.is_empty() && !line.starts_with('\t'))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(names, [SEAL, SIGNATURE, RESULTS]);
        assert!(fields.contains("ARC-Seal: i=1; a=ed25519-sha256; t=1795445127; cv=none;\r\n"));
        assert!(fields.contains("ARC-Authentication-Results: i=1;\r\n\tmx.us.example; spf=pass smtp.mailfrom=a.example\r\n"));
        assert!(fields.contains("DKIM-Signature"));
        assert!(
            fields.split("\r\n").all(|line| line.len() < 100),
            "{fields}"
        );
    }

    #[test]
    fn instances_count_on_and_end() {
        let set = |instance: u32, cv: &str| {
            format!(
                "ARC-Seal: i={instance}; cv={cv}; b=x\r\nARC-Message-Signature: i={instance}; b=x\r\n\
                 ARC-Authentication-Results: i={instance}; mx\r\n"
            )
        };
        let with = |sets: &str| format!("{sets}From: a@b.example\r\n\r\n").into_bytes();
        let one = with(&set(1, "none"));
        for (message, chain, expected) in [
            (
                one.clone(),
                Chain::Pass,
                Some("i=2; a=ed25519-sha256; t=1795445127; cv=pass"),
            ),
            (
                one.clone(),
                Chain::Fail,
                Some("i=2; a=ed25519-sha256; t=1795445127; cv=fail"),
            ),
            (one, Chain::None, None),
            (with(&set(1, "fail")), Chain::Fail, None),
            (with(&set(50, "pass")), Chain::Pass, None),
            (with(&set(51, "pass")), Chain::Fail, Some("i=1;")),
            (with("ARC-Seal: i=x\r\n"), Chain::Fail, Some("i=1;")),
        ] {
            let fields = sealed(&message, chain);
            assert_eq!(fields.is_some(), expected.is_some(), "{chain:?}");
            if let Some(expected) = expected {
                let fields = fields.unwrap();
                assert!(
                    fields.starts_with(&format!("ARC-Seal: {expected}")),
                    "{fields}"
                );
            }
        }
    }

    #[test]
    fn long_lists_of_names_are_folded() {
        let names = vec!["Content-Transfer-Encoding".to_owned(); 20];
        let folded = folded_names(&names);
        assert!(
            folded.split("\r\n").all(|line| line.len() <= 80),
            "{folded}"
        );
        assert_eq!(folded.replace("\r\n\t ", ""), names.join(":"));
    }
}
