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

#[cfg(test)]
mod tests {
    use super::Name;

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
