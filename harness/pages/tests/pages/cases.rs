//! The cases.

use chromiumoxide::cdp::browser_protocol::{
    emulation::{MediaFeature, SetEmulatedMediaParams},
    input::DispatchMouseEventType::{MouseMoved, MousePressed, MouseReleased},
    page::PrintToPdfParams,
};
use serde_json::{Value, json};

use crate::browser::{Case, Failure, Tab, expect};

/// Results of a sweep with every figure that an experiment can ask for, repeated, and with a timeline.
const SWEEP: &str = "sweep";
/// A telephone and a screen.
const WIDTHS: [i64; 2] = [390, 1280];

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        /// All of them.
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |tab| Box::pin($name(tab)))),+];
    };
}

cases!(
    it_asks_for_nothing_and_nothing_is_wrong,
    it_fits_a_telephone_and_a_screen,
    series_can_be_hidden,
    series_can_be_hidden_without_script,
    a_curve_says_what_it_is_where_the_pointer_is,
    a_part_can_be_enlarged,
    numbers_can_be_saved,
    it_is_dark_where_that_is_wanted,
    it_can_be_printed,
    results_side_by_side_are_drawn_together,
);

async fn it_asks_for_nothing_and_nothing_is_wrong(tab: &Tab) -> Result<(), Failure> {
    tab.report(&[SWEEP], true).await?;
    // What is in the page itself is asked for nowhere.
    let asked: Vec<String> = tab.asked().into_iter().filter(|address| !address.starts_with("data:")).collect();
    if asked.len() != 1 || !asked[0].starts_with("file://") || !asked[0].ends_with("/report.html") {
        return Err(format!("it asked for {asked:?}"));
    }
    let complaints = tab.complaints();
    if !complaints.is_empty() {
        return Err(format!("on the console: {complaints:?}"));
    }
    // And it may not: what tries is refused by the page's own policy, and that is seen here.
    let tried = "fetch('https://example.invalid/').then(() => 'went', () => 'refused')";
    expect("a request", &tab.value(tried).await?, &json!("refused"))?;
    let told = tab.complaints();
    if told.iter().any(|text| text.contains("Content Security Policy")) {
        return Ok(());
    }
    Err(format!("nothing was said of a request that the policy forbids: {told:?}"))
}

async fn it_fits_a_telephone_and_a_screen(tab: &Tab) -> Result<(), Failure> {
    for width in WIDTHS {
        tab.resize(width, 900).await?;
        tab.report(&[SWEEP], true).await?;
        let wider = tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        expect(&format!("what is wider than {width} pixels"), &wider, &json!(0))?;
        // No label of an axis is cut off or smaller than can be read.
        let letters = tab
            .value("Math.min(...[...document.querySelectorAll('figure > svg text')].map((text) => text.getBoundingClientRect().height).filter((height) => height > 0))")
            .await?;
        if letters.as_f64().is_none_or(|height| height < 8.0) {
            return Err(format!("letters {letters} pixels high at a width of {width}"));
        }
        let outside = tab
            .value("[...document.querySelectorAll('figure > svg')].flatMap((svg) => { const box = svg.getBoundingClientRect(); return [...svg.querySelectorAll('text')].filter((text) => { const own = text.getBoundingClientRect(); return own.width > 0 && (own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1); }).map((text) => text.textContent); })")
            .await?;
        expect(&format!("labels outside of their picture at a width of {width}"), &outside, &json!([]))?;
        tab.picture(&format!("report-{width}")).await?;
    }
    Ok(())
}

/// Hides the second series of the picture of speeds and shows it again.
async fn hide_and_show(tab: &Tab) -> Result<(), Failure> {
    let seen = "getComputedStyle(document.querySelector('#figure-speed .series[data-series=\"1\"]')).display";
    let click = |times: usize| async move {
        let element = tab.page().find_element("#figure-speed input[data-series=\"1\"]").await;
        let element = element.map_err(|error| error.to_string())?;
        for _ in 0..times {
            element.click().await.map_err(|error| error.to_string())?;
        }
        Ok::<(), Failure>(())
    };
    expect("before", &tab.value(seen).await?, &json!("inline"))?;
    click(1).await?;
    expect("unticked", &tab.value(seen).await?, &json!("none"))?;
    click(1).await?;
    expect("ticked again", &tab.value(seen).await?, &json!("inline"))
}

async fn series_can_be_hidden(tab: &Tab) -> Result<(), Failure> {
    tab.resize(1280, 900).await?;
    tab.report(&[SWEEP], true).await?;
    hide_and_show(tab).await
}

async fn series_can_be_hidden_without_script(tab: &Tab) -> Result<(), Failure> {
    tab.resize(1280, 900).await?;
    tab.report(&[SWEEP], false).await?;
    let drawn = tab.value("document.querySelectorAll('figure > svg').length").await?;
    if drawn.as_u64().is_none_or(|count| count < 5) {
        return Err(format!("{drawn} pictures without script"));
    }
    hide_and_show(tab).await
}

/// A place in a picture, as shares of its width and height.
async fn place(tab: &Tab, figure: &str, across: f64, down: f64) -> Result<(f64, f64), Failure> {
    let rectangle = tab
        .value(&format!(
            "(() => {{ const svg = document.querySelector('#{figure} > svg'); svg.scrollIntoView({{block: 'center'}}); const box = svg.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; }})()"
        ))
        .await?;
    let of = |index: usize| rectangle[index].as_f64().ok_or_else(|| format!("no picture {figure}: {rectangle}"));
    Ok((of(0)? + of(2)? * across, of(1)? + of(3)? * down))
}

async fn a_curve_says_what_it_is_where_the_pointer_is(tab: &Tab) -> Result<(), Failure> {
    tab.resize(1280, 900).await?;
    tab.report(&[SWEEP], true).await?;
    let told = "(() => { const tip = document.querySelector('#figure-speed .tip'); return tip.hidden ? '' : tip.textContent; })()";
    expect("before", &tab.value(told).await?, &json!(""))?;
    let middle = place(tab, "figure-speed", 0.6, 0.4).await?;
    tab.mouse(MouseMoved, middle).await?;
    let text = tab.value(told).await?;
    if !text.as_str().is_some_and(|text| text.contains(" %") && text.lines().count() > 1) {
        return Err(format!("it says {text}"));
    }
    // A series that is hidden says nothing.
    let first = text.as_str().and_then(|text| text.lines().nth(1)).unwrap_or_default().to_owned();
    tab.value("document.querySelector('#figure-speed input[data-series=\"0\"]').click()").await?;
    tab.mouse(MouseMoved, (middle.0 + 1.0, middle.1)).await?;
    let without = tab.value(told).await?;
    let name = first.split(": ").next().unwrap_or_default();
    if without.as_str().is_none_or(|text| text.contains(name)) {
        return Err(format!("it still says {name}: {without}"));
    }
    tab.mouse(MouseMoved, (1.0, 1.0)).await?;
    expect("outside", &tab.value(told).await?, &json!(""))
}

async fn a_part_can_be_enlarged(tab: &Tab) -> Result<(), Failure> {
    tab.resize(1280, 900).await?;
    tab.report(&[SWEEP], true).await?;
    let ticks =
        "[...document.querySelectorAll('#figure-downloads-under-way .ticks text')].map((text) => text.textContent)";
    let whole = tab.value(ticks).await?;
    let back = "document.querySelector('#figure-downloads-under-way .back').hidden";
    expect("the way back before", &tab.value(back).await?, &Value::from(true))?;
    let from = place(tab, "figure-downloads-under-way", 0.3, 0.4).await?;
    let to = place(tab, "figure-downloads-under-way", 0.5, 0.42).await?;
    tab.mouse(MouseMoved, from).await?;
    tab.mouse(MousePressed, from).await?;
    tab.mouse(MouseMoved, to).await?;
    tab.mouse(MouseReleased, to).await?;
    let part = tab.value(ticks).await?;
    if part == whole || part.as_array().is_none_or(Vec::is_empty) {
        return Err(format!("the axis still says {part}"));
    }
    expect("the way back", &tab.value(back).await?, &Value::from(false))?;
    let moved =
        tab.value("document.querySelector('#figure-downloads-under-way .plot').getAttribute('transform')").await?;
    if moved.as_str().is_none_or(|text| text.starts_with("matrix(1 ")) {
        return Err(format!("nothing is larger: {moved}"));
    }
    tab.picture("enlarged").await?;
    tab.value("document.querySelector('#figure-downloads-under-way .back').click()").await?;
    expect("the axis again", &tab.value(ticks).await?, &whole)
}

async fn numbers_can_be_saved(tab: &Tab) -> Result<(), Failure> {
    tab.report(&[SWEEP], true).await?;
    let links = tab
        .value("[...document.querySelectorAll('.csv')].map((link) => [link.download, atob(link.href.split('base64,')[1]).split('\\r\\n')[0]])")
        .await?;
    let links = links.as_array().ok_or("no links")?;
    let pictures = tab.value("document.querySelectorAll('figure > svg').length").await?;
    expect("a link for each picture", &json!(links.len()), &pictures)?;
    let odd: Vec<&Value> = links
        .iter()
        .filter(|link| {
            let (name, heads) = (link[0].as_str().unwrap_or_default(), link[1].as_str().unwrap_or_default());
            name.strip_suffix(".csv").is_none_or(str::is_empty)
                || !(heads.starts_with("series,") || heads == "from,to,bytes")
        })
        .collect();
    expect("odd ones", &json!(odd), &json!([]))
}

async fn it_is_dark_where_that_is_wanted(tab: &Tab) -> Result<(), Failure> {
    tab.resize(1280, 900).await?;
    let light = "getComputedStyle(document.body).backgroundColor";
    for (wanted, ground) in [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")] {
        let feature = MediaFeature::new("prefers-color-scheme", wanted);
        let media = SetEmulatedMediaParams::builder().features(vec![feature]).build();
        tab.page().execute(media).await.map_err(|error| error.to_string())?;
        tab.report(&[SWEEP], true).await?;
        expect(wanted, &tab.value(light).await?, &json!(ground))?;
        tab.picture(&format!("report-{wanted}")).await?;
    }
    Ok(())
}

async fn it_can_be_printed(tab: &Tab) -> Result<(), Failure> {
    tab.report(&[SWEEP], true).await?;
    let pdf = tab.page().pdf(PrintToPdfParams::default()).await.map_err(|error| error.to_string())?;
    if pdf.starts_with(b"%PDF-") && pdf.len() > 20_000 { Ok(()) } else { Err(format!("{} bytes", pdf.len())) }
}

async fn results_side_by_side_are_drawn_together(tab: &Tab) -> Result<(), Failure> {
    tab.resize(1280, 900).await?;
    tab.report(&[SWEEP, SWEEP], true).await?;
    let heading = tab.value("document.querySelector('h1').textContent").await?;
    if heading.as_str().is_none_or(|text| !text.contains("2 results side by side")) {
        return Err(format!("it is headed {heading}"));
    }
    let wider = tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
    expect("what is wider than the screen", &wider, &json!(0))?;
    tab.picture("side-by-side").await
}
