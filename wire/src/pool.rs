//! Connections that stay open between questions, one to each broker.

use std::collections::HashMap;

use crate::{
    config::{Address, WireConfig},
    connection::Connection,
    error::WireError,
    patience::Patience,
};

/// Connections to brokers, opened as they are needed.
#[derive(Debug)]
pub struct Pool<'c> {
    config: &'c WireConfig,
    open: HashMap<Address, Connection>,
}

impl<'c> Pool<'c> {
    /// No connection yet.
    pub fn new(config: &'c WireConfig) -> Self {
        Self { config, open: HashMap::new() }
    }

    /// Asks a broker. A connection over which something failed is not used again: what it still brings may be an answer
    /// to that.
    ///
    /// # Errors
    /// No connection, or what `question` says.
    pub(crate) fn ask<A>(
        &mut self,
        address: &Address,
        patience: &Patience<'_>,
        question: impl FnOnce(&mut Connection) -> Result<A, WireError>,
    ) -> Result<A, WireError> {
        let mut connection = match self.open.remove(address) {
            Some(connection) => connection,
            None => Connection::open(self.config, address, patience)?,
        };
        let answer = question(&mut connection)?;
        self.open.insert(address.clone(), connection);
        Ok(answer)
    }
}
