// A small driver on franz-go, one of the contenders of `make peers`: it produces or reads as fast as the library
// gives, and prints one line of JSON with what it did.
//
//	franz-go produce -b HOST:PORT -t TOPIC -n COUNT -s BYTES [-acks all|1] [-idempotent] …
//	franz-go read    -b HOST:PORT -t TOPIC -n COUNT …
//
// The interval is from the first record that is handed to the client, which is connected by then, to the last
// acknowledgement, or from before the client connects to the last record read. All values are one buffer and records are pooled: the program itself costs
// as little as it can.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type report struct {
	Messages  int64   `json:"messages"`
	Failed    int64   `json:"failed"`
	IntervalS float64 `json:"interval_s"`
	Library   string  `json:"library"`
}

type options struct {
	brokers, topic, acks        string
	messages, size              int64
	idempotent                  bool
	linger                      time.Duration
	batchBytes, inFlight        int
	outstanding, outstandingMax int
	fetchBytes, partitionBytes  int
}

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("usage: franz-go produce|read FLAGS"))
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.brokers, "b", "", "brokers to begin with, HOST:PORT[,HOST:PORT…]")
	flags.StringVar(&o.topic, "t", "", "topic")
	flags.Int64Var(&o.messages, "n", 0, "messages")
	flags.Int64Var(&o.size, "s", 100, "bytes of a value")
	flags.StringVar(&o.acks, "acks", "all", "all or 1")
	flags.BoolVar(&o.idempotent, "idempotent", false, "idempotent producer (needs acks=all)")
	flags.DurationVar(&o.linger, "linger", 5*time.Millisecond, "linger")
	flags.IntVar(&o.batchBytes, "batch-bytes", 1_000_000, "most bytes of a batch")
	flags.IntVar(&o.inFlight, "in-flight", 5, "requests in flight per broker; idempotent: always five")
	flags.IntVar(&o.outstanding, "outstanding", 500_000, "most messages outstanding")
	flags.IntVar(&o.outstandingMax, "outstanding-bytes", 1<<30, "most bytes outstanding")
	flags.IntVar(&o.fetchBytes, "fetch-bytes", 64<<20, "most bytes of a fetch")
	flags.IntVar(&o.partitionBytes, "partition-bytes", 8<<20, "most bytes of a partition in a fetch")
	if err := flags.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	if o.brokers == "" || o.topic == "" || o.messages < 1 {
		fail(errors.New("-b, -t and -n (at least 1) are needed"))
	}
	run := map[string]func(options) (report, error){"produce": produce, "read": read}[os.Args[1]]
	if run == nil {
		fail(fmt.Errorf("%q is neither produce nor read", os.Args[1]))
	}
	done, err := run(o)
	if err != nil {
		fail(err)
	}
	done.Library = library()
	if err := json.NewEncoder(os.Stdout).Encode(done); err != nil {
		fail(err)
	}
}

func produce(o options) (report, error) {
	settings := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.DefaultProduceTopic(o.topic),
		kgo.ProducerLinger(o.linger),
		kgo.ProducerBatchMaxBytes(int32(o.batchBytes)),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(o.outstanding),
		kgo.MaxBufferedBytes(o.outstandingMax),
	}
	switch o.acks {
	case "all":
		settings = append(settings, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		settings = append(settings, kgo.RequiredAcks(kgo.LeaderAck()))
	default:
		return report{}, fmt.Errorf("acks %q is neither all nor 1", o.acks)
	}
	if !o.idempotent {
		settings = append(settings, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(o.inFlight))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return report{}, err
	}
	defer client.Close()

	value := []byte(strings.Repeat("x", int(o.size)))
	pool := sync.Pool{New: func() any { return new(kgo.Record) }}
	var failed atomic.Int64
	acknowledged := func(record *kgo.Record, err error) {
		if err != nil && failed.Add(1) == 1 {
			fmt.Fprintln(os.Stderr, "first failure:", err)
		}
		pool.Put(record)
	}
	ctx := context.Background()
	if err := client.Ping(ctx); err != nil {
		return report{}, err
	}
	if o.idempotent {
		if _, _, err := client.ProducerID(ctx); err != nil {
			return report{}, err
		}
	}
	start := time.Now()
	for range o.messages {
		record := pool.Get().(*kgo.Record)
		*record = kgo.Record{Value: value}
		client.Produce(ctx, record, acknowledged)
	}
	if err := client.Flush(ctx); err != nil {
		return report{}, err
	}
	return report{Messages: o.messages, Failed: failed.Load(), IntervalS: time.Since(start).Seconds()}, nil
}

func read(o options) (report, error) {
	start := time.Now()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(int32(o.fetchBytes)),
		kgo.FetchMaxPartitionBytes(int32(o.partitionBytes)),
	)
	if err != nil {
		return report{}, err
	}
	defer client.Close()
	ctx := context.Background()
	var seen int64
	for seen < o.messages {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return report{}, err
		}
		seen += int64(fetches.NumRecords())
	}
	return report{Messages: seen, IntervalS: time.Since(start).Seconds()}, nil
}

// library is the version of franz-go that this program was built with.
func library() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/twmb/franz-go" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}
