package ackmark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Consume, process, produce, exactly once, by a plain loop over the Java clients. It does the work of ackmark's
 * {@code workload/src/patterns/exactly_once.rs}: cycles of at most so many messages, or of what has come a given time
 * after the first; each output is its input with its partition and offset in the header and the checksum made anew.
 *
 * <p>Arguments: bootstrap servers, input, output, group, messages to process, messages of a cycle, milliseconds that a
 * cycle waits. It prints one line of JSON: messages, cycles, and seconds from the first message to the end of the last
 * commit. Offsets that cannot be committed end it: nothing is retried here.
 */
public final class Pipeline {
    private static final int HEADER = 48;
    private static final int HEADER_WITH_SOURCE = 64;
    private static final int CHECKSUM_AT = 44;

    private Pipeline() {}

    public static void main(String[] arguments) {
        String servers = arguments[0];
        String input = arguments[1];
        String output = arguments[2];
        String group = arguments[3];
        long messages = Long.parseLong(arguments[4]);
        int batch = Integer.parseInt(arguments[5]);
        long waitNs = Long.parseLong(arguments[6]) * 1_000_000L;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(consumer(servers, group, batch));
                KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(producer(servers, group))) {
            producer.initTransactions();
            consumer.subscribe(List.of(input));
            long done = 0;
            long cycles = 0;
            long begun = 0;
            List<ConsumerRecord<byte[], byte[]>> cycle = new ArrayList<>(batch);
            Deque<ConsumerRecord<byte[], byte[]>> left = new ArrayDeque<>();
            while (done < messages) {
                fill(consumer, cycle, left, batch, waitNs);
                if (cycle.isEmpty()) {
                    continue;
                }
                if (begun == 0) {
                    begun = System.nanoTime();
                }
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (ConsumerRecord<byte[], byte[]> record : cycle) {
                    byte[] value = output(record);
                    producer.send(new ProducerRecord<>(output, record.partition(), record.key(), value));
                    offsets.put(new TopicPartition(input, record.partition()), new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                producer.commitTransaction();
                done += cycle.size();
                cycles++;
            }
            double seconds = (System.nanoTime() - begun) / 1e9;
            System.out.printf("{\"messages\":%d,\"cycles\":%d,\"interval_s\":%.6f}%n", done, cycles, seconds);
        }
    }

    /** Messages of a cycle, in order: what is left over of the last poll, then what comes until the time is up. */
    private static void fill(
            KafkaConsumer<byte[], byte[]> consumer,
            List<ConsumerRecord<byte[], byte[]>> cycle,
            Deque<ConsumerRecord<byte[], byte[]>> left,
            int batch,
            long waitNs) {
        cycle.clear();
        long until = 0;
        while (true) {
            while (cycle.size() < batch && !left.isEmpty()) {
                cycle.add(left.poll());
            }
            if (!cycle.isEmpty() && until == 0) {
                until = System.nanoTime() + waitNs;
            }
            long wait = until == 0 ? 100_000_000L : until - System.nanoTime();
            if (cycle.size() >= batch || wait <= 0) {
                return;
            }
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofNanos(wait))) {
                left.add(record);
            }
            if (cycle.isEmpty() && left.isEmpty()) {
                return;
            }
        }
    }

    /** The input with its source in the header. */
    private static byte[] output(ConsumerRecord<byte[], byte[]> record) {
        byte[] input = record.value();
        int bodyAt = (input[4] & 1) == 1 ? HEADER_WITH_SOURCE : HEADER;
        int body = input.length - bodyAt;
        byte[] value = new byte[HEADER_WITH_SOURCE + body];
        System.arraycopy(input, 0, value, 0, HEADER);
        System.arraycopy(input, bodyAt, value, HEADER_WITH_SOURCE, body);
        value[4] |= 1;
        ByteBuffer buffer = ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN);
        buffer.putInt(HEADER, record.partition());
        buffer.putLong(HEADER + 8, record.offset());
        CRC32C checksum = new CRC32C();
        checksum.update(value, HEADER_WITH_SOURCE, body);
        checksum.update(value, HEADER, HEADER_WITH_SOURCE - HEADER);
        checksum.update(value, 0, CHECKSUM_AT);
        buffer.putInt(CHECKSUM_AT, (int) checksum.getValue());
        return value;
    }

    private static Properties consumer(String servers, String group, int batch) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", servers);
        properties.put("group.id", group);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("isolation.level", "read_committed");
        properties.put("max.poll.records", Integer.toString(batch));
        properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
        return properties;
    }

    private static Properties producer(String servers, String group) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", servers);
        properties.put("transactional.id", group + "-0");
        properties.put("linger.ms", "1");
        // As in ackmark's: a commit is answered before its markers are everywhere, and until then the next
        // transaction's requests are refused and tried again.
        properties.put("retry.backoff.ms", "5");
        properties.put("retry.backoff.max.ms", "5");
        properties.put("batch.size", "1000000");
        properties.put("buffer.memory", "268435456");
        properties.put("key.serializer", ByteArraySerializer.class.getName());
        properties.put("value.serializer", ByteArraySerializer.class.getName());
        return properties;
    }
}
