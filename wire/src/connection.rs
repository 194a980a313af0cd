//! Requests and answers on one connection.
//!
//! A connection is opened within one bound: TCP and TLS, then the versions of requests that the broker speaks
//! (`ApiVersions` 3, or 0 where it says that it does not know 3: KIP-511), then authentication. After that requests go
//! out in a version that both sides speak; answers come back in the order of their requests.
//!
//! An answer is received whole. Its length is not believed before its bytes are there: memory grows as they come.
//! Limit: what the `kafka-protocol` crate decodes (all but Fetch) may allocate as much as a lying array length says, so
//! brokers are trusted as far as they answer with the number of our request.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    ops::Range,
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, SaslAuthenticateRequest},
    messages::{SaslHandshakeRequest, SaslHandshakeResponse},
    protocol::{Decodable, HeaderVersion, Request, StrBytes, VersionRange, encode_request_header_into_buffer},
};

use crate::{
    bytes_at::{BytesAt, Malformed},
    config::{Address, WireConfig},
    error::WireError,
    patience::Patience,
    sasl::{self, Credentials, SaslError},
    socket::{ConnectError, Socket},
    tls::fault_of,
};

/// The largest answer that is taken, Fetch included: a batch is below 2 GiB, brokers take 1 MiB by default.
pub const ANSWER_BYTES_MAX: usize = 1 << 30;
/// The largest answer to a request that is not Fetch; what is longer is no answer of a broker's.
const SMALL_ANSWER_BYTES_MAX: usize = 64 << 20;
/// Memory that a first byte is worth.
const BUFFER_BYTES_MIN: usize = 64 * 1024;

/// A request that was sent, and of which the answer is still to be received.
#[derive(Debug)]
#[must_use]
pub struct Sent {
    correlation: i32,
    /// The version of the request, and of the answer.
    pub version: i16,
    flexible: bool,
    api: &'static str,
    limit: usize,
}

/// A connection to a broker, ready for requests.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    address: Address,
    client_id: StrBytes,
    versions: BTreeMap<i16, VersionRange>,
    correlation: i32,
    outgoing: BytesMut,
    /// Whether the broker has answered what it answers to nobody whom it does not let in.
    is_let_in: bool,
}

impl Connection {
    /// Connects, learns what the broker speaks, and authenticates.
    ///
    /// # Errors
    /// No connection within `patience` (or the configuration's set-up time-out, if that is shorter), no Kafka there,
    /// or credentials that are refused.
    pub fn open(config: &WireConfig, address: &Address, patience: &Patience<'_>) -> Result<Self, WireError> {
        let patience = patience.within(config.setup_timeout);
        let socket = Socket::connect(address, config, &patience)
            .map_err(|error| WireError::from(error).unless_stopped(&patience))?;
        let mut connection = Self {
            socket,
            address: address.clone(),
            client_id: StrBytes::from_string(config.client_id.clone()),
            versions: BTreeMap::new(),
            correlation: 0,
            outgoing: BytesMut::new(),
            is_let_in: false,
        };
        connection.learn_versions(&patience)?;
        if let Some(credentials) = &config.sasl {
            connection.authenticate(credentials, &patience)?;
        }
        Ok(connection)
    }

    /// Whom it is connected to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The highest version of a request that the broker speaks, of those that do for the caller.
    ///
    /// # Errors
    /// There is none.
    pub fn version<R: Request>(&self, min: i16, max: i16) -> Result<i16, WireError> {
        let wanted = R::VERSIONS.intersect(&VersionRange { min, max });
        let offered = self.versions.get(&R::KEY);
        match offered.map(|offered| offered.intersect(&wanted)) {
            Some(both) if !both.is_empty() => Ok(both.max),
            _ => Err(WireError::NotSpoken {
                address: self.address.clone(),
                api: api_name(R::KEY),
                offered: offered.map_or("in no version".to_owned(), |range| format!("in versions {range}")),
                needed: wanted.to_string(),
            }),
        }
    }

    /// Sends a request and receives its answer.
    ///
    /// # Errors
    /// The connection ends or goes silent, or the answer is none. Errors in the answer are the caller's to find.
    pub fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        patience: &Patience<'_>,
    ) -> Result<R::Response, WireError> {
        let sent = self.send(request, version, patience)?;
        let body = self.receive_small(sent, patience)?;
        self.decode::<R>(body, version)
    }

    /// Sends a request. Answers must be received in the order in which requests were sent.
    ///
    /// # Errors
    /// The connection ends or takes nothing, or the request cannot be written in this version.
    pub fn send<R: Request>(&mut self, request: &R, version: i16, patience: &Patience<'_>) -> Result<Sent, WireError> {
        let api = api_name(R::KEY);
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()));
        self.outgoing.clear();
        self.outgoing.extend_from_slice(&[0; 4]);
        encode_request_header_into_buffer(&mut self.outgoing, &header)
            .and_then(|()| request.encode(&mut self.outgoing, version))
            .map_err(|error| self.unwritable(api, error.to_string()))?;
        let length = i32::try_from(self.outgoing.len() - 4)
            .map_err(|_| self.unwritable(api, "it is longer than 2 GiB".to_owned()))?;
        self.outgoing[..4].copy_from_slice(&length.to_be_bytes());
        patience
            .write_all(&mut self.socket, &self.outgoing)
            .map_err(|source| lost(&self.address, api, self.is_let_in, source).unless_stopped(patience))?;
        Ok(Sent {
            correlation: self.correlation,
            version,
            flexible: R::Response::header_version(version) > 0,
            api,
            limit: if R::KEY == ApiKey::Fetch as i16 { ANSWER_BYTES_MAX } else { SMALL_ANSWER_BYTES_MAX },
        })
    }

    /// Receives an answer into a buffer that grows as needed and is used again.
    ///
    /// # Returns
    /// Where in the buffer its body is.
    ///
    /// # Errors
    /// The connection ends, nothing comes for as long as `patience` says, or what comes is no answer to it.
    #[allow(clippy::needless_pass_by_value, reason = "each request has one answer")]
    pub fn receive(
        &mut self,
        sent: Sent,
        buffer: &mut Vec<u8>,
        patience: &Patience<'_>,
    ) -> Result<Range<usize>, WireError> {
        let is_let_in = self.is_let_in;
        let lost = |address: &Address, source| lost(address, sent.api, is_let_in, source).unless_stopped(patience);
        let mut length = [0; 4];
        patience.read_exact(&mut self.socket, &mut length).map_err(|source| lost(&self.address, source))?;
        if is_tls_alert(length) {
            return Err(self.not_kafka("it answers in TLS".to_owned()));
        }
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(4..=sent.limit).contains(&length) {
            return Err(self.not_kafka(format!("its answer begins with {length} as its length")));
        }
        let mut filled = 0;
        while filled < length {
            if buffer.len() < length && buffer.len() <= filled {
                buffer.resize(length.min((2 * filled).max(BUFFER_BYTES_MIN)), 0);
            }
            let end = length.min(buffer.len());
            match patience.read(&mut self.socket, &mut buffer[filled..end]) {
                Ok(0) => return Err(lost(&self.address, ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(source) => return Err(lost(&self.address, source)),
            }
        }
        let body =
            behind_header(&buffer[..length], sent.correlation, sent.flexible).map_err(|what| self.not_kafka(what))?;
        // These three it answers to anybody.
        self.is_let_in |= !matches!(sent.api, "ApiVersions" | "SaslHandshake" | "SaslAuthenticate");
        Ok(body..length)
    }

    fn receive_small(&mut self, sent: Sent, patience: &Patience<'_>) -> Result<Bytes, WireError> {
        let mut buffer = Vec::new();
        let body = self.receive(sent, &mut buffer, patience)?;
        buffer.truncate(body.end);
        Ok(Bytes::from(buffer).slice(body))
    }

    fn decode<R: Request>(&self, mut body: Bytes, version: i16) -> Result<R::Response, WireError> {
        R::Response::decode(&mut body, version).map_err(|error| self.malformed(api_name(R::KEY), error.to_string()))
    }

    fn learn_versions(&mut self, patience: &Patience<'_>) -> Result<(), WireError> {
        let name = StrBytes::from_static_str("ackmark");
        let request = ApiVersionsRequest::default()
            .with_client_software_name(name)
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut body = Bytes::new();
        let mut answered = 0;
        for version in [3, 0] {
            let sent = self.send(&request, version, patience)?;
            body = self.receive_small(sent, patience)?;
            answered = version;
            // A broker that does not know the version answers in version 0.
            let code = BytesAt::new(&body).i16().map_err(|_| self.not_kafka("its answer is empty".to_owned()))?;
            if code != ResponseError::UnsupportedVersion.code() {
                break;
            }
        }
        let answer: ApiVersionsResponse = self.decode::<ApiVersionsRequest>(body, answered)?;
        if let Some(code) = ResponseError::try_from_code(answer.error_code) {
            return Err(self.refused(api_name(ApiVersionsRequest::KEY), code));
        }
        self.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, VersionRange { min: api.min_version, max: api.max_version }))
            .collect();
        Ok(())
    }

    fn authenticate(&mut self, credentials: &Credentials, patience: &Patience<'_>) -> Result<(), WireError> {
        let mechanism = credentials.mechanism;
        let address = self.address.clone();
        let failed = |source| WireError::Sasl { address: address.clone(), source };
        let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism.name()));
        let version = self.version::<SaslHandshakeRequest>(1, 1)?;
        let answer: SaslHandshakeResponse = self.call(&handshake, version, patience)?;
        match ResponseError::try_from_code(answer.error_code) {
            None => {}
            Some(ResponseError::UnsupportedSaslMechanism) => {
                let offered = answer.mechanisms.iter().map(ToString::to_string).collect();
                return Err(failed(SaslError::NotOffered { mechanism, offered }));
            }
            Some(code) => return Err(self.refused("SaslHandshake", code)),
        }
        let version = self.version::<SaslAuthenticateRequest>(0, 2)?;
        let exchanged = sasl::authenticate(credentials, |message| {
            let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(message));
            let answer = self.call(&request, version, patience)?;
            match ResponseError::try_from_code(answer.error_code) {
                None => Ok(answer.auth_bytes),
                Some(code) => {
                    let reason = answer.error_message.map_or_else(|| code.to_string(), |text| text.to_string());
                    let username = credentials.username.clone();
                    Err(Exchange::Sasl(SaslError::Refused { username, mechanism, reason }))
                }
            }
        });
        exchanged.map_err(|error| match error {
            Exchange::Sasl(source) => failed(source),
            Exchange::Wire(error) => error,
        })
    }

    /// That the broker refused a request.
    pub(crate) fn refused(&self, api: &'static str, code: ResponseError) -> WireError {
        WireError::Refused { address: self.address.clone(), api, code }
    }

    /// That an answer does not follow the protocol.
    pub(crate) fn malformed(&self, api: &'static str, what: impl Into<String>) -> WireError {
        WireError::Malformed { address: self.address.clone(), api, what: what.into() }
    }

    fn unwritable(&self, api: &'static str, what: String) -> WireError {
        WireError::Unwritable { address: self.address.clone(), api, what }
    }

    fn not_kafka(&self, what: String) -> WireError {
        WireError::NotKafka { address: self.address.clone(), what }
    }
}

/// Errors of an authentication, before it is known whose they are.
enum Exchange {
    Sasl(SaslError),
    Wire(WireError),
}

impl From<SaslError> for Exchange {
    fn from(error: SaslError) -> Self {
        Self::Sasl(error)
    }
}

impl From<WireError> for Exchange {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// A connection that failed, told as what it means.
fn lost(address: &Address, api: &'static str, is_let_in: bool, source: io::Error) -> WireError {
    let address = address.clone();
    // In TLS 1.3 the broker looks at a client's certificate when the handshake is over for the client.
    if let Some(fault) = fault_of(&source) {
        return ConnectError::Tls { address, fault }.into();
    }
    let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    if !is_let_in && closed.contains(&source.kind()) {
        return WireError::NotLetIn { address, api };
    }
    WireError::Disconnected { address, api, source }
}

/// Whether these bytes, where the length of an answer should be, are an alert of TLS 1.0 to 1.3 (RFC 8446, 5.1).
fn is_tls_alert(bytes: [u8; 4]) -> bool {
    bytes[0] == 21 && bytes[1] == 3
}

/// Where the body begins behind a response header (version 0, or 1 with tagged fields).
fn behind_header(frame: &[u8], correlation: i32, flexible: bool) -> Result<usize, String> {
    let mut at = BytesAt::new(frame);
    match at.i32() {
        Ok(number) if number == correlation => {}
        Ok(number) => return Err(format!("it answers request {number}, asked was {correlation}")),
        Err(error) => return Err(error.to_string()),
    }
    if flexible {
        skip_tagged_fields(&mut at).map_err(|error| error.to_string())?;
    }
    Ok(at.position())
}

/// Steps over tagged fields (KIP-482).
pub(crate) fn skip_tagged_fields(at: &mut BytesAt<'_>) -> Result<(), Malformed> {
    for _ in 0..at.unsigned_varint()? {
        at.unsigned_varint()?;
        let length = at.unsigned_varint()?;
        at.slice(length as usize)?;
    }
    Ok(())
}

/// A request's name, for messages.
pub(crate) fn api_name(key: i16) -> &'static str {
    match ApiKey::try_from(key) {
        Ok(ApiKey::Fetch) => "Fetch",
        Ok(ApiKey::ListOffsets) => "ListOffsets",
        Ok(ApiKey::Metadata) => "Metadata",
        Ok(ApiKey::ApiVersions) => "ApiVersions",
        Ok(ApiKey::ListTransactions) => "ListTransactions",
        Ok(ApiKey::DescribeTransactions) => "DescribeTransactions",
        Ok(ApiKey::DescribeProducers) => "DescribeProducers",
        Ok(ApiKey::FindCoordinator) => "FindCoordinator",
        Ok(ApiKey::OffsetFetch) => "OffsetFetch",
        Ok(ApiKey::DescribeGroups) => "DescribeGroups",
        Ok(ApiKey::SaslHandshake) => "SaslHandshake",
        Ok(ApiKey::SaslAuthenticate) => "SaslAuthenticate",
        _ => "a request",
    }
}
