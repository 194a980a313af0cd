//! The load: schedule, produce, delivery reports into ledger and latency.
