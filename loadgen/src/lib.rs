//! The load.
mod calibrate;
mod clock;
mod keys;
mod opaque;
mod payload;
mod runs;
mod schedule;
mod size;
