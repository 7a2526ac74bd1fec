use super::*;

/// A message: seconds of its date, base subject, whether it is a reply, identifier, references.
type Sample<'s> = (i64, &'s str, bool, &'s str, &'s [&'s str]);

fn id(text: &str) -> Id {
    let mut id = Id::default();
    for (to, from) in id.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    id
}

fn keys(messages: &[Sample<'_>]) -> Keys {
    let mut keys = Keys::default();
    let mut spans = Vec::new();
    for (date, subject, reply, own, references) in messages {
        spans.push(keys.put_text(subject.as_bytes()));
        keys.sent.push(*date);
        keys.reply.push(*reply);
        keys.ids.push((!own.is_empty()).then(|| id(own)));
        let from = keys.references.len() as u32;
        keys.references
            .extend(references.iter().map(|text| id(text)));
        keys.spans.push((from, keys.references.len() as u32));
    }
    keys.texts.push(spans);
    keys
}

fn written(tokens: &[ThreadToken]) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            ThreadToken::Open => out.push('('),
            ThreadToken::Close => out.push(')'),
            ThreadToken::Message(number) => {
                if !out.ends_with(['(', ')']) {
                    out.push(' ');
                }
                out.push_str(&number.to_string());
            }
        }
    }
    out
}

fn threads(messages: &[Sample<'_>]) -> String {
    let numbers: Vec<u32> = (1..=messages.len() as u32).collect();
    written(&references(&keys(messages), &numbers).unwrap())
}

#[test]
fn parents_and_children() {
    // A chain, out of order.
    let chain: [Sample; 3] = [
        (3, "x", true, "c", &["a", "b"]),
        (1, "x", false, "a", &[]),
        (2, "x", true, "b", &["a"]),
    ];
    assert_eq!(threads(&chain), "(2 3 1)");
    // Siblings by date.
    let siblings: [Sample; 3] = [
        (1, "x", false, "a", &[]),
        (3, "x", true, "b", &["a"]),
        (2, "x", true, "c", &["a"]),
    ];
    assert_eq!(threads(&siblings), "(1(3)(2))");
    // What is missing is left out inside, and keeps together at the top.
    let inside: [Sample; 2] = [
        (1, "x", false, "a", &[]),
        (2, "y", true, "c", &["a", "gone", "gone2"]),
    ];
    assert_eq!(threads(&inside), "(1 2)");
    let top: [Sample; 3] = [
        (2, "y", true, "a", &["gone"]),
        (1, "z", true, "b", &["gone0", "gone"]),
        (0, "w", false, "c", &[]),
    ];
    assert_eq!(threads(&top), "(3)((2)(1))");
    let lonely: [Sample; 1] = [(2, "y", true, "a", &["gone0", "gone"])];
    assert_eq!(threads(&lonely), "(1)");
}

#[test]
fn identifiers_missing_and_twice() {
    let twice: [Sample; 3] = [
        (1, "p", false, "a", &[]),
        (2, "q", false, "a", &[]),
        (3, "r", false, "b", &["a"]),
    ];
    assert_eq!(threads(&twice), "(1 3)(2)");
    let missing: [Sample; 2] = [(1, "p", false, "", &[]), (2, "q", false, "", &["z"])];
    assert_eq!(threads(&missing), "(1)(2)");
}

#[test]
fn loops_are_not_made() {
    let pair: [Sample; 2] = [(1, "p", false, "a", &["b"]), (2, "q", false, "b", &["a"])];
    assert_eq!(threads(&pair), "(2 1)");
    let own: [Sample; 1] = [(1, "p", false, "a", &["a"])];
    assert_eq!(threads(&own), "(1)");
    let repeated: [Sample; 1] = [(1, "p", false, "d", &["a", "b", "a", "c", "b"])];
    assert_eq!(threads(&repeated), "(1)");
    let three: [Sample; 3] = [
        (1, "p", false, "a", &["b", "c"]),
        (2, "q", false, "b", &["c", "a"]),
        (3, "r", false, "c", &["a", "b"]),
    ];
    let tokens = threads(&three);
    for number in ["1", "2", "3"] {
        assert!(tokens.contains(number), "{tokens}");
    }
}

#[test]
fn a_later_message_says_better_who_its_parent_is() {
    // The first message claims b is a's child; b itself says it is c's (step 1.B).
    let better: [Sample; 4] = [
        (4, "w", false, "d", &["a", "b"]),
        (1, "x", false, "a", &[]),
        (2, "y", false, "b", &["c"]),
        (0, "z", false, "c", &[]),
    ];
    assert_eq!(threads(&better), "(4 3 1)(2)");
    // And one without references has no parent, whatever others thought.
    let none: [Sample; 3] = [
        (4, "w", false, "d", &["a", "b"]),
        (1, "x", false, "a", &[]),
        (2, "y", false, "b", &[]),
    ];
    assert_eq!(threads(&none), "(2)(3 1)");
}

#[test]
fn subjects_join_threads() {
    // A reply goes below what it answers.
    let reply: [Sample; 2] = [(1, "x", false, "a", &[]), (2, "x", true, "b", &[])];
    assert_eq!(threads(&reply), "(1 2)");
    // Also when it came first.
    let early: [Sample; 2] = [(1, "x", true, "a", &[]), (2, "x", false, "b", &[])];
    assert_eq!(threads(&early), "(2 1)");
    // Two that are no replies stand side by side.
    let side: [Sample; 2] = [(1, "x", false, "a", &[]), (2, "x", false, "b", &[])];
    assert_eq!(threads(&side), "((1)(2))");
    let three: [Sample; 3] = [
        (1, "x", false, "a", &[]),
        (2, "x", false, "b", &[]),
        (3, "x", true, "c", &[]),
    ];
    assert_eq!(threads(&three), "((1)(2)(3))");
    // Two dummies become one; a message goes below a dummy.
    let dummies: [Sample; 5] = [
        (1, "x", true, "a", &["p"]),
        (2, "x", true, "b", &["p"]),
        (3, "x", true, "c", &["q"]),
        (4, "x", true, "d", &["q"]),
        (0, "x", false, "e", &[]),
    ];
    assert_eq!(threads(&dummies), "((5)(1)(2)(3)(4))");
    // Nothing is joined by having no subject.
    let empty: [Sample; 2] = [(1, "", false, "a", &[]), (2, "", true, "b", &[])];
    assert_eq!(threads(&empty), "(1)(2)");
}

#[test]
fn ordered_by_subject() {
    let messages: [Sample; 6] = [
        (5, "b", false, "", &[]),
        (1, "a", false, "", &[]),
        (3, "b", false, "", &[]),
        (4, "a", false, "", &[]),
        (2, "c", false, "", &[]),
        (6, "b", false, "", &[]),
    ];
    let tokens = ordered_subject(&keys(&messages), &[1, 2, 3, 4, 5, 6]);
    assert_eq!(written(&tokens), "(2 4)(5)(3(1)(6))");
}

#[test]
fn a20_chains_cycles_and_many_references_are_threaded_in_time() {
    let begun = std::time::Instant::now();
    const COUNT: usize = 100_000;
    let with = |references: &dyn Fn(usize) -> Vec<usize>| {
        let mut keys = keys(&[]);
        keys.texts = vec![vec![(0, 0); COUNT]];
        for at in 0..COUNT {
            keys.sent.push(at as i64);
            keys.reply.push(false);
            keys.ids.push(Some(id(&at.to_string())));
            let from = keys.references.len() as u32;
            let ids = references(at).into_iter().map(|at| id(&at.to_string()));
            keys.references.extend(ids);
            keys.spans.push((from, keys.references.len() as u32));
        }
        let numbers: Vec<u32> = (1..=COUNT as u32).collect();
        references_or_limit(&keys, &numbers)
    };
    // One deep thread, forwards and backwards; one cycle; each mail naming a hundred others.
    assert!(with(&|at| at.checked_sub(1).into_iter().collect()));
    assert!(with(&|at| vec![(at + 1).min(COUNT - 1)]));
    assert!(with(&|at| vec![(at + 1) % COUNT]));
    with(&|at| (0..20).map(|n| (at * 7919 + n * 104_729) % COUNT).collect());
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
}

/// Whether it was threaded: every message once; or else refused.
fn references_or_limit(keys: &Keys, numbers: &[u32]) -> bool {
    let Some(tokens) = references(keys, numbers) else {
        return false;
    };
    let mut told: Vec<u32> = tokens
        .iter()
        .filter_map(|token| match token {
            ThreadToken::Message(number) => Some(*number),
            _ => None,
        })
        .collect();
    told.sort_unstable();
    assert_eq!(told, numbers);
    true
}
