//! Admin requests and their answers, as owned values.
//!
//! Each operation but the two that ask for metadata posts one request whose answer is one event of the queue given. The request timeout
//! is librdkafka's, so the event comes within it (plus its scheduling) even when no broker answers.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Operation;

use super::event::{Event, EventKind};
use super::handle::{Handle, Queue, Topic, c_count, c_strings};
use super::{ErrorText, c_string, owned, timeout_ms};
use crate::admin::{Broker, ClusterMetadata, ConfigEntry, ConfigResource, NewTopic, PartitionMetadata, TopicMetadata};
use crate::errors::{ClientError, ErrorCode};

/// Where a log is asked for its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetQuery {
    /// The first offset still there.
    Earliest,
    /// One past the last record: the high watermark.
    HighWatermark,
    /// One past the last record that no open transaction holds back.
    LastStable,
}

/// Why an answer is no result: a code and its text.
type Refusal = (ErrorCode, String);

/// A partition and its offset, or why there is none.
type PartitionAnswer = (i32, Result<i64, ErrorCode>);

/// Options of one request.
struct Options(NonNull<sys::rd_kafka_AdminOptions_t>);

impl Options {
    fn new(handle: &Handle, operation: Operation, timeout: Duration) -> Self {
        let mut reason = ErrorText::new();
        // SAFETY: the instance is alive. A timeout within int's range is valid for each operation used here.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(handle.as_ptr(), operation);
            let ms = timeout_ms(timeout).min(3_600_000);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, ms, reason.as_mut_ptr(), super::ERROR_BUFFER);
            if matches!(
                operation,
                Operation::RD_KAFKA_ADMIN_OP_CREATETOPICS | Operation::RD_KAFKA_ADMIN_OP_DELETETOPICS
            ) {
                // How long the broker itself waits for the change to spread.
                sys::rd_kafka_AdminOptions_set_operation_timeout(options, ms, reason.as_mut_ptr(), super::ERROR_BUFFER);
            }
            Options(NonNull::new(options).expect("rd_kafka_AdminOptions_new does not fail"))
        }
    }

    fn isolation(&self, query: OffsetQuery) {
        let level = match query {
            OffsetQuery::LastStable => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
            OffsetQuery::Earliest | OffsetQuery::HighWatermark => {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            }
        };
        // SAFETY: options for ListOffsets, which take this; an error object would be ours.
        unsafe {
            let error = sys::rd_kafka_AdminOptions_set_isolation_level(self.0.as_ptr(), level);
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; requests copy what they need.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) };
    }
}

/// Waits for the answer to the request just posted. Other events of the queue are dropped.
fn answer(queue: &Queue, expected: i32, timeout: Duration) -> Result<Event<'_>, Refusal> {
    let timed_out = || (ErrorCode::TIMED_OUT, "no answer within the request's timeout".to_owned());
    // librdkafka enforces the request timeout; the second on top is for its scheduling.
    let deadline = std::time::Instant::now() + timeout + Duration::from_secs(1);
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let event = queue.poll(left).ok_or_else(timed_out)?;
        if event.kind() != EventKind::Other(expected) {
            continue;
        }
        return match event.error() {
            Some(code) => Err((code, event.error_reason())),
            None => Ok(event),
        };
    }
}

/// # Safety
/// `array` holds `count` items that live for `'a`, or is null.
unsafe fn items<'a, T>(array: *mut *const T, count: usize) -> &'a [*const T] {
    if array.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: by this function's contract.
    unsafe { slice::from_raw_parts(array, count) }
}

/// An answer to a metadata request, which any broker gives.
struct Metadata(NonNull<sys::rd_kafka_metadata>);

impl Metadata {
    /// Asks for one topic, or for none. Not by librdkafka's describe operations: those go to the controller
    /// only, so they cannot answer while none is known.
    fn ask(handle: &Handle, topic: Option<&Topic>, timeout: Duration) -> Result<Self, Refusal> {
        let mut metadata: *const sys::rd_kafka_metadata = std::ptr::null();
        let topic = topic.map_or(std::ptr::null_mut(), Topic::as_ptr);
        // SAFETY: instance and topic are alive; the answer is ours to destroy.
        let code =
            unsafe { super::rd_kafka_metadata(handle.as_ptr(), 0, topic, &raw mut metadata, timeout_ms(timeout)) };
        if let Some(code) = ErrorCode::from_raw(code) {
            return Err((code, code.description()));
        }
        Ok(Metadata(NonNull::new(metadata.cast_mut()).expect("an answer without an error is there")))
    }

    fn brokers(&self) -> Vec<Broker> {
        // SAFETY: a live answer, whose array and strings live as long and are copied.
        unsafe {
            let answer = self.0.as_ref();
            let broker = |node: &sys::rd_kafka_metadata_broker| Broker {
                id: node.id,
                host: owned(node.host),
                port: u16::try_from(node.port).unwrap_or(0),
            };
            let mut brokers: Vec<_> = array(answer.brokers, answer.broker_cnt).iter().map(broker).collect();
            brokers.sort_by_key(|broker| broker.id);
            brokers
        }
    }

    /// The partitions of the topic asked for.
    fn partitions(&self) -> Result<Vec<PartitionMetadata>, Refusal> {
        // SAFETY: as in `brokers`. The code is read as an integer, since a broker may send one that the
        // enum lacks; so no reference to the topic's struct is made.
        unsafe {
            let answer = self.0.as_ref();
            if answer.topic_cnt < 1 {
                return Err((ErrorCode::UNKNOWN_TOPIC, "the answer names no topic".to_owned()));
            }
            let topic = answer.topics;
            if let Some(code) = ErrorCode::from_raw((&raw const (*topic).err).cast::<c_int>().read()) {
                return Err((code, code.description()));
            }
            let count = usize::try_from((*topic).partition_cnt).unwrap_or(0);
            let mut partitions: Vec<_> = (0..count).map(|i| partition((*topic).partitions.add(i))).collect();
            partitions.sort_by_key(|partition| partition.id);
            Ok(partitions)
        }
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_metadata_destroy(self.0.as_ptr()) };
    }
}

/// # Safety
/// `items` is null or holds `count` of them that live for `'a`.
unsafe fn array<'a, T>(items: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: by this function's contract.
        Ok(count) if count > 0 && !items.is_null() => unsafe { slice::from_raw_parts(items, count) },
        _ => &[],
    }
}

/// # Safety
/// Points to a partition of a live answer.
unsafe fn partition(found: *const sys::rd_kafka_metadata_partition) -> PartitionMetadata {
    // SAFETY: by this function's contract; fields are read one by one, since the code among them may be
    // one that the enum lacks.
    unsafe {
        PartitionMetadata {
            id: (*found).id,
            leader: Some((*found).leader).filter(|id| *id >= 0),
            replicas: array((*found).replicas, (*found).replica_cnt).to_vec(),
            isr: array((*found).isrs, (*found).isr_cnt).to_vec(),
        }
    }
}

/// The brokers that some broker names. `handle` must know no topic: librdkafka asks for those that it
/// knows and lets brokers create them (`rd_kafka_metadata`, 2.12.1), deleted ones included.
pub(crate) fn metadata(handle: &Handle, timeout: Duration) -> Result<ClusterMetadata, Refusal> {
    let brokers = Metadata::ask(handle, None, timeout)?.brokers();
    // SAFETY: the instance is alive. Neither call waits, since the answer above brought both; the id is
    // ours to free.
    unsafe {
        let id = sys::rd_kafka_clusterid(handle.as_ptr(), 0);
        let cluster_id = owned(id);
        sys::rd_kafka_mem_free(handle.as_ptr(), id.cast());
        let controller = sys::rd_kafka_controllerid(handle.as_ptr(), 0);
        Ok(ClusterMetadata {
            cluster_id: Some(cluster_id).filter(|id| !id.is_empty()),
            controller_id: Some(controller).filter(|id| *id >= 0),
            brokers,
        })
    }
}

/// A topic's partitions; the topic is not created by being asked for, provided that the client has
/// `allow.auto.create.topics=false`.
pub(crate) fn describe_topic(handle: &Handle, topic: &Topic, timeout: Duration) -> Result<TopicMetadata, Refusal> {
    let partitions = Metadata::ask(handle, Some(topic), timeout)?.partitions()?;
    Ok(TopicMetadata { name: topic.name().to_owned(), partitions })
}

/// Per topic: its name and why it was not created, if so.
pub(crate) fn create_topics(
    handle: &Handle,
    queue: &Queue,
    topics: &[NewTopic],
    timeout: Duration,
) -> Result<Vec<(String, Option<Refusal>)>, ClientError> {
    let options = Options::new(handle, Operation::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
    let mut requests = NewTopics(Vec::with_capacity(topics.len()));
    for topic in topics {
        requests.push(topic)?;
    }
    // SAFETY: requests are alive for the call, which copies them.
    unsafe {
        sys::rd_kafka_CreateTopics(
            handle.as_ptr(),
            requests.0.as_mut_ptr(),
            requests.0.len(),
            options.0.as_ptr(),
            queue.as_ptr(),
        );
    }
    let event = answer(queue, sys::RD_KAFKA_EVENT_CREATETOPICS_RESULT, timeout)
        .map_err(|(code, reason)| ClientError::operation("create topics".to_owned(), code, &reason))?;
    let mut count = 0;
    // SAFETY: the event is of this type and alive while its results are copied.
    unsafe {
        let results = sys::rd_kafka_CreateTopics_result_topics(event.as_ptr().cast_const(), &raw mut count);
        Ok(topic_results(items(results, count)))
    }
}

/// Topics to be created, destroyed together.
struct NewTopics(Vec<*mut sys::rd_kafka_NewTopic_t>);

impl NewTopics {
    fn push(&mut self, topic: &NewTopic) -> Result<(), ClientError> {
        let name = c_string("topic name", &topic.name)?;
        let mut reason = ErrorText::new();
        // SAFETY: the name lives for the call, which copies it; the buffer has the size given.
        let request = unsafe {
            sys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                topic.partitions,
                topic.replication_factor,
                reason.as_mut_ptr(),
                super::ERROR_BUFFER,
            )
        };
        if request.is_null() {
            let what = format!("create topic '{}'", topic.name);
            return Err(ClientError::operation(what, ErrorCode::INVALID_ARG, &reason.text()));
        }
        self.0.push(request);
        for (partition, brokers) in topic.assignment.iter().enumerate() {
            let mut brokers = brokers.clone();
            // SAFETY: a live request; the ids are copied; the buffer has the size given.
            let code = unsafe {
                sys::rd_kafka_NewTopic_set_replica_assignment(
                    request,
                    partition as i32,
                    brokers.as_mut_ptr(),
                    brokers.len(),
                    reason.as_mut_ptr(),
                    super::ERROR_BUFFER,
                )
            };
            if let Some(code) = ErrorCode::from_raw(code as i32) {
                return Err(ClientError::operation(format!("create topic '{}'", topic.name), code, &reason.text()));
            }
        }
        for (key, value) in &topic.configs {
            let key = c_string("topic config", key)?;
            let value = c_string("topic config value", value)?;
            // SAFETY: a live request; both strings are copied.
            unsafe { sys::rd_kafka_NewTopic_set_config(request, key.as_ptr(), value.as_ptr()) };
        }
        Ok(())
    }
}

impl Drop for NewTopics {
    fn drop(&mut self) {
        for topic in &self.0 {
            // SAFETY: ours, destroyed once.
            unsafe { sys::rd_kafka_NewTopic_destroy(*topic) };
        }
    }
}

/// Per topic: its name and why it was not deleted, if so.
pub(crate) fn delete_topics(
    handle: &Handle,
    queue: &Queue,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<(String, Option<Refusal>)>, ClientError> {
    let options = Options::new(handle, Operation::RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout);
    let names = c_strings("topic name", names)?;
    // SAFETY: the names are copied; the requests are ours, copied by the call and then destroyed.
    unsafe {
        let mut requests: Vec<_> = names.iter().map(|name| sys::rd_kafka_DeleteTopic_new(name.as_ptr())).collect();
        sys::rd_kafka_DeleteTopics(
            handle.as_ptr(),
            requests.as_mut_ptr(),
            requests.len(),
            options.0.as_ptr(),
            queue.as_ptr(),
        );
        sys::rd_kafka_DeleteTopic_destroy_array(requests.as_mut_ptr(), requests.len());
    }
    let event = answer(queue, sys::RD_KAFKA_EVENT_DELETETOPICS_RESULT, timeout)
        .map_err(|(code, reason)| ClientError::operation("delete topics".to_owned(), code, &reason))?;
    let mut count = 0;
    // SAFETY: the event is of this type and alive while its results are copied.
    unsafe {
        let results = sys::rd_kafka_DeleteTopics_result_topics(event.as_ptr().cast_const(), &raw mut count);
        Ok(topic_results(items(results, count)))
    }
}

/// # Safety
/// The results belong to a live event.
unsafe fn topic_results(results: &[*const sys::rd_kafka_topic_result_t]) -> Vec<(String, Option<Refusal>)> {
    let one = |result: &*const sys::rd_kafka_topic_result_t| {
        // SAFETY: by this function's contract; strings are copied.
        unsafe {
            let refusal = ErrorCode::from_raw(super::rd_kafka_topic_result_error(*result))
                .map(|code| (code, owned(sys::rd_kafka_topic_result_error_string(*result))));
            (owned(sys::rd_kafka_topic_result_name(*result)), refusal)
        }
    };
    results.iter().map(one).collect()
}

/// A topic's own id; `None` where the brokers tell none.
pub(crate) fn topic_id(
    handle: &Handle,
    queue: &Queue,
    name: &str,
    timeout: Duration,
) -> Result<Option<String>, Refusal> {
    let options = Options::new(handle, Operation::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout);
    let name = c_string("topic name", name).map_err(|error| (ErrorCode::INVALID_ARG, error.to_string()))?;
    // SAFETY: the name is copied; the collection is ours, copied by the call and then destroyed.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        sys::rd_kafka_DescribeTopics(handle.as_ptr(), topics, options.0.as_ptr(), queue.as_ptr());
        sys::rd_kafka_TopicCollection_destroy(topics);
    }
    let event = answer(queue, sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT, timeout)?;
    let mut count = 0;
    // SAFETY: the event is of this type; what it lends lives as long as it and is copied.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let topic =
            *items(topics, count).first().ok_or_else(|| (ErrorCode::FAIL, "the answer names no topic".to_owned()))?;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null()
            && let Some(code) = ErrorCode::from_raw(super::rd_kafka_error_code(error))
        {
            return Err((code, owned(sys::rd_kafka_error_string(error))));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let zero =
            sys::rd_kafka_Uuid_most_significant_bits(id) == 0 && sys::rd_kafka_Uuid_least_significant_bits(id) == 0;
        Ok((!zero).then(|| owned(sys::rd_kafka_Uuid_base64str(id))))
    }
}

pub(crate) fn describe_configs(
    handle: &Handle,
    queue: &Queue,
    resource: &ConfigResource,
    timeout: Duration,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let options = Options::new(handle, Operation::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
    let (kind, name) = match resource {
        ConfigResource::Topic(name) => (sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.clone()),
        ConfigResource::Broker(id) => (sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, id.to_string()),
    };
    let name = c_string("resource name", &name).map_err(|error| (ErrorCode::INVALID_ARG, error.to_string()))?;
    // SAFETY: the name is copied; the resource is ours, copied by the call and then destroyed.
    unsafe {
        let mut resources = [sys::rd_kafka_ConfigResource_new(kind, name.as_ptr())];
        sys::rd_kafka_DescribeConfigs(
            handle.as_ptr(),
            resources.as_mut_ptr(),
            resources.len(),
            options.0.as_ptr(),
            queue.as_ptr(),
        );
        sys::rd_kafka_ConfigResource_destroy(resources[0]);
    }
    let event = answer(queue, sys::RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT, timeout)?;
    let mut count = 0;
    // SAFETY: the event is of this type; what it lends lives as long as it and is copied.
    unsafe {
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(event.as_ptr().cast_const(), &raw mut count);
        let resource = *items(resources, count)
            .first()
            .ok_or_else(|| (ErrorCode::FAIL, "the answer names no resource".to_owned()))?;
        if let Some(code) = ErrorCode::from_raw(super::rd_kafka_ConfigResource_error(resource)) {
            return Err((code, owned(sys::rd_kafka_ConfigResource_error_string(resource))));
        }
        let entries = sys::rd_kafka_ConfigResource_configs(resource, &raw mut count);
        Ok(items(entries, count).iter().map(|entry| config_entry(*entry)).collect())
    }
}

/// # Safety
/// `entry` belongs to a live event.
unsafe fn config_entry(entry: *const sys::rd_kafka_ConfigEntry_t) -> ConfigEntry {
    // SAFETY: by this function's contract; strings are copied. The source is an enum of librdkafka's
    // own, which maps what it does not know to UNKNOWN (rdkafka_admin.c).
    unsafe {
        let value = sys::rd_kafka_ConfigEntry_value(entry);
        let source = sys::rd_kafka_ConfigEntry_source(entry);
        ConfigEntry {
            name: owned(sys::rd_kafka_ConfigEntry_name(entry)),
            value: (!value.is_null()).then(|| owned(value)),
            source: owned(sys::rd_kafka_ConfigSource_name(source)),
            is_default: sys::rd_kafka_ConfigEntry_is_default(entry) > 0,
            is_sensitive: sys::rd_kafka_ConfigEntry_is_sensitive(entry) > 0,
        }
    }
}

/// One offset, or a refusal, per partition asked for, in no certain order.
pub(crate) fn list_offsets(
    handle: &Handle,
    queue: &Queue,
    topic: &str,
    partitions: &[i32],
    query: OffsetQuery,
    timeout: Duration,
) -> Result<Vec<PartitionAnswer>, Refusal> {
    let options = Options::new(handle, Operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
    options.isolation(query);
    let topic = c_string("topic name", topic).map_err(|error| (ErrorCode::INVALID_ARG, error.to_string()))?;
    let spec = match query {
        OffsetQuery::Earliest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST,
        OffsetQuery::HighWatermark | OffsetQuery::LastStable => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST,
    };
    // SAFETY: a list of our own, copied by the call and then destroyed; entries are written before the
    // list grows again.
    unsafe {
        let list = sys::rd_kafka_topic_partition_list_new(c_count(partitions.len()));
        for partition in partitions {
            let entry = sys::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), *partition);
            (*entry).offset = spec as i64;
        }
        sys::rd_kafka_ListOffsets(handle.as_ptr(), list, options.0.as_ptr(), queue.as_ptr());
        sys::rd_kafka_topic_partition_list_destroy(list);
    }
    let event = answer(queue, sys::RD_KAFKA_EVENT_LISTOFFSETS_RESULT, timeout)?;
    let mut count = 0;
    // SAFETY: the event is of this type; what it lends lives as long as it. The code is read as an
    // integer, since a broker may send one that the enum lacks.
    unsafe {
        let infos = sys::rd_kafka_ListOffsets_result_infos(event.as_ptr().cast_const(), &raw mut count);
        let offsets = items(infos, count).iter().map(|info| {
            let entry = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
            let code = (&raw const (*entry).err).cast::<c_int>().read();
            let offset = (*entry).offset;
            ((*entry).partition, ErrorCode::from_raw(code).map_or(Ok(offset), Err))
        });
        Ok(offsets.collect())
    }
}
