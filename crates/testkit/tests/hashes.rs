//! A23: whatever is hashed that others send is hashed with the standard library's random keys, so that nobody can make it
//! collide. No other hasher is in the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn a23_no_hash_without_random_keys() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    sources(&crates, &mut files);
    assert!(files.len() > 100);
    let own = Path::new(file!()).file_name();
    for file in files.iter().filter(|file| file.file_name() != own) {
        let text = fs::read_to_string(file).expect("a source");
        for other in [
            "BuildHasherDefault",
            "FxHash",
            "ahash",
            "impl Hasher for",
            "DefaultHasher::new",
        ] {
            assert!(!text.contains(other), "{} uses {other}", file.display());
        }
    }
}
