//! The invariants of `ARCHITECTURE.md`, read from the manifests and sources.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each crate of ours may depend on among our own (dev-dependencies aside).
const LAYERS: &[(&str, &[&str])] = &[
    ("waxwing-wire", &[]),
    ("waxwing-mime", &["waxwing-wire"]),
    ("waxwing-smtp", &["waxwing-wire"]),
    ("waxwing-imap", &["waxwing-wire"]),
    ("waxwing-pop3", &["waxwing-wire"]),
    ("waxwing-store", &["waxwing-mime"]),
    (
        "waxwing-server",
        &[
            "waxwing-wire",
            "waxwing-mime",
            "waxwing-smtp",
            "waxwing-imap",
            "waxwing-pop3",
            "waxwing-store",
        ],
    ),
    ("waxwing-testkit", &[]),
];

/// Crates without I/O, clock or randomness.
const PURE: &[&str] = &["wire", "mime", "smtp", "imap", "pop3"];

/// What their sources must not name.
const IMPURE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::io::stdin",
    "std::os",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "tokio",
    "getrandom",
    "rand::",
    "rusqlite",
    "rustls",
];

/// Foreign crates that bring I/O, clocks, randomness or async with them.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "rustls",
    "rusqlite",
    "socket2",
    "rustix",
    "getrandom",
    "rand",
    "mio",
    "chrono",
    "time",
    "tempfile",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Dependencies of each of our crates, dev-dependencies left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().expect("name").to_owned();
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let names = dependencies
                .iter()
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .filter_map(|d| d["name"].as_str().map(str::to_owned))
                .collect();
            (name, names)
        })
        .collect()
}

/// The sources below a folder; files and folders of tests alone are left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let tests = path.file_stem().is_some_and(|stem| stem == "tests");
            if tests {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of a source with their numbers, comments and the tests at the end left out.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
        .map(|(n, line)| (n + 1, line.split("//").next().unwrap_or("").to_owned()))
        .collect()
}

/// Whether `word` stands in `line` and is not the middle of a longer name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !inside(before) && (word.ends_with(':') || !inside(after))
    })
}

#[test]
fn crates_depend_only_on_the_layers_below() {
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    for (name, dependencies) in dependencies() {
        let allowed = allowed.get(name.as_str()).copied();
        let allowed = allowed.unwrap_or_else(|| panic!("{name} has no place in the layers"));
        for own in dependencies.iter().filter(|d| d.starts_with("waxwing-")) {
            assert!(
                allowed.contains(&own.as_str()),
                "{name} may not depend on {own}"
            );
        }
    }
}

#[test]
fn protocol_and_format_crates_depend_on_nothing_impure() {
    let all = dependencies();
    for name in PURE {
        for dependency in &all[&format!("waxwing-{name}")] {
            assert!(
                !IMPURE_CRATES.contains(&dependency.as_str()),
                "{name} depends on {dependency}"
            );
        }
    }
    assert!(
        !all["waxwing-store"].contains("tokio"),
        "the store is blocking"
    );
}

#[test]
fn protocol_and_format_crates_do_no_io() {
    let mut wrong = Vec::new();
    for name in PURE {
        let files = sources(&root().join("crates").join(name).join("src"));
        assert!(!files.is_empty(), "no sources of {name}");
        for path in files {
            for (number, line) in code(&path) {
                for word in IMPURE.iter().filter(|word| names(&line, word)) {
                    wrong.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn protocols_and_store_do_not_know_each_other() {
    let mut wrong = Vec::new();
    let mut look = |name: &str, words: &[&str]| {
        for path in sources(&root().join("crates").join(name).join("src")) {
            for (number, line) in code(&path) {
                for word in words.iter().filter(|word| names(&line, word)) {
                    wrong.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    };
    for protocol in ["smtp", "imap", "pop3"] {
        look(protocol, &["store::", "mime::"]);
    }
    look(
        "store",
        &["smtp::", "imap::Session", "pop3::", "tokio", "async fn"],
    );
    // An IMAP module named `store` is the STORE command, not the crate.
    wrong.retain(|line| !line.ends_with(": store::") || !line.contains("crates/imap/"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_is_forbidden_everywhere() {
    for entry in std::fs::read_dir(root().join("crates"))
        .expect("crates")
        .flatten()
    {
        let source = entry.path().join("src");
        let heads = ["lib.rs", "main.rs"].map(|name| source.join(name));
        let heads: Vec<_> = heads.into_iter().filter(|path| path.exists()).collect();
        assert!(
            !heads.is_empty(),
            "no lib.rs or main.rs in {}",
            source.display()
        );
        for head in heads {
            let text = std::fs::read_to_string(&head).expect("source");
            assert!(
                text.contains("#![forbid(unsafe_code)]"),
                "{}",
                head.display()
            );
        }
        let manifest = std::fs::read_to_string(entry.path().join("Cargo.toml")).expect("manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{}",
            entry.path().display()
        );
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    // 700 lines before the tests is the habit; this is where it must be split.
    const LIMIT: usize = 900;
    let mut wrong = Vec::new();
    for path in sources(&root().join("crates")) {
        if path.components().any(|c| c.as_os_str() == "src") {
            let lines = code(&path).len();
            if lines > LIMIT {
                wrong.push(format!(
                    "{}: {lines} lines before its tests",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_is_explained() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut missing = BTreeSet::new();
    for (_, dependencies) in dependencies() {
        let foreign = dependencies
            .into_iter()
            .filter(|d| !d.starts_with("waxwing-"));
        missing.extend(foreign.filter(|d| {
            !page
                .lines()
                .any(|line| line.starts_with('|') && names(line, d))
        }));
    }
    assert!(
        missing.is_empty(),
        "no line in ARCHITECTURE.md for {missing:?}"
    );
}

#[test]
fn the_finder_finds() {
    assert!(names("use std::net::TcpStream;", "std::net"));
    assert!(names("let t = Instant::now();", "Instant"));
    assert!(!names("let x = Instantaneous;", "Instant"));
    assert!(names("use store::Store;", "store::"));
    assert!(!names("use restore::x;", "store::"));
}
