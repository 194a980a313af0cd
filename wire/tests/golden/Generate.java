import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes what the plan says with Kafka's own client. usage: java -cp JARS Generate.java BOOTSTRAP_SERVERS PLAN CLIENT
 *
 * stdout: a line of JSON per record that was acknowledged: topic, id, offset.
 */
class Generate {
    public static void main(String[] arguments) throws Exception {
        for (JsonNode file : new ObjectMapper().readTree(new File(arguments[1]))) {
            if (file.get("client").asText().equals(arguments[2])) {
                write(arguments[0], file);
            }
        }
    }

    static void write(String servers, JsonNode file) throws Exception {
        var properties = new Properties();
        properties.put("bootstrap.servers", servers);
        properties.put("compression.type", file.get("compression").asText());
        properties.put("enable.idempotence", file.get("idempotent").asText());
        properties.put("batch.size", "500000");
        properties.put("linger.ms", "60000"); // a batch is what one flush sends
        boolean transactional = file.hasNonNull("transactional");
        if (transactional) {
            properties.put("transactional.id", file.get("transactional").asText());
        }
        String topic = file.get("topic").asText();
        var bytes = new ByteArraySerializer();
        try (var producer = new KafkaProducer<byte[], byte[]>(properties, bytes, bytes)) {
            if (transactional) {
                producer.initTransactions();
            }
            for (JsonNode step : file.get("steps")) {
                switch (step.get("do").asText()) {
                    case "begin" -> producer.beginTransaction();
                    case "commit" -> producer.commitTransaction();
                    case "abort" -> producer.abortTransaction();
                    case "send" -> {
                        for (JsonNode record : step.get("records")) {
                            send(producer, topic, record);
                        }
                        producer.flush();
                    }
                    default -> throw new IllegalArgumentException(step.toString());
                }
            }
        }
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, JsonNode record) {
        byte[] value = latin1(record.get("value"));
        if (value != null) {
            value = new String(value, StandardCharsets.ISO_8859_1).repeat(record.get("times").asInt())
                .getBytes(StandardCharsets.ISO_8859_1);
        }
        var message = new ProducerRecord<>(topic, 0, record.get("timestamp").asLong(), latin1(record.get("key")), value);
        for (JsonNode header : record.get("headers")) {
            message.headers().add(header.get(0).asText(), latin1(header.get(1)));
        }
        long id = record.get("id").asLong();
        producer.send(message, (acked, error) -> {
            if (error != null) {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
            System.out.printf("{\"topic\": \"%s\", \"id\": %d, \"offset\": %d}%n", topic, id, acked.offset());
        });
    }

    /** The plan's strings hold bytes: a code point below 256 each. */
    static byte[] latin1(JsonNode text) {
        return text.isNull() ? null : text.asText().getBytes(StandardCharsets.ISO_8859_1);
    }
}
