//! What can go wrong with the engine, and what is only for a moment.

use std::{
    fmt::Display,
    future::Future,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bollard::errors::Error;

use super::endpoint::EndpointError;
use crate::say::harmless;

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Its address cannot be made out.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Nobody answers.
    #[error("no Docker engine answers at {endpoint} (named by {from}): {reason}; {remedy}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Who named it.
        from: String,
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// It refused, or did not answer.
    #[error("the Docker engine cannot {what}: {reason}")]
    Refused {
        /// What it was asked for.
        what: String,
        /// What it said.
        reason: String,
        /// The status of its answer, if it answered.
        status: Option<u16>,
    },
    /// A program cannot be put into an image.
    #[error(
        "{program} cannot run in an image that has nothing else in it: {why}; `make build` makes programs that can"
    )]
    Program {
        /// Its file.
        program: String,
        /// What is wrong with it.
        why: String,
    },
}

/// HTTP: there is no such thing.
pub(super) const NOT_FOUND: u16 = 404;
/// HTTP: it is in another state, for example already so.
pub(super) const CONFLICT: u16 = 409;
/// HTTP: it was so already.
const NOT_MODIFIED: u16 = 304;

impl DockerError {
    fn refused(what: String, error: &Error) -> Self {
        let status = match error {
            Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
            _ => None,
        };
        Self::Refused { what, reason: reason(error), status }
    }

    /// Whether there is no engine at all, as its socket is not there; an engine that is there and does not answer is another
    /// matter.
    pub fn is_absence(&self) -> bool {
        let Self::Unreachable { endpoint, .. } = self else { return false };
        endpoint.strip_prefix("unix://").is_some_and(|socket| !Path::new(socket).exists())
    }

    /// Whether it answered with this status.
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status: Some(status), .. } if *status == wanted)
    }
}

/// The whole story of an error, once.
pub(super) fn reason(error: &Error) -> String {
    tame(&whole(error))
}

/// What somebody else wrote, so that it neither commands the terminal nor fills it.
fn tame(text: &str) -> String {
    const LONGEST: usize = 2000;
    let mut tamed = harmless(text);
    if tamed.len() > LONGEST {
        tamed.truncate(tamed.floor_char_boundary(LONGEST));
        tamed.push('…');
    }
    tamed
}

fn whole(error: &Error) -> String {
    if let Error::DockerResponseServerError { message, status_code } = error {
        return format!("{} (status {status_code})", message.trim());
    }
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(error));
    if matches!(error, Error::HyperLegacyError { .. }) {
        // What the client is called, and that it failed, tells nobody anything; the cause does.
        while let Some(next) = cause.and_then(std::error::Error::source) {
            cause = Some(next);
        }
        text = cause.map_or(text, ToString::to_string);
        return text;
    }
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

/// Whether the same may go well a moment later: the engine had an inner trouble, or could not be heard.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code, .. } => *status_code >= 500,
        Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } | Error::IOError { .. } => true,
        // One that did not answer for minutes is not asked again.
        _ => false,
    }
}

/// How often something is tried, and how long is waited before the second time; before the third, three times as long.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Calls that had to be made again since the program began.
static AGAIN: AtomicU32 = AtomicU32::new(0);

/// How many calls had to be made again since the program began.
pub fn repeated() -> u32 {
    AGAIN.load(Ordering::Relaxed)
}

/// Ask the engine; what fails for a moment only is tried again, a few times, and that is said. `what` completes "cannot".
pub(super) async fn ask<T, F: Future<Output = Result<T, Error>>>(
    what: impl Display,
    mut attempt: impl FnMut() -> F,
) -> Result<T, DockerError> {
    let mut pause = PAUSE;
    for left in (0..TRIES).rev() {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if left > 0 && is_transient(&error) => {
                AGAIN.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("the Docker engine cannot {what}: {}; trying again", reason(&error));
                tokio::time::sleep(pause).await;
                pause *= 3;
            }
            Err(error) => return Err(DockerError::refused(what.to_string(), &error)),
        }
    }
    unreachable!("the last try returns")
}

/// What was to be so, and is so already, is done.
pub(super) fn settled(result: Result<(), DockerError>) -> Result<(), DockerError> {
    match result {
        Err(error) if error.is(NOT_MODIFIED) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16) -> Error {
        Error::DockerResponseServerError { status_code, message: "no\n".to_owned() }
    }

    async fn tries(errors: &mut dyn Iterator<Item = Error>) -> (u32, Result<(), DockerError>) {
        let mut count = 0;
        let result = ask("do it", || {
            count += 1;
            let error = errors.next();
            async move { error.map_or(Ok(()), Err) }
        });
        let result = result.await;
        (count, result)
    }

    #[tokio::test(start_paused = true)]
    async fn inner_trouble_is_tried_again_and_a_refusal_is_not() {
        let before = repeated();
        assert!(matches!(tries(&mut [answer(500), answer(503)].into_iter()).await, (3, Ok(()))));
        assert!(repeated() >= before + 2);
        let (count, error) = tries(&mut std::iter::repeat_with(|| answer(500))).await;
        assert_eq!(
            (count, error.unwrap_err().to_string().as_str()),
            (3, "the Docker engine cannot do it: no (status 500)")
        );
        for status in [400, 404, 409] {
            let (count, error) = tries(&mut [answer(status)].into_iter()).await;
            assert!(count == 1 && error.unwrap_err().is(status));
        }
        let gone = || Error::IOError { err: std::io::ErrorKind::ConnectionReset.into() };
        assert!(matches!(tries(&mut [gone()].into_iter()).await, (2, Ok(()))));
    }

    #[test]
    fn an_engine_does_not_command_the_terminal() {
        assert_eq!(tame("no\u{1b}[31m\nred"), "no\\u{1b}[31m\nred");
        assert!(tame(&"x".repeat(1 << 20)).len() < 3000);
    }

    #[test]
    fn what_is_so_already_is_done() {
        assert!(settled(Err(DockerError::refused("start it".into(), &answer(304)))).is_ok());
        assert!(settled(Err(DockerError::refused("start it".into(), &answer(404)))).is_err());
    }
}
