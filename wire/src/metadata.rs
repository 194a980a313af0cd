//! Who leads what.
