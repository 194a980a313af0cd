//! Records of a batch.
