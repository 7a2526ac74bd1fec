//! The changes that filters ask for, carried out on a message.

/// Octets that a filter may add to a message by header fields; a replaced body is bounded by the message's size limit.
pub const ADDED: usize = 256 * 1024;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A field behind all others.
    Append(Vec<u8>, Vec<u8>),
    /// A field at a place, 0 on top.
    Insert(usize, Vec<u8>, Vec<u8>),
    /// Another value for the n-th field of a name, from 1; an empty one removes it.
    Change(usize, Vec<u8>, Vec<u8>),
    /// Every field of a name goes.
    Remove(Vec<u8>),
    /// Another body; several are put together.
    Body(Vec<u8>),
    /// It goes to Junk.
    Quarantine(String),
}

/// The message with all changes, or `None` when they are more than a filter may make.
pub fn apply(message: &[u8], edits: &[Edit]) -> Option<Vec<u8>> {
    let header = crate::pipeline::header_end(message);
    let mut fields: Vec<Vec<u8>> = mime::header::fields(message, 0..header)
        .map(|field| field.raw().to_vec())
        .collect();
    let mut body: Option<Vec<u8>> = None;
    let mut added = 0_usize;
    for edit in edits {
        match edit {
            Edit::Append(name, value) => fields.push(field(name, value, &mut added)?),
            Edit::Insert(place, name, value) => {
                let field = field(name, value, &mut added)?;
                fields.insert((*place).min(fields.len()), field);
            }
            Edit::Change(which, name, value) => {
                let at = fields
                    .iter()
                    .enumerate()
                    .filter(|(_, field)| is(field, name))
                    .map(|(at, _)| at)
                    .nth(which.saturating_sub(1));
                match (at, value.is_empty()) {
                    (Some(at), true) => {
                        fields.remove(at);
                    }
                    (Some(at), false) => {
                        let changed = field(name, value, &mut added)?;
                        if let Some(old) = fields.get_mut(at) {
                            *old = changed;
                        }
                    }
                    (None, true) => {}
                    (None, false) => fields.push(field(name, value, &mut added)?),
                }
            }
            Edit::Remove(name) => fields.retain(|field| !is(field, name)),
            Edit::Body(octets) => body.get_or_insert_default().extend_from_slice(octets),
            Edit::Quarantine(_) => {}
        }
    }
    let mut out = fields.concat();
    out.extend_from_slice(b"\r\n");
    match body {
        Some(body) => out.extend_from_slice(&lines(&body)),
        None => out.extend_from_slice(message.get(header..).unwrap_or_default()),
    }
    Some(out)
}

fn is(field: &[u8], name: &[u8]) -> bool {
    let end = field
        .iter()
        .position(|octet| *octet == b':')
        .unwrap_or(field.len());
    let written = field.get(..end).unwrap_or_default().trim_ascii_end();
    written.eq_ignore_ascii_case(name)
}

/// A whole field. Whatever the filter sent, it stays one: lines behind the first begin with white space.
fn field(name: &[u8], value: &[u8], added: &mut usize) -> Option<Vec<u8>> {
    let name: Vec<u8> = name
        .iter()
        .copied()
        .filter(|octet| matches!(octet, b'!'..=b'9' | b';'..=b'~'))
        .collect();
    *added = added
        .saturating_add(name.len())
        .saturating_add(value.len())
        .saturating_add(4);
    if name.is_empty() || *added > ADDED {
        return None;
    }
    let mut out = name;
    out.push(b':');
    let lines = value
        .split(|octet| *octet == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.trim_ascii().is_empty());
    for (number, line) in lines.enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\r\n");
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            out.push(if number == 0 { b' ' } else { b'\t' });
        }
        out.extend(line.iter().filter(|octet| !matches!(octet, 0 | b'\r')));
    }
    out.extend_from_slice(b"\r\n");
    Some(out)
}

/// A body whose lines end with CRLF, and only with it (RFC 5321 §2.3.8).
fn lines(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut last = 0;
    for &octet in body {
        match octet {
            b'\n' if last != b'\r' => out.extend_from_slice(b"\r\n"),
            b'\n' => out.push(b'\n'),
            _ => {
                if last == b'\r' {
                    out.push(b'\n');
                }
                out.push(octet);
            }
        }
        last = octet;
    }
    if last == b'\r' {
        out.push(b'\n');
    } else if last != b'\n' && !out.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"A: 1\r\nB: 2\r\n folded\r\na: 3\r\n\r\nbody\r\n";

    fn changed(edits: &[Edit]) -> String {
        String::from_utf8(apply(MESSAGE, edits).unwrap()).unwrap()
    }

    #[test]
    fn each_change() {
        let o = |text: &str| text.as_bytes().to_vec();
        let table: [(Edit, &str); 9] = [
            (
                Edit::Append(o("X"), o("y")),
                "A: 1\r\nB: 2\r\n folded\r\na: 3\r\nX: y\r\n\r\nbody\r\n",
            ),
            (
                Edit::Insert(0, o("X"), o("y\n z")),
                "X: y\r\n z\r\nA: 1\r\nB: 2\r\n folded\r\na: 3\r\n\r\nbody\r\n",
            ),
            (
                Edit::Insert(1, o("X"), o("y")),
                "A: 1\r\nX: y\r\nB: 2\r\n folded\r\na: 3\r\n\r\nbody\r\n",
            ),
            (
                Edit::Insert(99, o("X"), o(" y")),
                "A: 1\r\nB: 2\r\n folded\r\na: 3\r\nX: y\r\n\r\nbody\r\n",
            ),
            (
                Edit::Change(2, o("A"), o("4")),
                "A: 1\r\nB: 2\r\n folded\r\nA: 4\r\n\r\nbody\r\n",
            ),
            (
                Edit::Change(1, o("b"), o("")),
                "A: 1\r\na: 3\r\n\r\nbody\r\n",
            ),
            (
                Edit::Change(7, o("C"), o("5")),
                "A: 1\r\nB: 2\r\n folded\r\na: 3\r\nC: 5\r\n\r\nbody\r\n",
            ),
            (Edit::Remove(o("a")), "B: 2\r\n folded\r\n\r\nbody\r\n"),
            (
                Edit::Body(o("new\nbody\r")),
                "A: 1\r\nB: 2\r\n folded\r\na: 3\r\n\r\nnew\r\nbody\r\n",
            ),
        ];
        for (edit, expected) in table {
            assert_eq!(changed(std::slice::from_ref(&edit)), expected, "{edit:?}");
        }
    }

    /// A filter cannot begin a second field or the body in a value, nor write line breaks that others read otherwise.
    #[test]
    fn values_stay_in_their_field() {
        let edit = Edit::Insert(0, b"X:\r\nY".to_vec(), b"a\r\n\r\nEvil: b\nc\rd\0".to_vec());
        assert!(changed(&[edit]).starts_with("XY: a\r\n\tEvil: b\r\n\tcd\r\nA: 1\r\n"));
        assert_eq!(lines(b"a\rb\nc\r\nd\r"), b"a\r\nb\r\nc\r\nd\r\n");
        assert_eq!(lines(b"a\r\r\nb"), b"a\r\n\r\nb\r\n");
        assert_eq!(lines(b""), b"");
    }

    #[test]
    fn changes_are_bounded() {
        let edit = Edit::Append(b"X".to_vec(), vec![b'y'; 200_000]);
        assert!(apply(MESSAGE, std::slice::from_ref(&edit)).is_some());
        assert!(apply(MESSAGE, &[edit.clone(), edit]).is_none());
        assert!(apply(MESSAGE, &[Edit::Append(Vec::new(), b"y".to_vec())]).is_none());
    }
}
