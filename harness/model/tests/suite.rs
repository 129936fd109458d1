//! What a suite may say, and what is wrong with it where it cannot be meant.

use peerbed_model::{Item, Source, Suite};

const PINNED: &str = "0123456789abcdef0123456789abcdef01234567";

fn read(text: &str) -> Result<Suite, String> {
    let source = Source::from_bytes("suites/s.yaml", text.as_bytes().to_vec()).expect("a source");
    Suite::parse(&source).map_err(|wrong| wrong.to_string())
}

#[test]
fn a_suite_is_what_a_night_measures() {
    let suite = read(&format!(
        "references: ['{PINNED}']\nmeasure: [{{experiment: quick, scale: ci, arm: hybrid+n=1, pairs: [7, 9]}}]\n\
         negative: [{{experiment: canary}}]\npositive: [{{experiment: canary, injected: capped}}]\n"
    ))
    .unwrap();
    let canary = Item { experiment: "canary".to_owned(), scale: None, arm: None, injected: None, looks: Vec::new() };
    let quick = Item {
        experiment: "quick".to_owned(),
        scale: Some("ci".to_owned()),
        arm: Some("hybrid+n=1".to_owned()),
        injected: None,
        looks: vec![7, 9],
    };
    let injected = Item { injected: Some("capped".to_owned()), ..canary.clone() };
    let expected = Suite {
        references: vec![PINNED.to_owned()],
        measure: vec![quick],
        negative: vec![canary],
        positive: vec![injected],
    };
    assert_eq!(suite, expected);
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    let whole = format!("references: ['{PINNED}']\nmeasure: [{{experiment: quick}}]\n");
    assert!(read(&whole).is_ok());
    for (text, why) in [
        (String::new(), "the file is empty"),
        ("measure: [{experiment: quick}]\n".to_owned(), "a suite needs the key `references`"),
        (whole.replace(PINNED, "main"), "`main` is not the full hash of a commit"),
        (whole.replace(PINNED, &PINNED[..12]), "is not the full hash of a commit"),
        (whole.replace("experiment: quick", "experiment: quick, injected: capped"), "`injected`"),
        (whole.clone() + "positive: [{experiment: canary}]\n", "a positive control needs the key `injected`"),
        (whole.clone() + "negative: []\n", "comparisons"),
        (whole.replace("quick", "quick, pairs: [3]"), "a whole number from 6 to 500 is expected"),
        (whole.replace("experiment: quick", "experiment: ../x"), "experiment"),
        (whole.replace("measure", "measures"), "did you mean `measure`"),
        (whole.replace(&format!("'{PINNED}'"), &format!("'{PINNED}', '{PINNED}'")), "is named twice"),
        (whole.replace("quick}", "quick}, {experiment: quick}"), "the same is asked of `quick` twice"),
        ("references: [".to_owned(), "suites/s.yaml"),
    ] {
        let said = read(&text).expect_err(&text);
        assert!(said.contains(why), "{text} lacks {why}: {said}");
    }
}
