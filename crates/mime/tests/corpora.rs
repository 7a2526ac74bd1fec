//! Messages and tables of others, compared with what they expect. Where this library decides differently, the case is listed
//! here with the reason. Skipped, saying so, where the corpora are absent.

mod shared;

use serde_json::Value;
use shared::corpus;
use waxwing_mime::{AddressList, DateTime, Kind, Message, Name, Part, encoded_word, ids};

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Collects differences, and checks them against those that are decided.
struct Differences {
    decided: &'static [(&'static str, &'static str)],
    found: Vec<(String, String)>,
}

impl Differences {
    fn check(&mut self, case: &str, what: &str, own: String, expected: String) {
        if own != expected {
            self.found.push((
                case.to_string(),
                format!("{what}\n      own      {own:?}\n      expected {expected:?}"),
            ));
        }
    }

    fn finish(self) {
        let open: Vec<_> = self
            .found
            .iter()
            .filter(|(case, _)| {
                !self
                    .decided
                    .iter()
                    .any(|(known, _)| squeeze(known) == squeeze(case))
            })
            .collect();
        let gone: Vec<_> = self
            .decided
            .iter()
            .filter(|(known, _)| {
                !self
                    .found
                    .iter()
                    .any(|(case, _)| squeeze(case) == squeeze(known))
            })
            .collect();
        for (case, what) in &open {
            println!("{case}: {what}");
        }
        assert!(open.is_empty(), "{} undecided differences", open.len());
        assert!(
            gone.is_empty(),
            "listed as different, but the same: {gone:?}"
        );
    }
}

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn addresses(value: &Value) -> String {
    let one = |m: &Value| format!("{}<{}>", squeeze(&text(&m["name"])), text(&m["address"]));
    let mut found = Vec::new();
    for m in value["List"].as_array().into_iter().flatten() {
        found.push(one(m));
    }
    for group in value["Group"].as_array().into_iter().flatten() {
        for m in group["addresses"].as_array().into_iter().flatten() {
            found.push(one(m));
        }
    }
    found.join(", ")
}

fn own_addresses(list: &AddressList) -> String {
    list.mailboxes()
        .map(|m| format!("{}<{}>", squeeze(m.name.unwrap_or_default()), m.address))
        .collect::<Vec<_>>()
        .join(", ")
}

fn date(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let n = |key: &str| value[key].as_i64().unwrap_or(0);
    let offset = (n("tz_hour") * 60 + n("tz_minute"))
        * if value["tz_before_gmt"] == true {
            -1
        } else {
            1
        };
    format!(
        "{}-{}-{} {}:{}:{} {offset}",
        n("year"),
        n("month"),
        n("day"),
        n("hour"),
        n("minute"),
        n("second")
    )
}

fn own_date(value: &[u8]) -> String {
    DateTime::parse(value).map_or(String::new(), |d| {
        format!(
            "{}-{}-{} {}:{}:{} {}",
            d.year, d.month, d.day, d.hour, d.minute, d.second, d.offset
        )
    })
}

/// A header of the tables: its first field value.
fn value_of(header: &str) -> Vec<u8> {
    let raw = format!("X:{header}");
    Message::parse(raw.as_bytes())
        .root()
        .fields()
        .next()
        .map(|field| field.value().to_vec())
        .unwrap_or_default()
}

const COMMENT: &str = "a comment is no part of a name, an address or a domain: RFC 5322 §3.2.2";

const ADDRESSES: &[(&str, &str)] = &[
    (
        "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>\n",
        COMMENT,
    ),
    (
        "Pete(A nice \n \\\n ) chap) <pete(his\n account)@silly\n .test(his host)>\n",
        "unfolding goes before quoted pairs: RFC 5322 §2.2.3",
    ),
    (
        "A Group(Some people)\n        :Chris Jones <c@(Chris's host.)public.example>,\n            joe@example.org,\n     John <jdoe@one.test> (my dear friend); (the end of the group)\n",
        COMMENT,
    ),
    (
        "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;\n",
        COMMENT,
    ),
    (
        "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example\n",
        "the route is no part of the address, blanks neither: RFC 5322 §4.4",
    ),
    ("John Doe <jdoe@machine(comment).  example>\n", COMMENT),
    (
        "Nathaniel Borenstein <nsb@thumper.bellcore.com>\n    (=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=)\n",
        COMMENT,
    ),
    (
        "<a@b.com> =?utf-8?q?Doe?=\n",
        "a display name stands before the address: RFC 5322 §3.4",
    ),
    ("Name (comment) =?utf-8?q?Doe?= <a@b.com>\n", COMMENT),
];
const DATES: &[(&str, &str)] = &[
    (
        "4 8 15 16 23 42, 4 8 15 16 23 42, 4 8 15 16 23 42, \n",
        "not a date: RFC 5322 §3.3",
    ),
    (
        "Tue, 1 Jul 2003 ((invalid)\ncomment) 10:52:37 +0200",
        "the day is there, the time behind the open comment is not: RFC 5322 §3.2.2",
    ),
    (
        "by 2002:aa7:cd10:0:b0:45c:2c83:1208 with SMTP id b16-20020aa7cd10000000b0045c2c831208mr4220805edw.81.1665423075119;\n\tMon, 10 Oct 2022 10:31:15 -0700 (PDT)\n",
        "the value of Received is no date, but has one after `;`: RFC 5322 §3.6.7",
    ),
];
const NO_BLANK: &str =
    "no blank is shown where none stands: RFC 2047 §6.2 takes blanks away and adds none";

const TEXTS: &[(&str, &str)] = &[
    (
        "[SUSPECTED SPAM]=?utf-8?B?VGhpcyBpcyB0aGUgb3JpZ2luYWwgc3ViamVjdA==?=",
        NO_BLANK,
    ),
    (
        "[SUSPECTED SPAM]=?utf-8?B?VGhpcyBpcyB0aGUgb\r\n 3JpZ2luYWwgc3ViamVjdA==?=",
        NO_BLANK,
    ),
];
const NO_BLANK_BETWEEN: &str = "blanks between encoded words are not shown: RFC 2047 §6.2";
const NO_TYPE: &str =
    "a type is two tokens and a slash; what is none of it is not part of one: RFC 2045 §5.1";

const LANGUAGE: &str = "the language is no parameter: RFC 2231 §5";

const TYPES: &[(&str, &str)] = &[
    (
        "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
        LANGUAGE,
    ),
    (
        "application/x-stuff title*0*=us-ascii'en'This%20is%20even%20more%20 title*1*=%2A%2A%2Afun%2A%2A%2A%20 title*2=\"isn't it!\"",
        LANGUAGE,
    ),
    (
        "application/pdf filename*0*=iso-8859-1'es'%D1and%FA filename*1*=iso-8859-1'%20r%E1pido filename*2*=\"iso-8859-1' (versi%F3n \\'99 \\\"oficial\\\").pdf\"",
        "only the first segment names a charset: RFC 2231 §4.1",
    ),
    (
        "image/jpeg; name=\"=?iso-8859-1?B?4Q==?= =?utf-8?B?w6k=?= =?iso-8859-1?q?=ED?=.jpeg\"",
        NO_BLANK_BETWEEN,
    ),
    ("/invalid", NO_TYPE),
    ("/ ; name=value", NO_TYPE),
    ("=", NO_TYPE),
    ("name=value", NO_TYPE),
    (";charset=us-ascii", NO_TYPE),
    ("/;charset=us-ascii", NO_TYPE),
    ("/ ;charset=us-ascii", NO_TYPE),
    ("/plain", NO_TYPE),
    ("/plain;charset=us-ascii", NO_TYPE),
    ("/plain ;charset=us-ascii", NO_TYPE),
    ("text/plain/format", NO_TYPE),
    ("text/plain/format;charset=us-ascii", NO_TYPE),
    ("text/plain/format ;charset=us-ascii", NO_TYPE),
    ("text/plain; name=", "an empty value is a value"),
    (
        "test/encoded; key4*=us-ascii''foo; key*9999=ba%; key2*0=a; key3*0*=us-ascii'en'xyz; key*0=\"f\0oo\"; key2*1*=b%25; key3*1=plop%; key*1=baz; *=test; =test2;",
        "segments count up to the first gap: RFC 2231 §3",
    ),
    (
        "malicious/attempt; 1*2*=a; 3**=b; 4***=c; *5**6*=d;*****7*8*=e; 9*10*11*12*13*14=f; 15*x***fff*===g;1 * 999999999999999999 *= h; 18 *=*=*=*=*==i;",
        "names that are no form of RFC 2231 are names",
    ),
];
const IDS: &[(&str, &str)] = &[(
    "<1234   @   local(blah)  .machine .example>",
    "blanks are no part of an id: RFC 5322 §4.5.4; all else is opaque",
)];

#[test]
fn tables() {
    let Some(root) = corpus("mail-parser") else {
        return;
    };
    let rows = |name: &str| json(&root.join(name)).as_array().unwrap().clone();
    let mut differences = Differences {
        decided: ADDRESSES,
        found: Vec::new(),
    };
    for row in rows("address.json") {
        let header = text(&row["header"]);
        let own = own_addresses(&AddressList::parse(&value_of(&header)));
        differences.check(&header, "addresses", own, addresses(&row["expected"]));
    }
    differences.finish();
    let mut differences = Differences {
        decided: DATES,
        found: Vec::new(),
    };
    for row in rows("date.json") {
        let header = text(&row["header"]);
        differences.check(
            &header,
            "date",
            own_date(&value_of(&header)),
            date(&row["expected"]),
        );
    }
    differences.finish();
    let mut differences = Differences {
        decided: TEXTS,
        found: Vec::new(),
    };
    for row in rows("unstructured.json") {
        let header = text(&row["header"]);
        let own = squeeze(&encoded_word::text(&value_of(&header)));
        differences.check(&header, "text", own, squeeze(&text(&row["expected"])));
    }
    differences.finish();
    let mut differences = Differences {
        decided: IDS,
        found: Vec::new(),
    };
    for row in rows("id.json") {
        let header = text(&row["header"]);
        let own = ids::all(&value_of(&header)).collect::<Vec<_>>().join(" ");
        let expected = match &row["expected"] {
            Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(" "),
            other => text(other),
        };
        differences.check(&header, "ids", own, expected);
    }
    differences.finish();
    let mut differences = Differences {
        decided: TYPES,
        found: Vec::new(),
    };
    for row in rows("content_type.json") {
        let header = text(&row["header"]);
        let raw = format!("Content-Type:{header}\n\n");
        let message = Message::parse(raw.as_bytes());
        let Some(field) = message.root().field(Name::ContentType) else {
            continue;
        };
        let (kind, subtype, params) = field.with_params();
        let params: Vec<_> = params
            .all()
            .into_iter()
            .map(|(name, value)| format!("{name}={}", squeeze(&value)))
            .collect();
        let own = format!(
            "{}/{} {}",
            String::from_utf8_lossy(kind),
            String::from_utf8_lossy(subtype),
            params.join("; ")
        );
        let expected = &row["expected"];
        let mut theirs = Vec::new();
        for attribute in expected["attributes"].as_array().into_iter().flatten() {
            theirs.push(format!(
                "{}={}",
                text(&attribute[0]),
                squeeze(&text(&attribute[1]))
            ));
        }
        let theirs = format!(
            "{}/{} {}",
            text(&expected["c_type"]),
            text(&expected["c_subtype"]),
            theirs.join("; ")
        );
        differences.check(
            &header,
            "type",
            own.to_ascii_lowercase(),
            theirs.to_ascii_lowercase(),
        );
    }
    differences.finish();
}

const NEVER_LOSE_TEXT: &str = "a multipart without parts is shown as text: RFC 2046 §5.1.1 gives it no meaning, and text must not be lost";
const NO_HEADER: &str = "a line that is no field and has none after it begins the body: RFC 7103 §7.2 for where neither of its rules holds";
const ENDS_WITH_BLANK: &str = "a boundary can't end with a blank: RFC 2046 §5.1.1";

const TREES: &[(&str, &str)] = &[
    (
        "basic-plain-with-bad-header-separator",
        "a line of blanks before text that is no field separates: RFC 7103 §7.3 has it between fields",
    ),
    ("malformedHeader-noheader", NO_HEADER),
    ("malformedHeaderStartsBody-noheader", NO_HEADER),
    (
        "malformedHeaderStartsBody-nocrlfcrlf",
        "a field follows, so the line belongs to the header: RFC 7103 §7.2",
    ),
    ("missing-boundary", NEVER_LOSE_TEXT),
    ("missing-inner-boundary", NEVER_LOSE_TEXT),
    ("missing-inner-start-boundary", NEVER_LOSE_TEXT),
    ("multipartnopart", NEVER_LOSE_TEXT),
    ("very-long-boundary", ENDS_WITH_BLANK),
    ("very-very-long-boundary", ENDS_WITH_BLANK),
    ("weird-boundary", ENDS_WITH_BLANK),
];

/// mime4j's trees: elements in order, bodies in files beside.
#[test]
fn mime4j_trees() {
    let Some(root) = corpus("mime4j/testmsgs") else {
        return;
    };
    let mut differences = Differences {
        decided: TREES,
        found: Vec::new(),
    };
    for path in shared::files(&root, "msg") {
        let raw = std::fs::read(&path).unwrap();
        let case = path.file_stem().unwrap().to_string_lossy().into_owned();
        let xml = std::fs::read_to_string(root.join(format!("{case}_decoded.xml"))).unwrap();
        let message = Message::parse(&raw);
        let (mut own, mut theirs) = (String::new(), String::new());
        outline(message.root(), true, &mut own);
        let mut rest = xml.as_str();
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            let tag = &rest[..rest.find('>').unwrap()];
            match tag.split(' ').next().unwrap() {
                tag @ ("message" | "body-part" | "multipart" | "/message" | "/body-part"
                | "/multipart") => theirs += &format!("<{tag}>"),
                "text-body" | "binary-body" => {
                    let file = tag.split('"').nth(1).unwrap();
                    let body = std::fs::read(root.join(file)).unwrap();
                    theirs += &squeeze(&String::from_utf8_lossy(&body).replace('\u{FFFD}', "?"));
                }
                "text-body/" | "binary-body/" => (),
                _ => (),
            }
        }
        differences.check(&case, "tree", own, theirs);
    }
    differences.finish();
}

fn outline(part: Part, message: bool, out: &mut String) {
    let tag = if message { "message" } else { "body-part" };
    *out += &format!("<{tag}>");
    match part.kind() {
        Kind::Multipart => {
            *out += "<multipart>";
            part.children().for_each(|child| outline(child, false, out));
            *out += "</multipart>";
        }
        Kind::Message => part.children().for_each(|child| outline(child, true, out)),
        Kind::Leaf if part.encoded_message().is_some() => {
            outline(part.encoded_message().unwrap().message().root(), true, out)
        }
        Kind::Leaf => {
            *out += &squeeze(&String::from_utf8_lossy(&part.decoded().0).replace('\u{FFFD}', "?"))
        }
    }
    *out += &format!("</{tag}>");
}

const EIGHT: &str = "raw 8-bit octets that are no UTF-8 are windows-1252: RFC 7103 §7.7 leaves it open, U+FFFD would lose them";
const EXACT: &str = "each delimiter counts for the multipart with that boundary, inner ones end with an outer delimiter: RFC 2046 §5.1.2";
const PATH: &str = "a backslash before a letter is one of a path, not of a quoted pair";
const UU: &str = "x-uuencode is decoded";
const BARE: &str =
    "words without an address are a name if several, else a local part: RFC 7103 §7.1.7";

const MESSAGES: &[(&str, &str)] = &[
    ("legacy/010", EIGHT),
    ("legacy/016", EIGHT),
    ("legacy/020", EIGHT),
    ("legacy/022", EIGHT),
    ("legacy/023", EIGHT),
    ("legacy/027", EIGHT),
    ("legacy/052", EIGHT),
    ("legacy/017", UU),
    ("legacy/026", UU),
    ("legacy/048", UU),
    ("legacy/035", PATH),
    ("legacy/039", PATH),
    ("malformed/000", EXACT),
    ("malformed/001", EXACT),
    ("malformed/007", EXACT),
    ("malformed/008", EXACT),
    ("malformed/009", EXACT),
    ("malformed/011", EXACT),
    ("malformed/012", EXACT),
    ("malformed/016", EXACT),
    ("malformed/019", EXACT),
    ("malformed/004", NEVER_LOSE_TEXT),
    (
        "malformed/020",
        "the first Content-Type counts, so the part is the multipart that it says",
    ),
    (
        "malformed/021",
        "the first Content-Type counts, so the part is the multipart that it says",
    ),
    (
        "malformed/022",
        "a message/rfc822 without a header is a message without a header: RFC 2046 §5.2.1 asks for nothing more",
    ),
    (
        "rfc/000",
        "the label counts, not the content; a comment alone is no address",
    ),
    ("rfc/001", BARE),
    ("rfc/004", BARE),
    ("rfc/002", COMMENT),
    (
        "thirdparty/002",
        "what base64 there is between other octets is decoded, and marked as damaged: RFC 2045 §6.8",
    ),
    (
        "thirdparty/005",
        "a delimiter stands at the beginning of a line: RFC 2046 §5.1.1",
    ),
    (
        "thirdparty/010",
        "the first of two parameters of one name counts",
    ),
    ("thirdparty/015", EXACT),
];

#[test]
fn mail_parser_messages() {
    let Some(root) = corpus("mail-parser/eml") else {
        return;
    };
    let mut differences = Differences {
        decided: MESSAGES,
        found: Vec::new(),
    };
    for folder in ["legacy", "malformed", "rfc", "thirdparty"] {
        for path in shared::files(&root.join(folder), "eml") {
            // The offsets of the expectation are those of the message with bare line feeds.
            let raw: Vec<u8> = std::fs::read(&path)
                .unwrap()
                .into_iter()
                .filter(|b| *b != b'\r')
                .collect();
            let message = Message::parse(&raw);
            let expected = json(&path.with_extension("json"));
            let case = format!("{folder}/{}", path.file_stem().unwrap().to_string_lossy());
            same_message(&case, message.root(), &expected, &mut differences);
        }
    }
    differences.finish();
}

fn same_message(case: &str, root: Part, expected: &Value, differences: &mut Differences) {
    let empty = Vec::new();
    let parts = expected["parts"].as_array().unwrap_or(&empty);
    same_part(case, root, parts, 0, differences);
}

fn same_part(case: &str, part: Part, parts: &[Value], id: usize, differences: &mut Differences) {
    let Some(expected) = parts.get(id) else {
        return;
    };
    let body = &expected["body"];
    let kind = body
        .as_object()
        .and_then(|o| o.keys().next().cloned())
        .unwrap_or_default();
    let own = match part.kind() {
        Kind::Multipart => "Multipart",
        Kind::Message => "Message",
        Kind::Leaf if part.is("text", "html") => "Html",
        Kind::Leaf if part.is_text() => "Text",
        Kind::Leaf if part.encoded_message().is_some() => {
            let inner = part.encoded_message().unwrap();
            return same_message(case, inner.message().root(), &body["Message"], differences);
        }
        Kind::Leaf => "Binary",
    };
    let theirs = if kind == "InlineBinary" {
        "Binary"
    } else {
        &kind
    };
    differences.check(case, &format!("part {id} kind"), own.into(), theirs.into());
    if own != theirs {
        return;
    }
    for header in expected["headers"].as_array().into_iter().flatten() {
        same_field(case, part, header, differences);
    }
    match own {
        "Multipart" => {
            let children: Vec<usize> = body["Multipart"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n.as_u64().unwrap() as usize)
                .collect();
            let own: Vec<Part> = part.children().collect();
            differences.check(
                case,
                &format!("part {id} children"),
                own.len().to_string(),
                children.len().to_string(),
            );
            for (child, number) in own.into_iter().zip(children) {
                same_part(case, child, parts, number, differences);
            }
        }
        "Message" => {
            if let Some(inner) = part.children().next() {
                same_message(case, inner, &body["Message"], differences);
            }
        }
        "Binary" => {
            let theirs: Vec<u8> = body[&kind]
                .as_array()
                .into_iter()
                .flatten()
                .map(|n| n.as_u64().unwrap_or(0) as u8)
                .collect();
            let own = part.decoded().0.to_vec();
            differences.check(
                case,
                &format!("part {id} bytes"),
                format!("{} {:?}", own.len(), String::from_utf8_lossy(&own)),
                format!("{} {:?}", theirs.len(), String::from_utf8_lossy(&theirs)),
            );
        }
        _ => {
            differences.check(
                case,
                &format!("part {id} text"),
                squeeze(&part.text().0),
                squeeze(&text(&body[&kind])),
            );
        }
    }
}

fn same_field(case: &str, part: Part, header: &Value, differences: &mut Differences) {
    let start = header["offset_field"].as_u64().unwrap_or(0) as usize;
    let end = header["offset_end"].as_u64().unwrap_or(0) as usize;
    let range = start..end;
    let name = match &header["name"] {
        Value::String(name) => name.clone(),
        other => text(&other["other"]),
    };
    let Some(field) = part.fields().find(|field| field.range() == range) else {
        differences.check(case, "field", "absent".into(), format!("{name} at {start}"));
        return;
    };
    let (kind, value) = match &header["value"] {
        Value::Object(object) => object
            .iter()
            .next()
            .map(|(k, v)| (k.as_str(), v))
            .unwrap_or(("", &Value::Null)),
        _ => ("", &Value::Null),
    };
    let what = name;
    if field.id() == Name::ReturnPath {
        let own = field
            .addresses()
            .mailboxes()
            .map(|m| m.address.to_string())
            .collect::<String>();
        return differences.check(case, &what, own, text(value));
    }
    match kind {
        "Text"
            if matches!(
                field.id(),
                Name::MessageId | Name::References | Name::InReplyTo | Name::ContentId
            ) =>
        {
            differences.check(case, &what, field.ids().join(" "), text(value))
        }
        "TextList"
            if matches!(
                field.id(),
                Name::MessageId | Name::References | Name::InReplyTo
            ) =>
        {
            let theirs = value
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect::<Vec<_>>()
                .join(" ");
            differences.check(case, &what, field.ids().join(" "), theirs)
        }
        "Text" => differences.check(case, &what, squeeze(&field.text()), squeeze(&text(value))),
        "Address" => differences.check(
            case,
            &what,
            own_addresses(&field.addresses()),
            addresses(value),
        ),
        "DateTime" => differences.check(case, &what, own_date(field.value()), date(value)),
        "ContentType" => {
            let (first, second, params) = field.with_params();
            let own = params
                .all()
                .into_iter()
                .map(|(n, v)| format!("{n}={}", squeeze(&v)))
                .collect::<Vec<_>>();
            let mut theirs = Vec::new();
            for attribute in value["attributes"].as_array().into_iter().flatten() {
                theirs.push(format!(
                    "{}={}",
                    text(&attribute["name"]),
                    squeeze(&text(&attribute["value"]))
                ));
            }
            let own = format!(
                "{}/{} {}",
                String::from_utf8_lossy(first),
                String::from_utf8_lossy(second),
                own.join("; ")
            );
            let theirs = format!(
                "{}/{} {}",
                text(&value["c_type"]),
                text(&value["c_subtype"]),
                theirs.join("; ")
            );
            differences.check(
                case,
                &what,
                own.to_ascii_lowercase(),
                theirs.to_ascii_lowercase(),
            );
        }
        _ => (),
    }
}
