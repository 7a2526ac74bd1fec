//! Header field names the library knows by number, so that a name is compared once, when the header is indexed.

/// A header field name. Names the library has no use for are [`Name::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Name {
    Other,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    Subject,
    Date,
    MessageId,
    InReplyTo,
    References,
    Comments,
    Keywords,
    ReturnPath,
    Received,
    DeliveredTo,
    MimeVersion,
    ContentType,
    ContentTransferEncoding,
    ContentDisposition,
    ContentId,
    ContentDescription,
    ContentLanguage,
    ContentLocation,
    ContentMd5,
    ContentBase,
    ResentFrom,
    ResentSender,
    ResentReplyTo,
    ResentTo,
    ResentCc,
    ResentBcc,
    ResentDate,
    ResentMessageId,
    ListId,
    ListArchive,
    ListHelp,
    ListOwner,
    ListPost,
    ListSubscribe,
    ListUnsubscribe,
    ListUnsubscribePost,
    DispositionNotificationTo,
    DkimSignature,
    AuthenticationResults,
    AutoSubmitted,
    Precedence,
}

impl Name {
    /// The known name equal to these octets, in any case.
    pub fn of(name: &[u8]) -> Name {
        let Some(&first) = name.first() else {
            return Name::Other;
        };
        let candidates: &[(&[u8], Name)] = match (name.len(), first | 0x20) {
            (2, b't') => &[(b"to", Name::To)],
            (2, b'c') => &[(b"cc", Name::Cc)],
            (3, b'b') => &[(b"bcc", Name::Bcc)],
            (4, b'f') => &[(b"from", Name::From)],
            (4, b'd') => &[(b"date", Name::Date)],
            (6, b's') => &[(b"sender", Name::Sender)],
            (7, b's') => &[(b"subject", Name::Subject)],
            (7, b'l') => &[(b"list-id", Name::ListId)],
            (8, b'r') => &[(b"received", Name::Received), (b"reply-to", Name::ReplyTo)],
            (8, b'c') => &[(b"comments", Name::Comments)],
            (8, b'k') => &[(b"keywords", Name::Keywords)],
            (9, b'r') => &[
                (b"resent-to", Name::ResentTo),
                (b"resent-cc", Name::ResentCc),
            ],
            (9, b'l') => &[
                (b"list-help", Name::ListHelp),
                (b"list-post", Name::ListPost),
            ],
            (10, b'm') => &[(b"message-id", Name::MessageId)],
            (10, b'r') => &[
                (b"references", Name::References),
                (b"resent-bcc", Name::ResentBcc),
            ],
            (10, b'c') => &[(b"content-id", Name::ContentId)],
            (10, b'l') => &[(b"list-owner", Name::ListOwner)],
            (10, b'p') => &[(b"precedence", Name::Precedence)],
            (11, b'i') => &[(b"in-reply-to", Name::InReplyTo)],
            (11, b'r') => &[
                (b"return-path", Name::ReturnPath),
                (b"resent-from", Name::ResentFrom),
                (b"resent-date", Name::ResentDate),
            ],
            (11, b'c') => &[(b"content-md5", Name::ContentMd5)],
            (12, b'c') => &[
                (b"content-type", Name::ContentType),
                (b"content-base", Name::ContentBase),
            ],
            (12, b'm') => &[(b"mime-version", Name::MimeVersion)],
            (12, b'd') => &[(b"delivered-to", Name::DeliveredTo)],
            (12, b'l') => &[(b"list-archive", Name::ListArchive)],
            (13, b'r') => &[(b"resent-sender", Name::ResentSender)],
            (14, b'd') => &[(b"dkim-signature", Name::DkimSignature)],
            (14, b'l') => &[(b"list-subscribe", Name::ListSubscribe)],
            (14, b'a') => &[(b"auto-submitted", Name::AutoSubmitted)],
            (15, b'r') => &[(b"resent-reply-to", Name::ResentReplyTo)],
            (16, b'c') => &[
                (b"content-language", Name::ContentLanguage),
                (b"content-location", Name::ContentLocation),
            ],
            (16, b'l') => &[(b"list-unsubscribe", Name::ListUnsubscribe)],
            (17, b'r') => &[(b"resent-message-id", Name::ResentMessageId)],
            (19, b'c') => &[
                (b"content-disposition", Name::ContentDisposition),
                (b"content-description", Name::ContentDescription),
            ],
            (21, b'l') => &[(b"list-unsubscribe-post", Name::ListUnsubscribePost)],
            (22, b'a') => &[(b"authentication-results", Name::AuthenticationResults)],
            (25, b'c') => &[(b"content-transfer-encoding", Name::ContentTransferEncoding)],
            (27, b'd') => &[(
                b"disposition-notification-to",
                Name::DispositionNotificationTo,
            )],
            _ => return Name::Other,
        };
        for (known, id) in candidates {
            if name.eq_ignore_ascii_case(known) {
                return *id;
            }
        }
        Name::Other
    }
}

/// The known names of up to 15 octets.
const SHORT: [(&[u8], Name); 37] = [
    (b"from", Name::From),
    (b"sender", Name::Sender),
    (b"reply-to", Name::ReplyTo),
    (b"to", Name::To),
    (b"cc", Name::Cc),
    (b"bcc", Name::Bcc),
    (b"subject", Name::Subject),
    (b"date", Name::Date),
    (b"message-id", Name::MessageId),
    (b"in-reply-to", Name::InReplyTo),
    (b"references", Name::References),
    (b"comments", Name::Comments),
    (b"keywords", Name::Keywords),
    (b"return-path", Name::ReturnPath),
    (b"received", Name::Received),
    (b"delivered-to", Name::DeliveredTo),
    (b"mime-version", Name::MimeVersion),
    (b"content-type", Name::ContentType),
    (b"content-id", Name::ContentId),
    (b"content-md5", Name::ContentMd5),
    (b"content-base", Name::ContentBase),
    (b"resent-from", Name::ResentFrom),
    (b"resent-sender", Name::ResentSender),
    (b"resent-reply-to", Name::ResentReplyTo),
    (b"resent-to", Name::ResentTo),
    (b"resent-cc", Name::ResentCc),
    (b"resent-bcc", Name::ResentBcc),
    (b"resent-date", Name::ResentDate),
    (b"list-id", Name::ListId),
    (b"list-archive", Name::ListArchive),
    (b"list-help", Name::ListHelp),
    (b"list-owner", Name::ListOwner),
    (b"list-post", Name::ListPost),
    (b"list-subscribe", Name::ListSubscribe),
    (b"dkim-signature", Name::DkimSignature),
    (b"auto-submitted", Name::AutoSubmitted),
    (b"precedence", Name::Precedence),
];

/// Slots of the table; a power of two, twice as many as names.
const SLOTS: usize = 128;

/// The short names by their octets as a number (the first lowest), at the slot of their hash or behind it; 0 is none.
static TABLE: [(u128, Name); SLOTS] = {
    let mut table = [(0, Name::Other); SLOTS];
    let mut n = 0;
    while n < SHORT.len() {
        let (text, name) = SHORT[n];
        let mut word = 0;
        let mut at = text.len();
        while at > 0 {
            at -= 1;
            word = word << 8 | text[at] as u128;
        }
        let mut slot = slot_of(word);
        while table[slot].0 != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = (word, name);
        n += 1;
    }
    table
};

const fn slot_of(word: u128) -> usize {
    let folded = (word as u64) ^ ((word >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (folded.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 57) as usize
}

impl Name {
    /// The known name with these octets, up to 15, the first lowest. They are printable ASCII, so that setting one bit turns
    /// letters to lower case and nothing else into a letter or hyphen.
    pub(crate) fn of_word(word: u128) -> Name {
        const CASE: u128 = u128::from_le_bytes([0x20; 16]);
        let lower = word | (CASE & mask_of(word));
        let mut slot = slot_of(lower);
        loop {
            match TABLE.get(slot) {
                Some((known, name)) if *known == lower => return *name,
                Some((known, _)) if *known != 0 => slot = (slot + 1) % SLOTS,
                _ => return Name::Other,
            }
        }
    }
}

/// All bits of the octets that a word has.
fn mask_of(word: u128) -> u128 {
    let free = word.leading_zeros() / 8 * 8;
    u128::MAX.checked_shr(free).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Name, SHORT};

    #[test]
    fn words_and_names_agree() {
        for (text, name) in SHORT {
            for text in [text.to_vec(), text.to_ascii_uppercase()] {
                let mut octets = [0; 16];
                octets[..text.len()].copy_from_slice(&text);
                assert_eq!(Name::of_word(u128::from_le_bytes(octets)), name);
                assert_eq!(Name::of(&text), name);
            }
        }
        assert_eq!(
            Name::of_word(u128::from_le_bytes(*b"X-Frob\0\0\0\0\0\0\0\0\0\0")),
            Name::Other
        );
        assert_eq!(Name::of_word(0), Name::Other);
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Name::of(b"fRoM"), Name::From);
        assert_eq!(
            Name::of(b"CONTENT-TRANSFER-ENCODING"),
            Name::ContentTransferEncoding
        );
        assert_eq!(Name::of(b"Resent-Cc"), Name::ResentCc);
        assert_eq!(Name::of(b"From "), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
    }
}
