//! What mailboxes of other servers are called here, and which of them is which: Sent Items there is Sent here.
//!
//! A name there has levels parted by any character, below a prefix perhaps (`INBOX.`); here by `/`. What our store takes in
//! no name (`*`, `%`, empty levels, `.` and `..`) becomes `_`, and a name that is taken then gets a number.

use std::collections::{HashMap, HashSet};

use imap::{MailboxAttribute, MailboxName};
use store::SpecialUse;

/// A mailbox as a server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name there.
    pub(super) name: MailboxName,
    /// What parts levels of it.
    pub(super) delimiter: Option<char>,
    /// Whether it can hold messages.
    pub(super) selectable: bool,
    /// Whether its owner subscribed to it.
    pub(super) subscribed: bool,
    /// What it is for.
    pub(super) special_use: Option<SpecialUse>,
}

impl Listed {
    /// From a LIST response.
    pub(super) fn new(entry: imap::ListEntry) -> Listed {
        let has = |attribute: &MailboxAttribute| entry.attributes.contains(attribute);
        Listed {
            selectable: !has(&MailboxAttribute::NoSelect) && !has(&MailboxAttribute::NonExistent),
            subscribed: has(&MailboxAttribute::Subscribed),
            special_use: entry.attributes.iter().find_map(special_use),
            delimiter: entry.delimiter,
            name: entry.mailbox,
        }
    }

    /// Whether it only shows messages that are kept in other mailboxes (RFC 6154 §2: \All and \Flagged; RFC 8457).
    pub(super) fn is_view(&self) -> bool {
        matches!(
            self.special_use,
            Some(SpecialUse::All | SpecialUse::Flagged | SpecialUse::Important)
        )
    }
}

fn special_use(attribute: &MailboxAttribute) -> Option<SpecialUse> {
    use imap::SpecialUse as There;
    match attribute {
        MailboxAttribute::Use(There::All) => Some(SpecialUse::All),
        MailboxAttribute::Use(There::Archive) => Some(SpecialUse::Archive),
        MailboxAttribute::Use(There::Drafts) => Some(SpecialUse::Drafts),
        MailboxAttribute::Use(There::Flagged) => Some(SpecialUse::Flagged),
        MailboxAttribute::Use(There::Junk) => Some(SpecialUse::Junk),
        MailboxAttribute::Use(There::Sent) => Some(SpecialUse::Sent),
        MailboxAttribute::Use(There::Trash) => Some(SpecialUse::Trash),
        MailboxAttribute::Other(name) => match name.to_ascii_lowercase().as_str() {
            "\\important" => Some(SpecialUse::Important),
            // Before RFC 6154, with XLIST.
            "\\allmail" => Some(SpecialUse::All),
            "\\starred" => Some(SpecialUse::Flagged),
            "\\spam" => Some(SpecialUse::Junk),
            _ => None,
        },
        _ => None,
    }
}

/// Names by which mailboxes are known where no attribute says what they are for, the likeliest first.
const USUAL: [(SpecialUse, &[&str]); 5] = [
    (
        SpecialUse::Sent,
        &[
            "sent",
            "sent items",
            "sent messages",
            "sent mail",
            "sent-mail",
            "gesendet",
            "gesendete elemente",
            "gesendete objekte",
            "envoy\u{e9}s",
            "\u{e9}l\u{e9}ments envoy\u{e9}s",
            "enviados",
            "posta inviata",
            "verzonden items",
        ],
    ),
    (
        SpecialUse::Drafts,
        &[
            "drafts",
            "draft",
            "entw\u{fc}rfe",
            "brouillons",
            "borradores",
            "bozze",
            "concepten",
        ],
    ),
    (
        SpecialUse::Trash,
        &[
            "trash",
            "deleted items",
            "deleted messages",
            "deleted",
            "bin",
            "papierkorb",
            "gel\u{f6}schte elemente",
            "gel\u{f6}schte objekte",
            "corbeille",
            "\u{e9}l\u{e9}ments supprim\u{e9}s",
            "papelera",
            "cestino",
            "prullenbak",
        ],
    ),
    (
        SpecialUse::Junk,
        &[
            "junk",
            "spam",
            "junk e-mail",
            "junk email",
            "bulk mail",
            "junk-e-mail",
            "spamverdacht",
            "courrier ind\u{e9}sirable",
        ],
    ),
    (SpecialUse::Archive, &["archive", "archives", "archiv"]),
];

/// The use of a mailbox by its name here, and how likely it is (0 most).
fn usual(name: &str) -> Option<(SpecialUse, usize)> {
    // Google keeps its own below a name in brackets.
    let name = match name.split_once('/') {
        Some(("[Gmail]" | "[Google Mail]", rest)) => rest,
        _ => name,
    };
    let name = name.to_lowercase();
    USUAL.iter().find_map(|(special_use, names)| {
        let rank = names.iter().position(|known| *known == name)?;
        Some((*special_use, rank))
    })
}

/// A mailbox here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) name: String,
    pub(super) special_use: Option<SpecialUse>,
}

/// Where the mail of a mailbox goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Which of those listed.
    pub(super) listed: Listed,
    /// Its mailbox here.
    pub(super) name: String,
    /// What the mailbox here is to be for, where it is made.
    pub(super) special_use: Option<SpecialUse>,
}

/// The name of a mailbox there as it would be here. `prefix` is that of one's own mailboxes there (`INBOX.`).
pub(super) fn translated(listed: &Listed, prefix: &str) -> String {
    let full = listed.name.as_str();
    let own = full.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    let name = match own {
        // `INBOX.INBOX` below a prefix is not the INBOX.
        Some(own) if own.eq_ignore_ascii_case("INBOX") => full,
        Some(own) => own,
        None => full,
    };
    let levels: Vec<String> = match listed.delimiter {
        Some(delimiter) => name.split(delimiter).map(level).collect(),
        None => vec![level(name)],
    };
    levels.join("/")
}

fn level(text: &str) -> String {
    match text {
        "" | "." => "_".to_owned(),
        ".." => "__".to_owned(),
        text => text.replace(['/', '*', '%'], "_"),
    }
}

/// Decides where each mailbox goes. `remembered` says where it went before; `here` are the mailboxes of the account.
pub(super) fn plan(
    listed: Vec<Listed>,
    prefix: &str,
    here: &[Here],
    remembered: &HashMap<String, String>,
) -> Vec<Plan> {
    let uses = uses(&listed, prefix);
    let mut taken: HashSet<String> = HashSet::new();
    for name in remembered.values() {
        taken.insert(name.clone());
    }
    let mut plans = Vec::with_capacity(listed.len());
    // Those with a use first: they have the better claim to a name.
    let mut order: Vec<(Listed, Option<SpecialUse>)> = listed
        .into_iter()
        .zip(uses)
        .filter(|(listed, _)| listed.selectable)
        .collect();
    order.sort_by_key(|(listed, special_use)| {
        (
            !listed.name.is_inbox(),
            special_use.is_none(),
            listed.name.clone(),
        )
    });
    for (listed, special_use) in order {
        let own = special_use.and_then(|special_use| {
            let of = |here: &&Here| here.special_use == Some(special_use);
            here.iter().find(of).map(|here| here.name.clone())
        });
        if let Some(known) = remembered.get(listed.name.as_str()) {
            plans.push(Plan {
                listed,
                name: known.clone(),
                special_use: None,
            });
            continue;
        }
        let free = own.is_none();
        let wanted = match (&own, special_use) {
            (Some(own), _) => own.clone(),
            // What is in no other mailbox is what somebody has archived.
            (None, _) if listed.is_view() => here
                .iter()
                .find(|here| here.special_use == Some(SpecialUse::Archive))
                .map_or_else(|| "Archive".to_owned(), |here| here.name.clone()),
            (None, _) => translated(&listed, prefix),
        };
        let shared = listed.is_view();
        let mut name = wanted.clone();
        let mut number = 2_u32;
        while !shared && taken.contains(&name) {
            name = format!("{wanted} ({number})");
            number = number.saturating_add(1);
        }
        taken.insert(name.clone());
        plans.push(Plan {
            name,
            special_use: special_use.filter(|_| free && !listed.is_view()),
            listed,
        });
    }
    // Views last: what they show is then here from where it is kept.
    plans.sort_by_key(|plan| plan.listed.is_view());
    plans
}

/// What each mailbox is for: as its server says, or else by its name where nobody else has that use.
pub(super) fn uses(listed: &[Listed], prefix: &str) -> Vec<Option<SpecialUse>> {
    let mut uses: Vec<Option<SpecialUse>> = Vec::with_capacity(listed.len());
    for one in listed {
        // Two of a kind: the second is a mailbox like any other.
        let special_use = one
            .special_use
            .filter(|special_use| one.selectable && !uses.contains(&Some(*special_use)));
        uses.push(special_use);
    }
    for (special_use, _) in USUAL {
        if uses.contains(&Some(special_use)) {
            continue;
        }
        let best = listed
            .iter()
            .enumerate()
            .filter(|(_, one)| one.selectable && one.special_use.is_none())
            .filter_map(|(at, one)| {
                let (found, rank) = usual(&translated(one, prefix))?;
                (found == special_use).then_some((rank, at))
            })
            .min();
        if let Some(slot) = best.and_then(|(_, at)| uses.get_mut(at)) {
            *slot = Some(special_use);
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, delimiter: char, special_use: Option<SpecialUse>) -> Listed {
        Listed {
            name: MailboxName::new(name).unwrap(),
            delimiter: Some(delimiter),
            selectable: true,
            subscribed: false,
            special_use,
        }
    }

    fn here() -> Vec<Here> {
        [
            ("INBOX", None),
            ("Sent", Some(SpecialUse::Sent)),
            ("Archive", Some(SpecialUse::Archive)),
        ]
        .map(|(name, special_use)| Here {
            name: name.to_owned(),
            special_use,
        })
        .to_vec()
    }

    fn planned(all: Vec<Listed>, prefix: &str) -> Vec<(String, String)> {
        plan(all, prefix, &here(), &HashMap::new())
            .into_iter()
            .map(|plan| (plan.listed.name.as_str().to_owned(), plan.name))
            .collect()
    }

    #[test]
    fn names_become_ours() {
        for (name, delimiter, prefix, ours) in [
            ("INBOX.Work.2020", '.', "INBOX.", "Work/2020"),
            ("INBOX", '.', "INBOX.", "INBOX"),
            ("INBOX.INBOX", '.', "INBOX.", "INBOX/INBOX"),
            ("Work/a.b", '/', "", "Work/a.b"),
            ("a/b.c", '.', "", "a_b/c"),
            ("../x", '/', "", "__/x"),
            ("./x//y", '/', "", "_/x/_/y"),
            ("100%*", '/', "", "100__"),
            ("B\u{fc}cher\\Neu", '\\', "", "B\u{fc}cher/Neu"),
        ] {
            assert_eq!(
                translated(&listed(name, delimiter, None), prefix),
                ours,
                "{name}"
            );
        }
        let flat = Listed {
            delimiter: None,
            ..listed("a/b", '/', None)
        };
        assert_eq!(translated(&flat, ""), "a_b");
    }

    #[test]
    fn what_is_sent_there_is_sent_here() {
        let attribute = planned(
            vec![
                listed("INBOX", '/', None),
                listed("Sent", '/', None),
                listed("Sent Items", '/', Some(SpecialUse::Sent)),
            ],
            "",
        );
        assert_eq!(
            attribute,
            [
                ("INBOX", "INBOX"),
                ("Sent Items", "Sent"),
                ("Sent", "Sent (2)")
            ]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        let by_name = planned(vec![listed("INBOX.Sent Messages", '.', None)], "INBOX.");
        assert_eq!(
            by_name,
            [("INBOX.Sent Messages".to_owned(), "Sent".to_owned())]
        );
        let drafts = plan(
            vec![listed("Entw\u{fc}rfe", '/', None)],
            "",
            &here(),
            &HashMap::new(),
        );
        assert_eq!(drafts[0].name, "Entw\u{fc}rfe");
        assert_eq!(drafts[0].special_use, Some(SpecialUse::Drafts));
    }

    #[test]
    fn views_come_last_and_all_mail_is_the_archive() {
        let all = planned(
            vec![
                listed("[Gmail]/All Mail", '/', Some(SpecialUse::All)),
                listed("[Gmail]/Starred", '/', Some(SpecialUse::Flagged)),
                listed("INBOX", '/', None),
                listed("[Gmail]/Sent Mail", '/', Some(SpecialUse::Sent)),
                listed("Work", '/', None),
            ],
            "",
        );
        let names: Vec<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["INBOX", "Sent", "Work", "Archive", "Archive"]);
    }

    #[test]
    fn where_it_went_before_it_goes_again() {
        let remembered = HashMap::from([("Work".to_owned(), "Old/Work".to_owned())]);
        let plans = plan(
            vec![listed("Work", '/', None), listed("Old/Work", '/', None)],
            "",
            &here(),
            &remembered,
        );
        let find = |name: &str| {
            plans
                .iter()
                .find(|plan| plan.listed.name.as_str() == name)
                .unwrap()
                .name
                .clone()
        };
        assert_eq!(find("Work"), "Old/Work");
        assert_eq!(find("Old/Work"), "Old/Work (2)");
    }
}
