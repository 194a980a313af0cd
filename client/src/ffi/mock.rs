//! librdkafka's mock cluster.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as sys;

use super::handle::Handle;
use super::{c_string, owned, timeout_ms};
use crate::errors::{ClientError, ErrorCode};

/// An owned mock cluster; its broker threads live in this process.
pub(crate) struct Mock {
    cluster: NonNull<sys::rd_kafka_mock_cluster_t>,
    _handle: Arc<Handle>,
}

// SAFETY: the mock's functions post to its own thread or lock it (rdkafka_mock.c).
unsafe impl Send for Mock {}
// SAFETY: as above.
unsafe impl Sync for Mock {}

impl Mock {
    pub(crate) fn new(handle: Arc<Handle>, brokers: i32) -> Option<Self> {
        // SAFETY: the instance is alive and kept alive by this.
        let cluster = unsafe { sys::rd_kafka_mock_cluster_new(handle.as_ptr(), brokers) };
        Some(Mock { cluster: NonNull::new(cluster)?, _handle: handle })
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        // SAFETY: a string that lives as long as the cluster.
        unsafe { owned(sys::rd_kafka_mock_cluster_bootstraps(self.cluster.as_ptr())) }
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32, replicas: i32) -> Result<(), ClientError> {
        let c_name = c_string("topic name", name)?;
        // SAFETY: the name lives for the call; the code is librdkafka's own.
        let code =
            unsafe { sys::rd_kafka_mock_topic_create(self.cluster.as_ptr(), c_name.as_ptr(), partitions, replicas) };
        match ErrorCode::from_raw(code as i32) {
            None => Ok(()),
            Some(code) => Err(ClientError::operation(format!("create topic '{name}'"), code, "")),
        }
    }

    pub(crate) fn push_request_errors(&self, api_key: i16, codes: &[i32]) {
        // SAFETY: the array lives for the call, which copies it; the mock only stores the codes.
        unsafe {
            super::rd_kafka_mock_push_request_errors_array(
                self.cluster.as_ptr(),
                api_key,
                codes.len(),
                codes.as_ptr().cast::<c_int>(),
            );
        }
    }

    pub(crate) fn set_topic_error(&self, name: &str, code: i32) -> Result<(), ClientError> {
        let c_name = c_string("topic name", name)?;
        // SAFETY: the name lives for the call; the mock only stores the code.
        unsafe { super::rd_kafka_mock_topic_set_error(self.cluster.as_ptr(), c_name.as_ptr(), code) };
        Ok(())
    }

    pub(crate) fn set_round_trip(&self, broker: i32, time: Duration) {
        // SAFETY: the cluster is alive; an unknown broker is an error code that changes nothing.
        unsafe { sys::rd_kafka_mock_broker_set_rtt(self.cluster.as_ptr(), broker, timeout_ms(time)) };
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // SAFETY: ours; its threads are joined before the instance goes (field order).
        unsafe { sys::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) };
    }
}
