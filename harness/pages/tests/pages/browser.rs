//! One browser and one page of it, with everything that it asked for and complained of.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use chromiumoxide::{
    Page,
    browser::{Browser, BrowserConfig},
    cdp::{
        browser_protocol::{
            emulation::SetDeviceMetricsOverrideParams,
            input::{DispatchMouseEventParams, DispatchMouseEventType, MouseButton},
            log::EventEntryAdded,
            network::{EnableParams, EventRequestWillBeSent},
        },
        js_protocol::runtime::{EventConsoleApiCalled, EventExceptionThrown},
    },
    page::ScreenshotParams,
};
use futures_util::StreamExt;
use serde_json::Value;

/// What went wrong, in words.
pub(crate) type Failure = String;
/// A test.
pub(crate) type Case = for<'a> fn(&'a Tab) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// Longer than any case takes on a loaded machine.
const LIMIT: Duration = Duration::from_mins(2);

/// The browser's program.
pub(crate) fn find() -> Result<PathBuf, String> {
    let named = std::env::var_os("PEERBED_BROWSER").map_or_else(|| PathBuf::from("chromium"), PathBuf::from);
    if named.components().count() > 1 {
        return if named.is_file() { Ok(named) } else { Err(format!("{} is not there", named.display())) };
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&paths).map(|directory| directory.join(&named));
    places.find(|path| path.is_file()).ok_or_else(|| {
        format!(
            "there is no program `{}`; Debian's package chromium has it, PEERBED_BROWSER names another",
            named.display()
        )
    })
}

/// A page that is open.
pub(crate) struct Tab {
    page: Page,
    asked: Arc<Mutex<Vec<String>>>,
    complaints: Arc<Mutex<Vec<String>>>,
    directory: tempfile::TempDir,
}

/// Starts a browser, opens a tab, carries out a case, and ends it all.
pub(crate) fn run(program: &Path, case: Case) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(words)?;
    runtime.block_on(async {
        let directory = tempfile::tempdir().map_err(words)?;
        let config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(directory.path().join("profile"))
            // Its own sandbox needs rights that containers lack; it opens nothing but what this program wrote.
            .no_sandbox()
            .viewport(None)
            .build()?;
        let (mut browser, mut events) = Browser::launch(config).await.map_err(words)?;
        let pump = tokio::spawn(async move { while events.next().await.is_some() {} });
        let carried = tokio::time::timeout(LIMIT, async { case(&Tab::open(&browser, directory).await?).await }).await;
        // Whatever came of it, no process is left.
        let closed = browser.close().await.map(drop).map_err(words);
        let ended = browser.wait().await.map(drop).map_err(words);
        pump.abort();
        carried.map_err(|_| format!("not done within {} s", LIMIT.as_secs()))??;
        closed.and(ended)
    })
}

fn words(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

impl Tab {
    async fn open(browser: &Browser, directory: tempfile::TempDir) -> Result<Self, Failure> {
        let page = browser.new_page("about:blank").await.map_err(words)?;
        page.execute(EnableParams::default()).await.map_err(words)?;
        page.enable_log().await.map_err(words)?;
        page.enable_runtime().await.map_err(words)?;
        let (asked, complaints) = (Arc::default(), Arc::default());
        note(&page, &asked, |event: &EventRequestWillBeSent| Some(event.request.url.clone())).await?;
        note(&page, &complaints, |event: &EventEntryAdded| Some(event.entry.text.clone())).await?;
        note(&page, &complaints, |event: &EventConsoleApiCalled| Some(format!("{:?}", event.args))).await?;
        note(&page, &complaints, |event: &EventExceptionThrown| Some(format!("{:?}", event.exception_details))).await?;
        Ok(Self { page, asked, complaints, directory })
    }

    /// Draws a report of these results, opens it and waits until it is there and its script has run; or draws it without the script.
    pub(crate) async fn report(&self, results: &[&str], script: bool) -> Result<(), Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/results");
        let paths: Vec<PathBuf> = results.iter().map(|name| root.join(name)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let source = peerbed::report::Source::read(&paths).map_err(words)?;
        let mut page = peerbed::report::html(&source);
        if !script {
            let (from, to) = (page.find("<script>"), page.find("</script>"));
            page.drain(from.ok_or("no script")?..to.ok_or("no end of the script")?);
        }
        let file = self.directory.path().join("report.html");
        std::fs::write(&file, page).map_err(words)?;
        self.page.goto(format!("file://{}", file.display())).await.map_err(words)?;
        self.page.wait_for_navigation().await.map_err(words)?;
        if script {
            let ran = self.value("document.documentElement.dataset.enlivened").await?;
            return expect("the page's script has run", &ran, &Value::from("yes"));
        }
        Ok(())
    }

    /// How large the window is.
    pub(crate) async fn resize(&self, width: i64, height: i64) -> Result<(), Failure> {
        let metrics = SetDeviceMetricsOverrideParams::new(width, height, 1.0, width < 600);
        self.page.execute(metrics).await.map(drop).map_err(words)
    }

    /// The page itself.
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// What an expression of the page is.
    pub(crate) async fn value(&self, expression: &str) -> Result<Value, Failure> {
        let found = self.page.evaluate(expression).await.map_err(|error| format!("{expression}: {error}"))?;
        Ok(found.value().cloned().unwrap_or(Value::Null))
    }

    /// Every address that was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked with it").clone()
    }

    /// Everything on the console.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("nobody panicked with it").clone()
    }

    /// Moves the mouse, or presses or lets go of its button there.
    pub(crate) async fn mouse(&self, kind: DispatchMouseEventType, (x, y): (f64, f64)) -> Result<(), Failure> {
        let held = kind != DispatchMouseEventType::MouseMoved;
        let mut event = DispatchMouseEventParams::new(kind, x, y);
        if held {
            event.button = Some(MouseButton::Left);
            event.click_count = Some(1);
        }
        self.page.execute(event).await.map(drop).map_err(words)
    }

    /// Keeps a picture of the whole page, if that is wanted.
    pub(crate) async fn picture(&self, name: &str) -> Result<(), Failure> {
        let Some(directory) = std::env::var_os("PEERBED_SCREENSHOTS") else { return Ok(()) };
        std::fs::create_dir_all(&directory).map_err(words)?;
        let path = PathBuf::from(directory).join(format!("{name}.png"));
        let whole = ScreenshotParams::builder().full_page(true).build();
        self.page.save_screenshot(whole, path).await.map(drop).map_err(words)
    }
}

/// Keeps what is said by events of one kind.
async fn note<E: chromiumoxide::cdp::IntoEventKind + Unpin>(
    page: &Page,
    into: &Arc<Mutex<Vec<String>>>,
    said: fn(&E) -> Option<String>,
) -> Result<(), Failure> {
    let mut events = page.event_listener::<E>().await.map_err(words)?;
    let into = Arc::clone(into);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Some(text) = said(&event) {
                into.lock().expect("nobody panicked with it").push(text);
            }
        }
    });
    Ok(())
}

/// Fails with both values unless they are the same.
pub(crate) fn expect(what: &str, found: &Value, wanted: &Value) -> Result<(), Failure> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: found {found}, wanted {wanted}")) }
}
