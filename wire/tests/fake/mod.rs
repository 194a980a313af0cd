//! Brokers in this process that misbehave on demand: what a real one cannot be made to do at a given request.
//!
//! Requests and answers go through the `kafka-protocol` crate. A Fetch is answered as Kafka answers it: in the order of
//! the request, within the sizes, the first batch whole, the last one cut off.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use ackmark_wire::config::WireConfig;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{
        ApiKey, ApiVersionsResponse, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
        MetadataRequest, MetadataResponse, ResponseHeader, TopicName,
        api_versions_response::ApiVersion,
        fetch_response::{FetchableTopicResponse, PartitionData},
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::{Decodable, Encodable, HeaderVersion, StrBytes, decode_request_header_from_buffer},
};

use crate::support;

pub(crate) const TOPIC: &str = "t";

/// A partition's log.
#[derive(Clone, Default)]
pub(crate) struct Log {
    /// -1: none.
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
    pub(crate) start: i64,
    pub(crate) high_watermark: i64,
    /// First and last offset, and the bytes.
    pub(crate) batches: Vec<(i64, i64, Vec<u8>)>,
    /// Answered instead of records.
    pub(crate) error: Option<ResponseError>,
}

impl Log {
    /// `batches` batches of `records` records each, from offset 0 on.
    pub(crate) fn filled(leader: i32, batches: i64, records: i32) -> Self {
        let mut log = Self { leader, ..Self::default() };
        for _ in 0..batches {
            log.append(records, 40);
        }
        log
    }

    pub(crate) fn append(&mut self, records: i32, value_bytes: usize) {
        let sent: Vec<_> = (0..records)
            .map(|offset_delta| support::Sent {
                offset_delta,
                value: Some(vec![b'v'; value_bytes]),
                ..support::Sent::default()
            })
            .collect();
        let header = ackmark_wire::batch::BatchHeader { base_offset: self.high_watermark, ..support::header(records) };
        let bytes = support::batch(&header, &support::payload(&sent));
        self.batches.push((header.base_offset, header.last_offset(), bytes));
        self.high_watermark = header.next_offset();
    }

    /// Offsets of its records.
    pub(crate) fn offsets(&self) -> Vec<i64> {
        self.batches.iter().flat_map(|(first, last, _)| *first..=*last).collect()
    }
}

/// What a broker does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    Answer,
    /// Closes the connection after so many bytes of the answer.
    Cut(usize),
    /// Says nothing, for ever.
    Silence,
    /// Answers, with a byte of the answer's last batch turned over.
    Damage,
}

type Script = Box<dyn FnMut(&mut State, i32, usize) -> Reaction + Send>;

/// The cluster as its brokers see it.
pub(crate) struct State {
    pub(crate) logs: BTreeMap<i32, Log>,
    ports: Vec<u16>,
    /// Looks at each Fetch before it is answered: the state, the broker, how many there were before.
    script: Option<Script>,
    fetches: usize,
    /// Offsets that were asked for, by partition.
    pub(crate) asked: Vec<(i32, i64)>,
    pub(crate) fetch_versions: (i16, i16),
    /// Of the last Fetch.
    pub(crate) fetch_version: i16,
    pub(crate) knows_api_versions_3: bool,
    pub(crate) has_topic: bool,
    /// How many were opened.
    pub(crate) connections: usize,
    /// Waits as long as a Fetch lets it when there is nothing.
    pub(crate) waits: bool,
    /// What is told of a quota, and how long answers are held back for it.
    pub(crate) throttle: Duration,
    /// Brokers that accept connections and never answer.
    pub(crate) frozen: Vec<i32>,
}

/// Brokers 1, 2, … on loopback.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) fn new(brokers: i32, logs: impl IntoIterator<Item = Log>) -> Self {
        let listeners: Vec<_> = (0..brokers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let state = State {
            logs: (0..).zip(logs).collect(),
            ports: listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect(),
            script: None,
            fetches: 0,
            asked: Vec::new(),
            fetch_versions: (4, 17),
            fetch_version: -1,
            knows_api_versions_3: true,
            has_topic: true,
            connections: 0,
            waits: false,
            throttle: Duration::ZERO,
            frozen: Vec::new(),
        };
        let fake = Self { state: Arc::new(Mutex::new(state)) };
        for (id, listener) in (1..).zip(listeners) {
            let fake = fake.clone();
            // They end with the process of the test.
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let fake = fake.clone();
                    thread::spawn(move || fake.serve(id, stream.unwrap()));
                }
            });
        }
        fake
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn script(&self, script: impl FnMut(&mut State, i32, usize) -> Reaction + Send + 'static) {
        self.state().script = Some(Box::new(script));
    }

    pub(crate) fn config(&self) -> WireConfig {
        let servers: Vec<_> = self.state().ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        WireConfig::from_properties([("bootstrap.servers", servers.join(",").as_str())]).unwrap()
    }

    fn serve(&self, id: i32, mut stream: TcpStream) {
        self.state().connections += 1;
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut request = vec![0; i32::from_be_bytes(length) as usize];
            if stream.read_exact(&mut request).is_err() {
                return;
            }
            if self.state().frozen.contains(&id) {
                continue;
            }
            let mut request = Bytes::from(request);
            let header = decode_request_header_from_buffer(&mut request).unwrap();
            let version = header.request_api_version;
            let (mut body, mut reaction, mut pause) = (BytesMut::new(), Reaction::Answer, Duration::ZERO);
            let key = ApiKey::try_from(header.request_api_key).unwrap();
            let header_version = match key {
                ApiKey::ApiVersions => {
                    self.api_versions(version, &mut body);
                    0
                }
                ApiKey::Metadata => {
                    let request = MetadataRequest::decode(&mut request, version).unwrap();
                    self.metadata(&request).encode(&mut body, version).unwrap();
                    MetadataResponse::header_version(version)
                }
                ApiKey::ListOffsets => {
                    let request = ListOffsetsRequest::decode(&mut request, version).unwrap();
                    self.list_offsets(id, &request).encode(&mut body, version).unwrap();
                    pause = self.state().throttle;
                    ListOffsetsResponse::header_version(version)
                }
                ApiKey::Fetch => {
                    let request = FetchRequest::decode(&mut request, version).unwrap();
                    let mut state = self.state();
                    let number = state.fetches;
                    state.fetches += 1;
                    state.fetch_version = version;
                    if let Some(mut script) = state.script.take() {
                        reaction = script(&mut state, id, number);
                        state.script.get_or_insert(script);
                    }
                    let answer = state.fetch(id, &request);
                    let idle = answer.responses.iter().flat_map(|topic| &topic.partitions).all(|partition| {
                        partition.error_code == 0 && partition.records.as_ref().is_none_or(Bytes::is_empty)
                    });
                    pause = state.throttle;
                    if idle {
                        // As a broker that waits for data, though not as long, unless told to.
                        let max_wait = Duration::from_millis(request.max_wait_ms as u64);
                        pause += if state.waits { max_wait } else { Duration::from_millis(5) };
                    }
                    answer.encode(&mut body, version).unwrap();
                    FetchResponse::header_version(version)
                }
                other => panic!("{other:?} was not expected"),
            };
            let mut answer = BytesMut::new();
            answer.put_i32(0);
            let header = ResponseHeader::default().with_correlation_id(header.correlation_id);
            header.encode(&mut answer, header_version).unwrap();
            answer.put(body);
            let size = answer.len() as i32 - 4;
            answer[..4].copy_from_slice(&size.to_be_bytes());
            thread::sleep(pause);
            let sent = match reaction {
                Reaction::Answer => stream.write_all(&answer),
                Reaction::Silence => continue,
                Reaction::Cut(bytes) => {
                    let _ = stream.write_all(&answer[..bytes.min(answer.len())]);
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                Reaction::Damage => {
                    // Within the value of the last record: 40 bytes, then its header count and the tagged fields.
                    let at = answer.len() - 12;
                    answer[at] ^= 1;
                    stream.write_all(&answer)
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn api_versions(&self, version: i16, body: &mut BytesMut) {
        let state = self.state();
        let (code, version) = if version > 0 && !state.knows_api_versions_3 { (35, 0) } else { (0, version) };
        let fetch = state.fetch_versions;
        let ranges = [
            (ApiKey::Fetch, fetch.0, fetch.1),
            (ApiKey::ListOffsets, 1, 10),
            (ApiKey::Metadata, 0, 13),
            (ApiKey::ApiVersions, 0, 4),
        ];
        let keys = ranges.iter().map(|(key, min, max)| {
            ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
        });
        let answer = ApiVersionsResponse::default().with_error_code(code).with_api_keys(keys.collect());
        answer.encode(body, version).unwrap();
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let state = self.state();
        let brokers = (1..).zip(&state.ports).map(|(id, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str("127.0.0.1"))
                .with_port(i32::from(*port))
        });
        let topics = request.topics.iter().flatten().map(|asked| {
            let topic = MetadataResponseTopic::default().with_name(asked.name.clone());
            if !state.has_topic || asked.name.as_ref().is_none_or(|name| name.0.as_str() != TOPIC) {
                return topic.with_error_code(ResponseError::UnknownTopicOrPartition.code());
            }
            let partitions = state.logs.iter().map(|(partition, log)| {
                let code = if log.leader < 0 { ResponseError::LeaderNotAvailable.code() } else { 0 };
                MetadataResponsePartition::default()
                    .with_error_code(code)
                    .with_partition_index(*partition)
                    .with_leader_id(BrokerId(log.leader))
                    .with_leader_epoch(log.epoch)
            });
            topic.with_partitions(partitions.collect())
        });
        MetadataResponse::default().with_brokers(brokers.collect()).with_topics(topics.collect())
    }

    fn list_offsets(&self, id: i32, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let state = self.state();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
                match state.led(id, asked.partition_index, asked.current_leader_epoch) {
                    Err(code) => answer.with_error_code(code.code()),
                    Ok(log) => answer.with_offset(if asked.timestamp == -2 { log.start } else { log.high_watermark }),
                }
            });
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

/// The last offset that a batch's header says it has.
fn claimed_last(batch: &[u8]) -> i64 {
    let base = i64::from_be_bytes(*batch.first_chunk().unwrap());
    let delta = i32::from_be_bytes(*batch[23..].first_chunk().unwrap());
    base.wrapping_add(i64::from(delta))
}

impl State {
    fn led(&self, id: i32, partition: i32, epoch: i32) -> Result<&Log, ResponseError> {
        let log = self.logs.get(&partition).filter(|_| self.has_topic);
        let log = log.ok_or(ResponseError::UnknownTopicOrPartition)?;
        match log.error {
            Some(error) => Err(error),
            None if log.leader != id => Err(ResponseError::NotLeaderOrFollower),
            None if epoch >= 0 && epoch < log.epoch => Err(ResponseError::FencedLeaderEpoch),
            None => Ok(log),
        }
    }

    fn fetch(&mut self, id: i32, request: &FetchRequest) -> FetchResponse {
        let mut left = request.max_bytes as usize;
        let mut is_first = true;
        let mut topics = Vec::new();
        for topic in &request.topics {
            assert_eq!(topic.topic.0.as_str(), TOPIC);
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                self.asked.push((asked.partition, asked.fetch_offset));
                let answer = PartitionData::default().with_partition_index(asked.partition);
                let failed = |code: ResponseError| {
                    answer.clone().with_error_code(code.code()).with_high_watermark(-1).with_log_start_offset(-1)
                };
                let log = match self.led(id, asked.partition, asked.current_leader_epoch) {
                    Err(code) => {
                        partitions.push(failed(code));
                        continue;
                    }
                    Ok(log) => log,
                };
                if !(log.start..=log.high_watermark).contains(&asked.fetch_offset) {
                    partitions.push(failed(ResponseError::OffsetOutOfRange));
                    continue;
                }
                let mut bytes = Vec::new();
                let mut room = left.min(asked.partition_max_bytes as usize);
                // As brokers do it, by what the headers say.
                let mut found = log.batches.iter().skip_while(|(_, _, batch)| claimed_last(batch) < asked.fetch_offset);
                for (_, _, batch) in found.by_ref() {
                    if is_first && bytes.is_empty() {
                        room = room.max(batch.len());
                    } else if bytes.is_empty() && room < batch.len() {
                        break;
                    }
                    bytes.extend_from_slice(&batch[..batch.len().min(room - bytes.len())]);
                    if bytes.len() == room {
                        break;
                    }
                }
                is_first &= bytes.is_empty();
                left = left.saturating_sub(bytes.len());
                partitions.push(
                    answer
                        .with_high_watermark(log.high_watermark)
                        .with_last_stable_offset(log.high_watermark)
                        .with_log_start_offset(log.start)
                        .with_records(Some(Bytes::from(bytes))),
                );
            }
            let name = TopicName(StrBytes::from_static_str(TOPIC));
            topics.push(FetchableTopicResponse::default().with_topic(name).with_partitions(partitions));
        }
        FetchResponse::default().with_throttle_time_ms(self.throttle.as_millis() as i32).with_responses(topics)
    }
}
