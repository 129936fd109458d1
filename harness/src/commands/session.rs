//! What commands that build and compare run on: one thread, the ear for signals, and builds that end when nobody wants them any more.

use std::thread;

use anyhow::Context;
use tokio::sync::oneshot;

use crate::{
    compare::subject::{Built, Checkout, Version},
    run::Interrupt,
};

/// What a command that compares runs on, from before its first comparison to after its last: one thread, as the agent dies with the
/// one that started it, and the ear for signals.
pub(super) struct Session {
    pub(super) tokio: tokio::runtime::Runtime,
    pub(super) interrupt: Interrupt,
}

impl Session {
    /// Listens from now on.
    pub(super) fn start() -> anyhow::Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        let interrupt = tokio.block_on(async { Interrupt::listen() })?;
        Ok(Self { tokio, interrupt })
    }

    /// Builds a version; none if the user wants no more.
    pub(super) fn build(&self, checkout: &Checkout, version: &Version) -> anyhow::Result<Option<Built>> {
        thread::scope(|scope| {
            let (done, told) = oneshot::channel();
            scope.spawn(move || {
                // Whoever waits may have gone.
                let _ = done.send(checkout.build(version));
            });
            self.tokio.block_on(async {
                tokio::pin!(told);
                tokio::select! {
                    built = &mut told => Some(built.context("a build ended without a word")?).transpose(),
                    () = self.interrupt.wait() => {
                        checkout.stop();
                        // It ends for that, and another end is nobody's any more.
                        let _ = told.await;
                        Ok(None)
                    }
                }
            })
        })
    }
}
