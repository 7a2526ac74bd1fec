//! THREAD (RFC 5256 §5).

use super::search::check;
use super::{Parsed, Parser};
use crate::{Command, Search, ThreadAlgorithm};

impl Parser<'_> {
    /// ```text
    /// thread     = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
    /// thread-alg = "ORDEREDSUBJECT" / "REFERENCES"
    /// ```
    pub(super) fn thread(&mut self, uid: bool) -> Parsed<Command> {
        self.sp()?;
        let error = self.wrong("ORDEREDSUBJECT or REFERENCES");
        let algorithm = match self.word("a threading algorithm")?.as_str() {
            "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
            "REFERENCES" => ThreadAlgorithm::References,
            _ => return Err(error),
        };
        self.sp()?;
        let charset = self.charset()?;
        self.sp()?;
        let fetch = std::mem::take(&mut self.fetches);
        let search = Search {
            fetch,
            uid,
            returns: None,
            key: self.search_keys(charset)?,
        };
        check(&search, charset, false)?;
        Ok(Command::Thread { algorithm, search })
    }
}
