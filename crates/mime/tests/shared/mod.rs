//! Where the corpora are: `WAXWING_SHARED`, or `../shared` beside the project.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// A folder of the corpora; None, saying so, if it is absent.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("WAXWING_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let folder = root.join("corpus").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is absent", folder.display());
    None
}

/// The files of a folder with this extension, sorted.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

/// Every message of all corpora with its name.
pub fn all_messages() -> Vec<(String, Vec<u8>)> {
    let Some(root) = corpus("") else {
        return Vec::new();
    };
    let mut folders = vec![root];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path
                .extension()
                .map(|e| e.to_string_lossy().into_owned())
                .unwrap_or_default();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if matches!(extension.as_str(), "eml" | "msg")
                || (name.contains("/cpython/msg_") && extension == "txt")
            {
                found.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
