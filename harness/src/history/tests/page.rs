//! The page.

use super::*;

#[test]
fn the_page_is_the_same_for_the_same_history_and_loads_nothing() {
    let mut all = step(2);
    all[6] = invalid(all[6].clone());
    all[7].metrics.clear();
    all[8].metrics[0].effect = Some(Effect { estimate: 1e300, low: -1e300, high: 1e308, confidence: 0.95 });
    all.push(control(3, Role::NegativeControl, Some(true)));
    all.push(control(4, Role::NegativeControl, Some(false)));
    let drawn = page(&all);
    assert_eq!(page(&all), drawn);
    assert!(!drawn.contains("NaN") && !drawn.contains("inf\""), "every place is a number");
    let policy = "default-src 'none'; img-src data:; style-src 'sha256-";
    assert!(drawn.contains(policy) && !drawn.contains("script-src") && !drawn.contains("<script"));
    for loading in ["http:", "https:", "src=", "@import", "url(", " style="] {
        assert!(!drawn.contains(loading), "{loading}");
    }
    assert!(drawn.contains(">✓</span>") && drawn.contains(">✗</span>"));
    assert!(drawn.contains("<rect class=\"change\"") && drawn.contains("class=\"level\""));
    assert_eq!(drawn.matches("<g class=\"night invalid\">").count(), 2, "nights 6 and 7");
    assert!(drawn.contains("INVALID: the machine was overloaded"));
    let whole = page(&nights([0.0; 200], 1));
    assert_eq!(whole.matches("<g class=\"night open\">").count(), 90);
    assert!(whole.contains("The last 90 of 200 comparisons are drawn") && whole.matches("<tr>").count() > 200);
}

#[test]
fn nothing_and_little_have_a_page() {
    assert!(page(&[]).contains("No nights yet"));
    let mut one = entry(0, 0.0);
    assert!(page(std::slice::from_ref(&one)).contains("Green"));
    one.metrics.clear();
    one.outcome = Outcome::SubjectFailed;
    let drawn = page(&[one]);
    assert!(drawn.contains("the last one was SUBJECT FAILED") && drawn.contains("is SUBJECT FAILED"), "{drawn}");
    let mut exact = entry(0, 0.0);
    (exact.metrics[0].kind, exact.metrics[0].margin) = (Kind::Exact, 0.0);
    exact.metrics[0].effect = Some(Effect { estimate: 0.0, low: 0.0, high: 0.0, confidence: 0.95 });
    assert!(!page(&[exact]).contains("NaN"));
}

#[test]
fn what_others_wrote_commands_nothing() {
    let evil = "<script>alert(1)</script>\"'&|`\n";
    let mut all = step(2);
    for entry in &mut all {
        entry.experiment = evil.into();
        (entry.arm, entry.head_arm, entry.scale) = (evil.into(), evil.into(), Some(evil.into()));
        entry.head.commit = Some(format!("{evil}{}", entry.head.programs));
        entry.reference.commit = Some(evil.into());
        entry.reasons = vec![evil.into()];
        entry.metrics[0].figure = evil.into();
    }
    let mut after = all.clone();
    for entry in &mut after {
        entry.at += SignedDuration::from_hours(24 * 100);
        let place = entry.place.as_mut().expect("a place");
        (place.engine, place.fingerprint) = (evil.into(), evil.into());
    }
    all.extend(after);
    all.push(Entry { experiment: evil.into(), ..control(50, Role::PositiveControl, None) });
    let drawn = page(&all);
    assert!(drawn.contains("&lt;script&gt;") && !drawn.contains("<script"));
    assert!(!drawn.contains("\"'&"), "nothing ends an attribute");
    let night = summary_since(&all, at(0)).markdown;
    assert!(night.contains("&lt;script&gt;") && !night.contains("<script"), "{night}");
    let table = night.lines().filter(|line| line.starts_with('|'));
    assert!(table.into_iter().all(|line| line.replace("\\|", "").matches('|').count() == 8), "{night}");
}
