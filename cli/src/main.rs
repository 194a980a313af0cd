//! The binary `ackmark`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ackmark_cli::main()
}
