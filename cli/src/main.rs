//! The binary `ackmark`.
fn main() {}
