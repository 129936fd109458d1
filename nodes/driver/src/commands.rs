//! Commands on their way in: from standard input, from signals, and from a lost standard output.

use std::{
    io::{self, BufRead, Read},
    thread,
};

use peerbed_contract::{Command, CommandError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// What the outside tells the loop.
#[derive(Debug)]
pub enum Told {
    /// A command.
    Command(Command),
    /// A line that is none.
    Unreadable(CommandError),
    /// Standard input ended: stop quickly.
    End,
    /// Standard input cannot be read.
    InputLost(io::Error),
    /// Standard output cannot be written.
    OutputLost(String),
}

/// Tells the loop something, from any thread.
#[derive(Debug, Clone)]
pub struct CommandSender(UnboundedSender<Told>);

/// Where the loop hears it.
#[derive(Debug)]
pub struct CommandReceiver(UnboundedReceiver<Told>);

/// A queue of commands.
pub fn command_queue() -> (CommandSender, CommandReceiver) {
    let (sender, receiver) = unbounded_channel();
    (CommandSender(sender), CommandReceiver(receiver))
}

impl CommandSender {
    /// Tells the loop; a loop that has ended hears nothing more.
    pub fn send(&self, told: Told) {
        let _ = self.0.send(told);
    }
}

impl CommandReceiver {
    /// The next thing that was told. When every sender is gone, nobody can command any more.
    pub(crate) async fn next(&mut self) -> Told {
        self.0.recv().await.unwrap_or(Told::End)
    }
}

/// Reads standard input on a thread of its own, because a terminal or a file cannot be waited for otherwise.
pub(crate) fn read_stdin(to: CommandSender) -> io::Result<()> {
    let read = move || read_lines(&mut io::stdin().lock(), &to);
    thread::Builder::new().name("commands".to_owned()).stack_size(64 * 1024).spawn(read).map(drop)
}

fn read_lines(input: &mut impl BufRead, to: &CommandSender) {
    loop {
        let mut line = String::new();
        match input.take(MAX_LINE).read_line(&mut line) {
            Ok(0) => return to.send(Told::End),
            Ok(_) if line.trim().is_empty() => {}
            Ok(_) => match Command::parse(line.trim()) {
                Ok(command) => to.send(Told::Command(command)),
                // What follows an overlong line would be read as another one.
                Err(error) => return to.send(Told::Unreadable(error)),
            },
            Err(error) => return to.send(Told::InputLost(error)),
        }
    }
}

/// Makes SIGTERM and SIGINT mean [`Command::Stop`].
pub(crate) fn listen_to_signals(to: &CommandSender) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)?;
        let to = to.clone();
        tokio::task::spawn_local(async move {
            while signals.recv().await.is_some() {
                to.send(Told::Command(Command::Stop));
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(input: &str) -> Vec<Told> {
        let (sender, mut receiver) = command_queue();
        read_lines(&mut input.as_bytes(), &sender);
        std::iter::from_fn(|| receiver.0.try_recv().ok()).collect()
    }

    #[test]
    fn lines_are_commands_until_the_end() {
        let told = told("{\"command\":\"start\",\"epoch_ns\":5}\n\n  {\"command\":\"stop\"}");
        assert!(matches!(
            told.as_slice(),
            [Told::Command(Command::Start { epoch_ns: 5 }), Told::Command(Command::Stop), Told::End]
        ));
    }

    #[test]
    fn what_is_no_command_is_told_and_ends_the_reading() {
        let long = format!("{}\n{{\"command\":\"stop\"}}", "x".repeat(2 * MAX_LINE as usize));
        for input in ["go\n{\"command\":\"stop\"}", "{\"command\":\"start\"}", &long] {
            assert!(matches!(told(input).as_slice(), [Told::Unreadable(_)]), "{input}");
        }
        assert!(matches!(read_bytes(b"\xff\xfe\n").as_slice(), [Told::InputLost(_)]));
    }

    fn read_bytes(mut input: &[u8]) -> Vec<Told> {
        let (sender, mut receiver) = command_queue();
        read_lines(&mut input, &sender);
        std::iter::from_fn(|| receiver.0.try_recv().ok()).collect()
    }
}
