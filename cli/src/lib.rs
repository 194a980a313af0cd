//! The binary ackmark: arguments, progress, printing, exit codes.
