//! How Kafka is reached: `-b`, `-X`, `-F` and the environment, as client properties with their origin.
//!
//! Weakest first: the file (`-F`), the environment, the flags. What stands below the file (scenario,
//! profile, defaults) is not known here.

use std::path::PathBuf;

use ackmark_bench::PROPERTIES_FROM_STDIN;
use ackmark_client::{ClientError, ClientProperties};
use ackmark_schema::{
    properties::{Origin, Property},
    text,
};
use ackmark_wire::{
    config::{ConfigError, WireConfig},
    error::WireError,
};
use clap::Args;
use kafka_protocol::ResponseError;

use crate::{files, problem::Problem};

/// The variable of `-b`.
pub(crate) const BOOTSTRAP_SERVER: &str = "ACKMARK_BOOTSTRAP_SERVER";
/// The variable of `-F`.
pub(crate) const COMMAND_CONFIG: &str = "ACKMARK_COMMAND_CONFIG";
/// `ACKMARK_X_LINGER_MS=20` is `-X linger.ms=20`, so that secrets need not be on a command line.
const PROPERTY_PREFIX: &str = "ACKMARK_X_";

/// Where a Kafka is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct Servers {
    /// Brokers to begin with, as HOST:PORT[,HOST:PORT…]
    #[arg(short = 'b', long = "bootstrap-server", value_name = "HOST:PORT", env = BOOTSTRAP_SERVER, hide_env_values = true)]
    pub(crate) bootstrap_server: Option<String>,
    /// Whether `bootstrap_server` was typed rather than taken from the environment.
    #[arg(skip)]
    pub(crate) typed: bool,
}

/// Properties of the client.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct Properties {
    /// A client property by librdkafka's name; may be given several times.
    #[arg(help = "A client property by librdkafka's name; may be given several times. Also from the environment: \
                  ACKMARK_X_LINGER_MS=20 is -X linger.ms=20")]
    #[arg(short = 'X', long = "property", visible_alias = "command-property", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) pairs: Vec<(String, String)>,
    /// A file of client properties, a key=value per line
    #[arg(short = 'F', long = "command-config", value_name = "FILE", env = COMMAND_CONFIG, hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Properties as JSON on stdin: how a bench tells its children.
    #[arg(long = PROPERTIES_FROM_STDIN, hide = true)]
    pub(crate) from_stdin: bool,
}

/// Reads `key=value`.
///
/// # Errors
/// It is none.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write it as key=value, for example linger.ms=20".into()),
    }
}

impl Properties {
    /// What the file, the environment and the flags say, each name and value checked.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown property, a value that librdkafka refuses.
    pub(crate) fn resolve(&self) -> Result<ClientProperties, Problem> {
        self.resolve_from(std::env::vars())
    }

    fn resolve_from(&self, environment: impl Iterator<Item = (String, String)>) -> Result<ClientProperties, Problem> {
        let mut properties = ClientProperties::new();
        if self.from_stdin {
            add_json(&mut properties, &files::read_stdin("client properties")?)?;
        }
        if let Some(path) = &self.config {
            let text = files::read("client properties file", path)?;
            properties
                .add_text(&text, &path.display().to_string(), Origin::File)
                .map_err(|error| Problem::refused(&error))?;
        }
        for (variable, value) in environment {
            if let Some(name) = variable.strip_prefix(PROPERTY_PREFIX) {
                properties.set(&name.to_lowercase().replace('_', "."), &value, Origin::Environment);
            }
        }
        for (name, value) in &self.pairs {
            properties.set(name, value, Origin::Flag);
        }
        properties.check().map_err(|error| Problem::refused(&error))?;
        Ok(properties)
    }
}

/// Adds properties from an array of them.
fn add_json(properties: &mut ClientProperties, json: &str) -> Result<(), Problem> {
    for property in text::from_json::<Vec<Property>>("stdin", json)? {
        properties.set(&property.name, &property.value, property.origin);
    }
    Ok(())
}

impl Servers {
    /// Adds the brokers; `None` where nobody says any.
    pub(crate) fn add_to(&self, properties: &mut ClientProperties) -> Option<String> {
        if let Some(servers) = &self.bootstrap_server {
            let origin = if self.typed { Origin::Flag } else { Origin::Environment };
            // A typed -X bootstrap.servers=… is stronger than the environment's.
            let weaker = properties.get("bootstrap.servers").is_none_or(|property| property.origin <= origin);
            if weaker {
                properties.set("bootstrap.servers", servers, origin);
            }
        }
        properties.value("bootstrap.servers").map(str::to_owned)
    }
}

/// The flags by which a next command finds the same Kafka, each behind a space. Those of single properties are not told:
/// they may hold secrets.
pub(crate) fn flags(servers: &Servers, properties: &Properties) -> String {
    let file = properties.config.as_ref().map(|path| format!(" -F {}", path.display()));
    let brokers = servers.bootstrap_server.as_ref().filter(|_| servers.typed).map(|servers| format!(" -b {servers}"));
    let is_of_connection =
        |name: &str| ["bootstrap.", "security.", "sasl.", "ssl."].iter().any(|of| name.starts_with(of));
    let single = properties.pairs.iter().any(|(name, _)| is_of_connection(name)).then(|| " -X …".to_owned());
    [file, brokers, single].into_iter().flatten().collect()
}

/// Properties of a client of a Kafka that must be named.
///
/// # Errors
/// As [`Properties::resolve`], or no brokers are named.
pub(crate) fn resolve(servers: &Servers, properties: &Properties) -> Result<ClientProperties, Problem> {
    let mut resolved = properties.resolve()?;
    match servers.add_to(&mut resolved) {
        Some(_) => Ok(resolved),
        None => Err(Problem::usage("no Kafka is named").hint(format!(
            "give its brokers with -b HOST:PORT or {BOOTSTRAP_SERVER}; `ackmark cluster up` starts a local one"
        ))),
    }
}

/// The same properties for the log reader, which knows fewer kinds of security than librdkafka.
///
/// # Errors
/// It does not speak what they ask for, or a file or a value cannot be used.
pub(crate) fn wire(properties: &ClientProperties) -> Result<WireConfig, Problem> {
    let pairs = properties.iter().map(|property| (property.name.as_str(), property.value.as_str()));
    WireConfig::from_properties(pairs).map_err(|error: ConfigError| Problem::refused(&error))
}

/// A log reader's error as a problem: a topic that is not there is bad input, the rest is Kafka's or the network's.
pub(crate) fn wire_problem(error: &WireError) -> Problem {
    match error {
        WireError::Refused { code: ResponseError::UnknownTopicOrPartition, .. } => {
            Problem::usage("the topic is not there")
        }
        WireError::Stopped => Problem::interrupted(error),
        WireError::Offset { .. } if error.is_retriable() => Problem::failed(error).hint(
            "are the brokers up that have this partition? Ask again, or for other partitions alone with --partition",
        ),
        _ => Problem::failed(error),
    }
}

/// A client's error as a problem: what the user typed is bad input, the rest is Kafka's or the network's.
pub(crate) fn problem(error: &ClientError) -> Problem {
    match error {
        ClientError::UnknownProperty { .. }
        | ClientError::InvalidProperty { .. }
        | ClientError::PropertyLine { .. }
        | ClientError::Create { .. }
        | ClientError::NulByte { .. } => Problem::refused(error),
        ClientError::Operation { what, code, reason } => {
            Problem::runtime(format!("cannot {what}: {code}: {reason}")).hint(code.cure())
        }
        _ => Problem::failed(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> std::vec::IntoIter<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# comment\nlinger.ms=1\nacks=1\nbatch.size=1000").unwrap();
        let arguments = Properties {
            pairs: vec![("acks".into(), "all".into())],
            config: Some(file.path().to_owned()),
            from_stdin: false,
        };
        let environment = environment(&[("ACKMARK_X_LINGER_MS", "2"), ("ACKMARK_X_ACKS", "0"), ("PATH", "x")]);
        let resolved = arguments.resolve_from(environment).unwrap();
        let found = |name: &str| resolved.get(name).map(|found| (found.value.clone(), found.origin)).unwrap();
        assert_eq!(found("acks"), ("all".into(), Origin::Flag));
        assert_eq!(found("linger.ms"), ("2".into(), Origin::Environment));
        assert_eq!(found("batch.size"), ("1000".into(), Origin::File));
    }

    #[test]
    fn a_value_of_several_lines_comes_as_json() {
        let mut properties = ClientProperties::new();
        add_json(&mut properties, r#"[{"name":"ssl.key.pem","value":"-----BEGIN\nkey\nEND-----\n","origin":"file"}]"#)
            .unwrap();
        let found = properties.get("ssl.key.pem").unwrap();
        assert_eq!((found.value.as_str(), found.origin), ("-----BEGIN\nkey\nEND-----\n", Origin::File));
        properties.check().unwrap();
        assert!(add_json(&mut properties, "ssl.key.pem=key").is_err());
    }

    #[test]
    fn a_typed_property_beats_brokers_from_the_environment() {
        let servers = |typed| Servers { bootstrap_server: Some("a:1".into()), typed };
        let mut properties = ClientProperties::new();
        properties.set("bootstrap.servers", "b:1", Origin::Flag);
        assert_eq!(servers(false).add_to(&mut properties).unwrap(), "b:1");
        assert_eq!(servers(true).add_to(&mut properties).unwrap(), "a:1");
    }

    #[test]
    fn an_unknown_property_is_bad_input() {
        let arguments = Properties { pairs: vec![("linger.mss".into(), "1".into())], config: None, from_stdin: false };
        let problem = arguments.resolve_from(environment(&[])).unwrap_err();
        assert!(problem.message.contains("linger.ms"), "{problem:?}");
        assert_eq!(problem.exit, crate::exit::Exit::Usage);
    }
}
