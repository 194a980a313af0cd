/* How often librdkafka calls poll() per million messages: the bare produce loop, with poll counted.
 *
 * usage: poll-calls BOOTSTRAP TOPIC COUNT SIZE PARTITIONS RATE [key=value ...]
 *
 * RATE 0: as fast as librdkafka takes them, at most 500,000 outstanding, in runs of 1,000 round robin over the
 * partitions. RATE > 0: that many messages per second, one by one. stdout: one line of key=value pairs.
 *
 * poll() is this program's own (it counts and calls the kernel), which a librdkafka that is linked as a shared object
 * resolves to. So the count is exact and costs next to nothing. It counts all threads of the process. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define RUN 1000
#define SLOWEST_US 60000000

static atomic_ulong polls, polls_without_wait;

int poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
        atomic_fetch_add_explicit(&polls, 1, memory_order_relaxed);
        if (timeout_ms == 0)
                atomic_fetch_add_explicit(&polls_without_wait, 1, memory_order_relaxed);
        struct timespec span = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
        return (int)syscall(SYS_ppoll, fds, count, timeout_ms < 0 ? NULL : &span, NULL, 8);
}

static void fail(const char *what, const char *why) {
        fprintf(stderr, "poll-calls: %s: %s\n", what, why);
        exit(1);
}

static double now_s(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_s(void) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct reports {
        rd_kafka_queue_t *queue;
        unsigned long wanted, done, failed;
        unsigned *per_ms; /* latencies, counted by millisecond */
};

static void *take_reports(void *argument) {
        struct reports *reports = argument;
        while (reports->done < reports->wanted) {
                rd_kafka_event_t *event = rd_kafka_queue_poll(reports->queue, 100);
                const rd_kafka_message_t *message;
                while (event && (message = rd_kafka_event_message_next(event))) {
                        /* From when it was due: a sender that is held up must not hide it. */
                        long us = (long)(now_s() * 1e6) - (long)(intptr_t)message->_private;
                        reports->per_ms[(us < 0 ? 0 : us > SLOWEST_US ? SLOWEST_US : us) / 1000]++;
                        reports->done++;
                        reports->failed += message->err != 0;
                }
                if (event)
                        rd_kafka_event_destroy(event);
        }
        return NULL;
}

static double percentile_ms(const struct reports *reports, double share) {
        unsigned long sum = 0, wanted = (unsigned long)(share * (double)reports->done);
        int at = 0;
        while (at < SLOWEST_US / 1000 && (sum += reports->per_ms[at]) < wanted)
                at++;
        return at + 1;
}

int main(int argc, char **argv) {
        if (argc < 7) {
                fprintf(stderr, "usage: %s BOOTSTRAP TOPIC COUNT SIZE PARTITIONS RATE [key=value ...]\n", argv[0]);
                return 2;
        }
        unsigned long count = strtoul(argv[3], NULL, 10), sent = 0;
        size_t size         = strtoul(argv[4], NULL, 10);
        int partitions      = atoi(argv[5]);
        double rate         = atof(argv[6]);
        char error[512];
        rd_kafka_conf_t *conf   = rd_kafka_conf_new();
        const char *settings[] = {"acks=all", "enable.idempotence=true", "linger.ms=5", "batch.size=1000000",
                                  "batch.num.messages=10000", "max.in.flight=5",
                                  "queue.buffering.max.messages=500000", "queue.buffering.max.kbytes=1048576",
                                  "enable.metrics.push=false"};
        int defaults = sizeof settings / sizeof *settings;
        for (int i = 0; i < defaults + argc - 7; i++) {
                char pair[1024];
                snprintf(pair, sizeof pair, "%s", i < defaults ? settings[i] : argv[7 + i - defaults]);
                char *value = strchr(pair, '=');
                if (!value)
                        fail(pair, "a setting is key=value");
                *value++ = 0;
                if (rd_kafka_conf_set(conf, pair, value, error, sizeof error) != RD_KAFKA_CONF_OK)
                        fail(pair, error);
        }
        rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], error, sizeof error);
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
        rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
        if (!client)
                fail("rd_kafka_new", error);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(client, 0, topic, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
                fail("metadata", "no broker answers");
        rd_kafka_metadata_destroy(metadata);
        char *value = malloc(size);
        memset(value, 'x', size);
        struct reports reports = {rd_kafka_queue_get_main(client), count, 0, 0,
                                  calloc(SLOWEST_US / 1000 + 1, sizeof(unsigned))};
        pthread_t thread;
        pthread_create(&thread, NULL, take_reports, &reports);

        rd_kafka_message_t run[RUN];
        unsigned long polls_before = polls, idle_before = polls_without_wait;
        double start = now_s(), cpu_before = cpu_s();
        for (unsigned long turn = 0; sent < count; turn++) {
                int n = rate > 0 ? 1 : (int)(count - sent < RUN ? count - sent : RUN);
                double due = rate > 0 ? start + (double)sent / rate : now_s();
                void *due_us = (void *)(intptr_t)(due * 1e6);
                for (int i = 0; i < n; i++)
                        run[i] = (rd_kafka_message_t){.payload = value, .len = size, ._private = due_us};
                if (rate > 0 && due > now_s()) {
                        struct timespec at = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)};
                        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
                }
                for (int done = 0; done < n;) {
                        int taken = rd_kafka_produce_batch(topic, (int)(turn % (unsigned long)partitions),
                                                           RD_KAFKA_MSG_F_COPY, run + done, n - done);
                        if (taken < n - done) {
                                if (run[done + taken].err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                                        fail("produce", rd_kafka_err2str(run[done + taken].err));
                                usleep(1000);
                        }
                        done += taken;
                }
                sent += (unsigned long)n;
        }
        rd_kafka_flush(client, 300000);
        pthread_join(thread, NULL);
        double seconds = now_s() - start, million = (double)count / 1e6;
        printf("librdkafka=%s messages=%lu failed=%lu per_s=%.0f polls_per_million=%.0f without_wait_per_million=%.0f "
               "cpu_s_per_million=%.3f cpu_s=%.2f seconds=%.2f",
               rd_kafka_version_str(), count, reports.failed, (double)count / seconds,
               (double)(polls - polls_before) / million, (double)(polls_without_wait - idle_before) / million,
               (cpu_s() - cpu_before) / million, cpu_s() - cpu_before, seconds);
        /* As fast as it goes, it would measure the queue. */
        if (rate > 0)
                printf(" p50_ms=%.0f p99_ms=%.0f", percentile_ms(&reports, 0.5), percentile_ms(&reports, 0.99));
        printf("\n");
        return reports.failed > 0;
}
