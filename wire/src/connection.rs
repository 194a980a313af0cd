//! Requests and answers on one connection.
