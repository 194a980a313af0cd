//! What can go wrong between us and a broker.
