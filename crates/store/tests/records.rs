//! Decision records and feedback for reports.

mod support;

use support::Checked;
use waxwing_store::*;

fn decision(trace_id: &str, message_id: &str, expires: Timestamp) -> Decision {
    Decision {
        trace_id: trace_id.to_owned(),
        message_id: message_id.to_owned(),
        at: 1_000,
        expires,
        short: expires == 1,
        record: format!("record of {trace_id}").into_bytes(),
    }
}

#[test]
fn decisions_are_found_by_both_names_until_they_expire() {
    let store = Checked::new();
    let far = Timestamp::from(u32::MAX) * 2;
    store
        .write(move |tx| {
            tx.record_decision(&decision("aaa", "one@example.org", far))?;
            tx.record_decision(&decision("bbb", "one@example.org", far))?;
            tx.record_decision(&decision("ccc", "", 1))?;
            // The same id again replaces.
            tx.record_decision(&decision("aaa", "one@example.org", far))
        })
        .unwrap();
    let store = store.reopen();
    let found = store.read(|s| s.decision("aaa")).unwrap().unwrap();
    assert_eq!((found.at, found.record), (1_000, b"record of aaa".to_vec()));
    let of_message = |limit| {
        let rows = store.read(|s| s.decisions_of("one@example.org", limit));
        let ids = rows.unwrap().into_iter().map(|row| row.trace_id);
        ids.collect::<Vec<_>>()
    };
    let mut both = of_message(10);
    both.sort();
    assert_eq!(both, ["aaa", "bbb"]);
    assert_eq!(of_message(1).len(), 1);
    assert!(store.read(|s| s.decision("ccc")).unwrap().is_some());
    store.maintain().unwrap();
    assert_eq!(store.read(|s| s.decision("ccc")).unwrap(), None);
    // The oldest go from the front.
    store
        .write(|tx| {
            let old = Decision {
                short: false,
                ..decision("0000000000000001", "", 1)
            };
            tx.record_decision(&old)
        })
        .unwrap();
    store.maintain().unwrap();
    let gone = store.read(|s| s.decision("0000000000000001"));
    assert_eq!(gone.unwrap(), None);
    assert_eq!(of_message(10).len(), 2);
    let big = Decision {
        record: vec![b'x'; 300_000],
        ..decision("ddd", "", far)
    };
    let refused = store.write(move |tx| tx.record_decision(&big));
    assert!(matches!(refused, Err(Error::Limit(_))));
}

#[test]
fn feedback_is_counted_by_day_and_bounded() {
    let store = Checked::new();
    store
        .write(|tx| {
            for _ in 0..3 {
                assert!(tx.count_feedback(7, "a.example", "p", "x")?);
            }
            assert!(tx.count_feedback(7, "a.example", "p", "y")?);
            assert!(tx.count_feedback(8, "a.example", "p", "x")?);
            assert!(tx.count_feedback(7, "b.example", "p", "x")?);
            Ok(())
        })
        .unwrap();
    let row = |facts: &str, count| Feedback {
        policy: "p".to_owned(),
        facts: facts.to_owned(),
        count,
    };
    let found = store.read(|s| s.feedback(7, "a.example")).unwrap();
    assert_eq!(found, [row("x", 3), row("y", 1)]);
    let due = |day| store.read(move |s| s.feedback_due(day, 10)).unwrap();
    assert_eq!(
        due(8),
        [(7, "a.example".to_owned()), (7, "b.example".to_owned())]
    );
    assert_eq!(due(7), []);
    store
        .write(|tx| tx.forget_feedback(7, "a.example"))
        .unwrap();
    assert_eq!(
        due(9),
        [(7, "b.example".to_owned()), (8, "a.example".to_owned())]
    );
    // Strangers choose what makes facts differ.
    store
        .write(|tx| {
            let mut counted = 0;
            for n in 0..10_100 {
                counted += u32::from(tx.count_feedback(9, "c.example", "p", &n.to_string())?);
            }
            assert_eq!(counted, 10_000);
            assert!(tx.count_feedback(9, "c.example", "p", "17")?);
            Ok(())
        })
        .unwrap();
}
