//! Reports: delivery status (RFC 3464, RFC 6522), disposition (RFC 8098), abuse (RFC 5965). Read and written.

use crate::field::slice;
use crate::write::build::PartBuilder;
use crate::write::header;
use crate::{Message, Part, encoded_word};

/// Groups of fields, separated by empty lines: the body of `message/delivery-status` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<Vec<(String, String)>>);

impl Groups {
    /// Reads groups of fields; names keep their case.
    pub fn parse(body: &[u8]) -> Groups {
        let mut groups = Vec::new();
        let mut at = 0;
        while at < body.len() {
            // Every group is a header of its own.
            let message = Message::parse(slice(body, at..body.len()));
            let root = message.root();
            let fields: Vec<(String, String)> = root
                .fields()
                .map(|field| {
                    (
                        field.name_text().into_owned(),
                        encoded_word::text(field.value()).into_owned(),
                    )
                })
                .collect();
            let length = root.header_range().len();
            if !fields.is_empty() {
                groups.push(fields);
            }
            if length == 0 || groups.len() >= MAX_GROUPS {
                break;
            }
            at += length;
        }
        Groups(groups)
    }

    /// The first field of that name in a group.
    pub fn value(&self, group: usize, name: &str) -> Option<&str> {
        self.0
            .get(group)?
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Recipients a delivery status may have; a message has no more.
const MAX_GROUPS: usize = 10_000;

/// What happened to a message for one recipient (RFC 3464 §2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// Address without its type.
    pub final_recipient: String,
    /// As the sender gave it, if it was another.
    pub original_recipient: Option<String>,
    /// `failed`, `delayed`, `delivered`, `relayed`, `expanded`.
    pub action: String,
    /// Enhanced status code.
    pub status: String,
    /// The host that said so.
    pub remote_mta: Option<String>,
    /// What it said.
    pub diagnostic: Option<String>,
    /// RFC 5322 date of the last attempt.
    pub last_attempt: Option<String>,
    /// RFC 5322 date until which it is tried.
    pub will_retry_until: Option<String>,
}

/// RFC 3464: what happened to a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// Who reports, without its type.
    pub reporting_mta: String,
    /// ENVID of the envelope.
    pub envelope_id: Option<String>,
    /// RFC 5322 date.
    pub arrival_date: Option<String>,
    /// One entry for each recipient.
    pub recipients: Vec<Recipient>,
}

/// `dns; host`, `rfc822; address`: what is behind the type.
fn typed(value: &str) -> String {
    value
        .split_once(';')
        .map_or(value, |(_, rest)| rest)
        .trim()
        .to_string()
}

impl DeliveryStatus {
    /// Reads the body of a `message/delivery-status` part.
    ///
    /// ```
    /// let body = b"Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    /// let status = waxwing_mime::report::DeliveryStatus::parse(body);
    /// assert_eq!(status.recipients[0].status, "5.1.1");
    /// ```
    pub fn parse(body: &[u8]) -> DeliveryStatus {
        let groups = Groups::parse(body);
        let mut status = DeliveryStatus {
            reporting_mta: groups
                .value(0, "Reporting-MTA")
                .map(typed)
                .unwrap_or_default(),
            envelope_id: groups.value(0, "Original-Envelope-Id").map(str::to_string),
            arrival_date: groups.value(0, "Arrival-Date").map(str::to_string),
            recipients: Vec::new(),
        };
        for group in 0..groups.0.len() {
            let Some(recipient) = groups.value(group, "Final-Recipient") else {
                continue;
            };
            let text = |name: &str| groups.value(group, name).map(str::to_string);
            status.recipients.push(Recipient {
                final_recipient: typed(recipient),
                original_recipient: groups.value(group, "Original-Recipient").map(typed),
                action: text("Action").unwrap_or_default().to_ascii_lowercase(),
                status: text("Status").unwrap_or_default(),
                remote_mta: groups.value(group, "Remote-MTA").map(typed),
                diagnostic: groups.value(group, "Diagnostic-Code").map(typed),
                last_attempt: text("Last-Attempt-Date"),
                will_retry_until: text("Will-Retry-Until"),
            });
        }
        status
    }

    /// The delivery status that a message carries, if it is such a report.
    pub fn of(message: &Message) -> Option<DeliveryStatus> {
        let part = message.parts().find(|part| is_status(*part))?;
        Some(DeliveryStatus::parse(&part.decoded().0))
    }

    /// The body for a `message/delivery-status` part.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        out += &header::words("Reporting-MTA", ["dns;", &self.reporting_mta]);
        put("Original-Envelope-Id", "", &self.envelope_id, &mut out);
        put("Arrival-Date", "", &self.arrival_date, &mut out);
        for recipient in &self.recipients {
            out += "\r\n";
            put(
                "Original-Recipient",
                "rfc822;",
                &recipient.original_recipient,
                &mut out,
            );
            out += &header::words("Final-Recipient", ["rfc822;", &recipient.final_recipient]);
            out += &header::words("Action", [recipient.action.as_str()]);
            out += &header::words("Status", [recipient.status.as_str()]);
            put("Remote-MTA", "dns;", &recipient.remote_mta, &mut out);
            put("Diagnostic-Code", "smtp;", &recipient.diagnostic, &mut out);
            put("Last-Attempt-Date", "", &recipient.last_attempt, &mut out);
            put(
                "Will-Retry-Until",
                "",
                &recipient.will_retry_until,
                &mut out,
            );
        }
        out.into_bytes()
    }

    /// RFC 6522: the whole report. `original` is the message concerned; with `headers_only` its header alone goes back.
    pub fn to_part(&self, text: &str, original: &[u8], headers_only: bool) -> PartBuilder {
        let third = if headers_only {
            let header = Message::parse(original).root().header_range();
            PartBuilder::raw("text/rfc822-headers", slice(original, header))
        } else {
            PartBuilder::message(original)
        };
        let parts = [
            PartBuilder::text(text),
            PartBuilder::raw("message/delivery-status", self.to_bytes()),
            third,
        ];
        PartBuilder::multipart("report", parts).param("report-type", "delivery-status")
    }
}

fn is_status(part: Part) -> bool {
    part.is("message", "delivery-status") || part.is("message", "global-delivery-status")
}

fn put(name: &str, kind: &str, value: &Option<String>, out: &mut String) {
    let Some(value) = value else { return };
    let words = std::iter::once(kind)
        .filter(|kind| !kind.is_empty())
        .chain(value.split_whitespace());
    *out += &header::words(name, words);
}

/// RFC 8098: what a recipient did with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// Address without its type.
    pub final_recipient: String,
    /// Id of the message concerned, without angle brackets.
    pub original_message_id: Option<String>,
    /// `manual-action/MDN-sent-manually; displayed` and the like.
    pub disposition: String,
    /// The product that reports.
    pub reporting_ua: Option<String>,
}

impl Disposition {
    /// Reads the body of a `message/disposition-notification` part.
    pub fn parse(body: &[u8]) -> Disposition {
        let groups = Groups::parse(body);
        let text = |name: &str| groups.value(0, name).map(str::to_string);
        Disposition {
            final_recipient: groups
                .value(0, "Final-Recipient")
                .map(typed)
                .unwrap_or_default(),
            original_message_id: text("Original-Message-ID")
                .map(|id| id.trim_matches(['<', '>', ' ']).to_string()),
            disposition: text("Disposition").unwrap_or_default(),
            reporting_ua: text("Reporting-UA"),
        }
    }

    /// The notification that a message carries, if it is one.
    pub fn of(message: &Message) -> Option<Disposition> {
        let part = message
            .parts()
            .find(|part| part.is("message", "disposition-notification"))?;
        Some(Disposition::parse(&part.decoded().0))
    }

    /// RFC 8098 §3: the whole notification.
    pub fn to_part(&self, text: &str) -> PartBuilder {
        let mut out = String::new();
        put("Reporting-UA", "", &self.reporting_ua, &mut out);
        out += &header::words("Final-Recipient", ["rfc822;", &self.final_recipient]);
        put(
            "Original-Message-ID",
            "",
            &self
                .original_message_id
                .as_ref()
                .map(|id| format!("<{id}>")),
            &mut out,
        );
        out += &header::words("Disposition", self.disposition.split_whitespace());
        let parts = [
            PartBuilder::text(text),
            PartBuilder::raw("message/disposition-notification", out),
        ];
        PartBuilder::multipart("report", parts).param("report-type", "disposition-notification")
    }
}

/// RFC 5965: somebody complains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// `abuse`, `fraud`, `virus`, `not-spam`, `auth-failure`, `other`.
    pub kind: String,
    /// All fields, in order.
    pub fields: Vec<(String, String)>,
}

impl Feedback {
    /// The complaint that a message carries, if it is one.
    pub fn of(message: &Message) -> Option<Feedback> {
        let part = message
            .parts()
            .find(|part| part.is("message", "feedback-report"))?;
        let groups = Groups::parse(&part.decoded().0);
        let kind = groups
            .value(0, "Feedback-Type")
            .unwrap_or("other")
            .to_ascii_lowercase();
        Some(Feedback {
            kind,
            fields: groups.0.into_iter().next().unwrap_or_default(),
        })
    }

    /// The first field of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::write::build::Builder;

    #[test]
    fn delivery_status_is_read_back() {
        let status = DeliveryStatus {
            reporting_mta: "mx.example.org".into(),
            envelope_id: Some("QQ314159".into()),
            arrival_date: Some("Fri, 21 Nov 1997 09:55:06 -0600".into()),
            recipients: vec![
                Recipient {
                    final_recipient: "a@b.example".into(),
                    original_recipient: Some("c@d.example".into()),
                    action: "failed".into(),
                    status: "5.1.1".into(),
                    remote_mta: Some("mx.b.example".into()),
                    diagnostic: Some("550 5.1.1 a very long answer that has to be folded somewhere, as it is longer than a line can be; really".into()),
                    last_attempt: None,
                    will_retry_until: None,
                },
                Recipient { final_recipient: "e@f.example".into(), action: "delayed".into(), status: "4.4.1".into(), ..Recipient::default() },
            ],
        };
        assert_eq!(DeliveryStatus::parse(&status.to_bytes()), status);
        for headers_only in [true, false] {
            let raw = Builder::new()
                .from("", "<>")
                .body(status.to_part("It failed.\n", b"Subject: x\r\n\r\nbody", headers_only))
                .to_vec();
            let message = Message::parse(&raw);
            assert_eq!(DeliveryStatus::of(&message).as_ref(), Some(&status));
            assert!(message.root().is("multipart", "report"));
            assert_eq!(
                message.part(3).unwrap().kind() == Kind::Message,
                !headers_only
            );
        }
        assert_eq!(DeliveryStatus::parse(b""), DeliveryStatus::default());
    }

    #[test]
    fn notifications_and_complaints() {
        let seen = Disposition {
            final_recipient: "a@b.example".into(),
            original_message_id: Some("x@y".into()),
            disposition: "manual-action/MDN-sent-manually; displayed".into(),
            reporting_ua: Some("Waxwing".into()),
        };
        let raw = Builder::new().body(seen.to_part("Seen.")).to_vec();
        assert_eq!(Disposition::of(&Message::parse(&raw)), Some(seen));
        let raw = b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: Abuse\r\nSource-IP: 192.0.2.1\r\n";
        let found = Feedback::of(&Message::parse(raw)).unwrap();
        assert_eq!(
            (found.kind.as_str(), found.value("source-ip")),
            ("abuse", Some("192.0.2.1"))
        );
    }
}
