//! Client properties: what is asked for, and what is in effect.
//!
//! [`ClientProperties`] is an ordered map of librdkafka's properties, each with its origin. A name and its
//! alias (`acks`, `request.required.acks`) are one entry, under the name that Kafka's own clients use
//! where there is one. [`ClientProperties::producer_in_effect`] and the clients themselves read values back
//! after librdkafka's own adjustments (for one, idempotence sets acks, retries and in-flight requests).
//!
//! Limits: a property that librdkafka does not print in its table of properties (internal test hooks)
//! can be set but is not read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ackmark_schema::properties::{Origin, Property, REDACTED, is_secret};

use crate::errors::ClientError;
use crate::ffi;
use crate::ffi::conf::{Conf, Dump, SetError};
use crate::ffi::handle::Kind;
use crate::logs::LogSink;

/// Aliases that are published instead of librdkafka's first name, since Kafka's documentation uses them.
const PREFERRED: [&str; 6] =
    ["acks", "bootstrap.servers", "compression.type", "linger.ms", "retries", "sasl.mechanism"];

/// Properties for one client, in order of name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientProperties(BTreeMap<String, Property>);

impl ClientProperties {
    /// None at all: librdkafka's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that a client needs at least.
    pub fn with_bootstrap(servers: &str, origin: Origin) -> Self {
        let mut properties = Self::new();
        properties.set("bootstrap.servers", servers, origin);
        properties
    }

    /// Sets a property, whatever was there before. Names and values are checked when a client is created,
    /// or by [`Self::check`].
    pub fn set(&mut self, name: &str, value: &str, origin: Origin) -> &mut Self {
        let name = published_name(name);
        let property = Property { name: name.to_owned(), value: value.to_owned(), origin };
        self.0.insert(name.to_owned(), property);
        self
    }

    /// Sets a property unless it is there.
    pub fn set_if_absent(&mut self, name: &str, value: &str, origin: Origin) -> &mut Self {
        if self.get(name).is_none() {
            self.set(name, value, origin);
        }
        self
    }

    /// Takes over all of `other`, which wins.
    pub fn merge(&mut self, other: &ClientProperties) -> &mut Self {
        self.0.extend(other.0.iter().map(|(name, property)| (name.clone(), property.clone())));
        self
    }

    /// The property of that name or of an alias of it.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.0.get(published_name(name))
    }

    /// The value of that property.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(|property| property.value.as_str())
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) -> Option<Property> {
        self.0.remove(published_name(name))
    }

    /// In order of name. Secrets are in clear: use [`Self::redacted`] for what is printed or stored.
    pub fn iter(&self) -> impl Iterator<Item = &Property> {
        self.0.values()
    }

    /// A copy for printing and storing.
    pub fn redacted(&self) -> Vec<Property> {
        self.iter().cloned().map(redact).collect()
    }

    /// Those that are no producer's or consumer's alone: how to reach the cluster, and how the client
    /// behaves as such. For admin clients and for clients that the tool adds beside a user's own.
    #[must_use]
    pub fn connection_only(&self) -> Self {
        let mut properties = self.clone();
        properties.0.retain(|name, _| catalogue().is_general(name));
        properties
    }

    /// Adds the properties of a text as Kafka's `client.properties` has them: a `key=value` per line,
    /// empty lines and those that begin with `#` or `!` skipped. `source` names the text in errors.
    ///
    /// # Errors
    /// The first line that is no property.
    pub fn add_text(&mut self, text: &str, source: &str, origin: Origin) -> Result<&mut Self, ClientError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            match line.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => {
                    self.set(name.trim(), value.trim(), origin);
                }
                _ => {
                    return Err(ClientError::PropertyLine { origin: source.to_owned(), line: index + 1 });
                }
            }
        }
        Ok(self)
    }

    /// Checks each name and value by itself, as librdkafka does. What goes together is checked when a
    /// client is created.
    ///
    /// # Errors
    /// The first property that librdkafka refuses.
    pub fn check(&self) -> Result<(), ClientError> {
        self.conf(LogSink::discard()).map(drop)
    }

    /// The properties in effect for a producer so configured: a client is created, asked and destroyed.
    /// It opens no topic; librdkafka starts to connect in the background.
    ///
    /// # Errors
    /// A property that librdkafka refuses, by itself or together with others.
    pub fn producer_in_effect(&self) -> Result<Vec<Property>, ClientError> {
        let handle = ffi::handle::Handle::new(Kind::Producer, self.conf(LogSink::discard())?)?;
        Ok(self.in_effect(&handle.dump(), Kind::Producer))
    }

    pub(crate) fn conf(&self, logs: LogSink) -> Result<Conf, ClientError> {
        let mut conf = Conf::new(logs);
        for property in self.iter() {
            conf.set(&property.name, &property.value).map_err(|error| match error {
                SetError::Unknown => unknown(&property.name),
                SetError::Invalid(reason) => {
                    let Property { name, value, .. } = redact(property.clone());
                    ClientError::InvalidProperty { name, value, reason }
                }
            })?;
        }
        Ok(conf)
    }

    /// Values as a client uses them, each with its origin, in order of name and redacted.
    pub(crate) fn in_effect(&self, dump: &Dump, kind: Kind) -> Vec<Property> {
        let mut found: BTreeMap<&str, Property> = BTreeMap::new();
        // Topic-level values come last: where both levels have a property, the topic's is what counts,
        // unless it says to inherit.
        for (name, value) in dump.global.iter().chain(&dump.topic) {
            let inherits = value == "inherit" && found.contains_key(published_name(name));
            if inherits || !catalogue().applies(name, kind) {
                continue;
            }
            let name = published_name(name);
            let origin = self.get(name).map_or(Origin::Default, |property| property.origin);
            found.insert(name, redact(Property { name: name.to_owned(), value: value.clone(), origin }));
        }
        found.into_values().collect()
    }
}

impl FromIterator<Property> for ClientProperties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        let mut all = Self::new();
        for property in properties {
            all.set(&property.name, &property.value, property.origin);
        }
        all
    }
}

fn redact(mut property: Property) -> Property {
    if is_secret(&property.name) && !property.value.is_empty() {
        REDACTED.clone_into(&mut property.value);
    }
    property
}

fn unknown(name: &str) -> ClientError {
    let nearest = catalogue()
        .names()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    ClientError::UnknownProperty { name: name.to_owned(), suggestion: nearest.map(|(_, known)| known.to_owned()) }
}

/// The name that an alias or librdkafka's own name is published under.
fn published_name(name: &str) -> &str {
    catalogue().published.get(name).map_or(name, String::as_str)
}

/// What librdkafka says of its own properties.
struct Catalogue {
    /// Published names by every other name of the property.
    published: BTreeMap<String, String>,
    producer: BTreeSet<String>,
    consumer: BTreeSet<String>,
}

impl Catalogue {
    /// Reads librdkafka's own table: `name | C/P | range | default | importance | description`, where
    /// the second column is `*`, `C` or `P` and an alias' description begins with ``Alias for `name` ``.
    fn parse(table: &str) -> Self {
        let mut catalogue =
            Catalogue { published: BTreeMap::new(), producer: BTreeSet::new(), consumer: BTreeSet::new() };
        for line in table.lines() {
            let mut cells = line.split('|').map(str::trim);
            let (Some(name), Some(scope), Some(description)) = (cells.next(), cells.next(), cells.nth(3)) else {
                continue;
            };
            if matches!(scope, "*" | "P") {
                catalogue.producer.insert(name.to_owned());
            }
            if matches!(scope, "*" | "C") {
                catalogue.consumer.insert(name.to_owned());
            }
            let target = description.strip_prefix("Alias for `").and_then(|rest| rest.split('`').next());
            if let Some(target) = target {
                catalogue.add_alias(name, target);
            }
        }
        catalogue
    }

    fn add_alias(&mut self, alias: &str, target: &str) {
        if PREFERRED.contains(&alias) {
            self.published.insert(target.to_owned(), alias.to_owned());
        } else {
            self.published.insert(alias.to_owned(), target.to_owned());
        }
    }

    /// Whether the property means anything to such a client and is no internal pointer.
    fn applies(&self, name: &str, kind: Kind) -> bool {
        // Callbacks and other pointers are in the table; no property with a value has an underscore.
        let internal = name.contains('_') && name != "log_level" || matches!(name, "opaque" | "interceptors");
        let scope = match kind {
            Kind::Producer => &self.producer,
            Kind::Consumer => &self.consumer,
        };
        !internal && scope.contains(name)
    }

    /// Whether the property is of producers and consumers alike. An unknown one counts as such, so that
    /// the client made from it refuses it by name.
    fn is_general(&self, name: &str) -> bool {
        self.producer.contains(name) == self.consumer.contains(name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.producer.union(&self.consumer).map(String::as_str)
    }
}

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| Catalogue::parse(&ffi::conf::properties_table()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn effective(properties: &ClientProperties, name: &str) -> Property {
        let all = properties.producer_in_effect().unwrap();
        all.into_iter().find(|property| property.name == name).unwrap_or_else(|| panic!("{name} is read back"))
    }

    #[test]
    fn an_alias_and_its_name_are_one_property() {
        let mut properties = ClientProperties::new();
        properties.set("request.required.acks", "1", Origin::Profile).set("acks", "all", Origin::Flag);
        assert_eq!(properties.iter().count(), 1);
        assert_eq!(properties.value("request.required.acks"), Some("all"));
        assert_eq!(properties.get("acks").unwrap().origin, Origin::Flag);
        for (alias, name) in [
            ("metadata.broker.list", "bootstrap.servers"),
            ("queue.buffering.max.ms", "linger.ms"),
            ("message.send.max.retries", "retries"),
            ("compression.codec", "compression.type"),
            ("max.in.flight", "max.in.flight.requests.per.connection"),
            ("delivery.timeout.ms", "message.timeout.ms"),
            ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
            ("sasl.mechanisms", "sasl.mechanism"),
        ] {
            assert_eq!(published_name(alias), name);
            assert_eq!(published_name(name), name);
        }
    }

    #[test]
    fn values_in_effect_are_librdkafkas_after_its_adjustments() {
        let mut properties = ClientProperties::new();
        properties.set("enable.idempotence", "true", Origin::Profile).set("linger.ms", "7", Origin::Flag).set(
            "compression.type",
            "lz4",
            Origin::Scenario,
        );
        assert_eq!(effective(&properties, "acks").value, "-1");
        assert_eq!(effective(&properties, "acks").origin, Origin::Default);
        assert_eq!(effective(&properties, "max.in.flight.requests.per.connection").value, "5");
        assert_eq!(effective(&properties, "retries").value, i32::MAX.to_string());
        let linger = effective(&properties, "linger.ms");
        assert_eq!((linger.value.as_str(), linger.origin), ("7", Origin::Flag));
        let compression = effective(&properties, "compression.type");
        assert_eq!((compression.value.as_str(), compression.origin), ("lz4", Origin::Scenario));
    }

    #[test]
    fn a_transactional_producer_shows_the_capped_message_timeout() {
        let mut properties = ClientProperties::new();
        properties.set("transactional.id", "t", Origin::Profile).set(
            "transaction.timeout.ms",
            "30000",
            Origin::Profile,
        );
        assert_eq!(effective(&properties, "enable.idempotence").value, "true");
        assert_eq!(effective(&properties, "message.timeout.ms").value, "30000");
    }

    #[test]
    fn only_a_producers_properties_are_read_back_for_a_producer() {
        let all = ClientProperties::new().producer_in_effect().unwrap();
        let names: Vec<_> = all.iter().map(|property| property.name.as_str()).collect();
        assert!(names.contains(&"partitioner") && names.contains(&"queue.buffering.max.messages"));
        assert!(!names.contains(&"fetch.min.bytes") && !names.contains(&"opaque"));
        assert!(names.iter().all(|name| !name.ends_with("_cb")));
        assert!(names.is_sorted(), "in order of name");
    }

    #[test]
    fn secrets_are_redacted_wherever_they_could_be_printed() {
        let mut properties = ClientProperties::new();
        properties
            .set("security.protocol", "SASL_PLAINTEXT", Origin::File)
            .set("sasl.mechanism", "PLAIN", Origin::File)
            .set("sasl.username", "u", Origin::File)
            .set("sasl.password", "hunter2", Origin::File);
        let printed = format!("{:?} {:?}", properties.redacted(), properties.producer_in_effect().unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(effective(&properties, "sasl.password").value, REDACTED);
        assert_eq!(properties.value("sasl.password"), Some("hunter2"), "the client still gets it");
    }

    #[test]
    fn an_unknown_property_is_refused_with_a_suggestion() {
        let mut properties = ClientProperties::new();
        properties.set("linger.mss", "5", Origin::Flag);
        let error = properties.check().unwrap_err().to_string();
        assert_eq!(error, "unknown client property 'linger.mss'; did you mean 'linger.ms'?");
    }

    #[test]
    fn an_invalid_value_is_refused_with_librdkafkas_words() {
        let mut properties = ClientProperties::new();
        properties.set("acks", "5000", Origin::Flag);
        let error = properties.check().unwrap_err().to_string();
        assert!(error.starts_with("client property acks=5000 is refused: "), "{error}");
        let mut clash = ClientProperties::new();
        clash.set("acks", "1", Origin::Flag).set("enable.idempotence", "true", Origin::Profile);
        let error = clash.producer_in_effect().unwrap_err().to_string();
        assert!(error.contains("`acks` must be set to `all`"), "{error}");
    }

    #[test]
    fn a_properties_text_is_read_and_its_faults_are_named() {
        let mut properties = ClientProperties::new();
        let text = "# secure\n\nsecurity.protocol = SSL\nssl.ca.location=/a=b\n";
        properties.add_text(text, "client.properties", Origin::File).unwrap();
        assert_eq!(properties.value("security.protocol"), Some("SSL"));
        assert_eq!(properties.value("ssl.ca.location"), Some("/a=b"));
        let error = properties.add_text("a=1\nnonsense", "f", Origin::File).unwrap_err().to_string();
        assert_eq!(error, "f, line 2 is no property; write it as key=value");
    }
}
