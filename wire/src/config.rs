//! How a broker is reached, in librdkafka's property names.
