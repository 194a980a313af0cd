// Writes what the plan says with franz-go. usage: go run . BOOTSTRAP_SERVERS PLAN CLIENT
//
// stdout: a line of JSON per record that was acknowledged: topic, id, offset.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type record struct {
	ID        int
	Timestamp int64
	Key       *string
	Value     *string
	Times     int // how often the value is repeated
	Headers   [][2]*string
}

type step struct {
	Do      string
	Records []record
}

type file struct {
	Topic         string
	Client        string
	Compression   string
	Idempotent    bool
	Transactional string
	Steps         []step
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The plan's strings hold bytes: a code point below 256 each.
func latin1(text *string) []byte {
	if text == nil {
		return nil
	}
	bytes := []byte{}
	for _, point := range *text {
		bytes = append(bytes, byte(point))
	}
	return bytes
}

func (r record) toSend(topic string) *kgo.Record {
	out := &kgo.Record{Topic: topic, Key: latin1(r.Key), Timestamp: time.UnixMilli(r.Timestamp)}
	if r.Value != nil {
		out.Value = []byte{}
		for range r.Times {
			out.Value = append(out.Value, latin1(r.Value)...)
		}
	}
	for _, header := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: *header[0], Value: latin1(header[1])})
	}
	return out
}

func write(servers string, f file) {
	ctx := context.Background()
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(servers, ",")...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[f.Compression]),
		kgo.ProducerLinger(time.Minute), // a batch is what one Flush sends
	}
	if !f.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if f.Transactional != "" {
		options = append(options, kgo.TransactionalID(f.Transactional))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	for _, s := range f.Steps {
		switch s.Do {
		case "begin":
			must(client.BeginTransaction())
		case "commit":
			must(client.EndTransaction(ctx, kgo.TryCommit))
		case "abort":
			must(client.EndTransaction(ctx, kgo.TryAbort))
		case "send":
			for _, r := range s.Records {
				client.Produce(ctx, r.toSend(f.Topic), func(acked *kgo.Record, err error) {
					must(err)
					fmt.Printf("{\"topic\": %q, \"id\": %d, \"offset\": %d}\n", f.Topic, r.ID, acked.Offset)
				})
			}
			must(client.Flush(ctx))
		default:
			log.Fatalf("no step %q", s.Do)
		}
	}
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	must(err)
	var files []file
	must(json.Unmarshal(text, &files))
	for _, f := range files {
		if f.Client == os.Args[3] {
			write(os.Args[1], f)
		}
	}
}
