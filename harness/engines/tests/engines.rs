//! The suite as a program that test runners start; alone it also runs where there is no cargo, as in `make test-kernel`.

fn main() -> std::process::ExitCode {
    peerbed_engines::main()
}
