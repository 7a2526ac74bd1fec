//! SORT (RFC 5256 §5, RFC 5267 §5, RFC 5957 §5, RFC 6203 §7).

use super::search::check;
use super::{Parsed, Parser, too_many};
use crate::{Command, Search, SortCriterion, SortKey};

/// Criteria of one SORT: each is a pass over what was found.
const CRITERIA: usize = 32;

impl Parser<'_> {
    /// ```text
    /// sort            = ["UID" SP] "SORT" [search-return-opts] SP sort-criteria SP search-criteria
    /// search-criteria = charset 1*(SP search-key)
    /// ```
    pub(super) fn sort(&mut self, uid: bool) -> Parsed<Command> {
        let returns = self.sp_search_returns()?;
        let criteria = self.sort_criteria()?;
        self.sp()?;
        let charset = self.charset()?;
        self.sp()?;
        let key = self.search_keys(charset)?;
        let fetch = std::mem::take(&mut self.fetches);
        let search = Search {
            uid,
            returns,
            key,
            fetch,
        };
        let by_relevancy = criteria
            .iter()
            .any(|criterion| criterion.key == SortKey::Relevancy);
        check(&search, charset, by_relevancy)?;
        Ok(Command::Sort { criteria, search })
    }

    /// ```text
    /// sort-criteria  = "(" sort-criterion *(SP sort-criterion) ")"
    /// sort-criterion = ["REVERSE" SP] sort-key
    /// sort-key       =/ "ANNOTATION" SP entry SP att-sort ; RFC 5257 §5
    /// ```
    ///
    /// A key that was there before changes nothing and is left out.
    fn sort_criteria(&mut self) -> Parsed<Vec<SortCriterion>> {
        self.open()?;
        let mut criteria: Vec<SortCriterion> = Vec::new();
        loop {
            let reverse = self.cursor.eat_ignore_case(b"REVERSE ");
            let error = self.wrong("a sort key");
            let word = self.word("a sort key")?;
            let key = match word.as_str() {
                "ANNOTATION" => self.sort_annotation()?,
                word => {
                    let known = SortKey::NAMES.into_iter().find(|(name, _)| *name == word);
                    known.ok_or(error)?.1
                }
            };
            if criteria.len() == CRITERIA {
                return Err(too_many("SORT has too many criteria"));
            }
            if criteria.iter().all(|earlier| earlier.key != key) {
                criteria.push(SortCriterion { reverse, key });
            }
            if self.list_ends()? {
                return Ok(criteria);
            }
        }
    }
}
