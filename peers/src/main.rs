//! `make peers`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ackmark_peers::main()
}
