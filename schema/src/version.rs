//! Names and versions of the file contracts.
//!
//! A contract's version is raised when a reader of the old one would misread the new one.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A contract with a name and a version, written as `"name/version"`.
pub trait Contract {
    /// The value of the file's `schema` field.
    const ID: &'static str;
}

/// The `schema` field of a file of contract `C`: always `C::ID`; anything else is refused on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaId<C>(std::marker::PhantomData<C>);

impl<C> Default for SchemaId<C> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<C: Contract> Serialize for SchemaId<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(C::ID)
    }
}

impl<'de, C: Contract> Deserialize<'de> for SchemaId<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = String::deserialize(deserializer)?;
        if found == C::ID {
            return Ok(Self::default());
        }
        Err(serde::de::Error::custom(format!(
            "this file says schema \"{found}\" where this ackmark reads \"{}\"; use the ackmark that wrote it",
            C::ID
        )))
    }
}

impl<C: Contract> JsonSchema for SchemaId<C> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Owned(format!("SchemaId_{}", C::ID.replace('/', "_")))
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": C::ID, "description": "Name and version of this contract." })
    }
}

/// Declares the contract id of a file's type.
macro_rules! contract {
    ($type:ty, $id:literal) => {
        impl $crate::version::Contract for $type {
            const ID: &'static str = $id;
        }
    };
}
pub(crate) use contract;
