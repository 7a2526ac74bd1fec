//! What octets look like: a hint beside the media type that a part is labelled with, never in its place.

/// The media type that the first octets of a file are typical for; None if nothing typical is seen. A label that says something
/// else may be wrong, or a trick: show the difference, trust neither.
///
/// ```
/// assert_eq!(waxwing_mime::sniff::hint(b"%PDF-1.7 ..."), Some("application/pdf"));
/// assert_eq!(waxwing_mime::sniff::hint(b"Hello"), None);
/// ```
pub fn hint(bytes: &[u8]) -> Option<&'static str> {
    const SIGNS: [(&[u8], &str); 21] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"%PDF-", "application/pdf"),
        (b"%!PS", "application/postscript"),
        (b"PK\x03\x04", "application/zip"),
        (b"PK\x05\x06", "application/zip"),
        (b"\x1f\x8b", "application/gzip"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
        (b"Rar!\x1a\x07", "application/vnd.rar"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
        (b"{\\rtf", "application/rtf"),
        (b"MZ", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF", "application/x-executable"),
        (b"ID3", "audio/mpeg"),
        (b"OggS", "application/ogg"),
        (b"fLaC", "audio/flac"),
    ];
    if let Some((_, found)) = SIGNS.iter().find(|(sign, _)| bytes.starts_with(sign)) {
        return Some(found);
    }
    match bytes {
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'A',
            b'V',
            b'E',
            ..,
        ] => Some("audio/wav"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'A',
            b'V',
            b'I',
            b' ',
            ..,
        ] => Some("video/avi"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("video/mp4"),
        [0xff, second, ..] if second & 0xe6 == 0xe2 => Some("audio/mpeg"),
        _ => html(bytes),
    }
}

fn html(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.trim_ascii_start();
    let is = |tag: &[u8]| {
        start
            .get(..tag.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(tag))
    };
    (is(b"<!doctype html") || is(b"<html")).then_some("text/html")
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn signs_of_everyday_files() {
        for (bytes, found) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"RIFF\x24\0\0\0WAVEfmt ", Some("audio/wav")),
            (b"RIFF\x24\0\0\0AVI LIST", Some("video/avi")),
            (b"\0\0\0\x20ftypisom", Some("video/mp4")),
            (b"\xff\xfb\x90\x44", Some("audio/mpeg")),
            (
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0",
                Some("application/msword"),
            ),
            (b"  <HTML><body>", Some("text/html")),
            (b"", None),
            (b"RIFF", None),
            (b"plain text", None),
        ] {
            assert_eq!(hint(bytes), found, "{bytes:?}");
        }
    }
}
