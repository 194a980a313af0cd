//! What the sender knows, on disk: message states and transaction log; survives SIGKILL.
